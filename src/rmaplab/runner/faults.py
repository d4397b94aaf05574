"""A reader of page faults that perf recorded: which pages a real program touched, and when.

The events are the kernel's own, exceptions:page_fault_user and exceptions:page_fault_kernel
(arch/x86/include/asm/trace/exceptions.h), printed by `perf script -F comm,tid,tod,event,trace`.
"""

from __future__ import annotations

import heapq
import re
from collections import defaultdict, deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from rmaplab.errors import InputError, Place

HOW_TO_RECORD = "record both logs with: rmaplab record -o LOG --faults FAULTS -- COMMAND"

X86_PF_WRITE = 1 << 1
#: Where the addresses of user space end (4 level page tables).
TASK_SIZE = 1 << 47

_FAULT = re.compile(
    r"^.* (\d+) +(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) +exceptions:page_fault_(?:user|kernel): "
    r"address=(0x[0-9a-f]+) ip=\S+ error_code=(0x[0-9a-f]+)$"
)


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """The task `pid` touched a page; `time` is in seconds since 1970."""

    time: float
    pid: int
    address: int
    write: bool


class Faults:
    """What is still to be replayed, of each task in the order of time."""

    def __init__(self, faults: Collection[Fault] = ()) -> None:
        self.of: defaultdict[int, deque[Fault]] = defaultdict(deque)
        for fault in sorted(faults):
            self.of[fault.pid].append(fault)

    def due(self, pids: Collection[int], until: float) -> Iterator[Fault]:
        """The faults of these tasks up to that time; each is told once."""
        queues = [self.of[pid] for pid in pids if pid in self.of]
        return heapq.merge(*(_taken(queue, until) for queue in queues))

    def left(self) -> int:
        """How many were never due."""
        return sum(map(len, self.of.values()))


def _taken(queue: deque[Fault], until: float) -> Iterator[Fault]:
    while queue and queue[0].time <= until:
        yield queue.popleft()


def read_faults(path: str) -> Faults:
    """The faults in user space that a file has; InputError for a line that is not perf's."""
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as file:
            faults = [_fault(line.rstrip("\n"), Place(path, n)) for n, line in enumerate(file, 1)]
    except OSError as error:
        message = f"the faults cannot be read ({error.strerror}); {HOW_TO_RECORD}"
        raise InputError(message, Place(path)) from error
    return Faults([fault for fault in faults if fault.address < TASK_SIZE])


def _fault(line: str, place: Place) -> Fault:
    found = _FAULT.match(line)
    if found is None:
        raise InputError(f"not a page fault of perf's: {line[:60]!r}; {HOW_TO_RECORD}", place)
    pid, moment, address, code = found.groups()
    try:
        time = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise InputError(f"no time: {moment!r}; {HOW_TO_RECORD}", place) from error
    return Fault(time, int(pid), int(address, 16), bool(int(code, 16) & X86_PF_WRITE))
