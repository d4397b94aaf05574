"""What a real program did to its memory, done again on a kernel of the history.

A log tells of calls and not of accesses. These are page faults that perf recorded beside it, or
an estimate: the first pages of each new anonymous mapping are written once, and a child writes one
page of each anonymous VMA after its fork. File and shared mappings are VMAs without pages; what
execve itself maps is not in a log and is not here.
"""

from __future__ import annotations

import errno
import math
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rmaplab.kernel import contents, madvise
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.mm_types import PAGE_MASK, PAGE_SIZE, VM_EXEC, VM_READ, VM_WRITE
from rmaplab.kernel.mremap import MREMAP_FIXED, MREMAP_MAYMOVE
from rmaplab.kernel.munmap import PAGE_ALIGN
from rmaplab.machine import KernelStateError, rb_items
from rmaplab.machine.direct import DirectMachine
from rmaplab.runner.faults import Fault, Faults
from rmaplab.runner.pace import PacedChecks
from rmaplab.runner.run import Wrong, kernel_name
from rmaplab.runner.spaces import ReplaySystem, Space, may_be_written
from rmaplab.runner.strace import (
    Brk,
    Event,
    Exec,
    Exit,
    Fork,
    Madvise,
    Mlock,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
    read_strace,
)
from rmaplab.runner.system import System
from rmaplab.runner.touch import FIRST_PAGES, NONE, Touch

ADVICE = {
    f"MADV_{name}": getattr(madvise, f"MADV_{name}")
    for name in (
        "NORMAL", "RANDOM", "SEQUENTIAL", "DONTNEED", "DONTFORK", "DOFORK", "MERGEABLE",
        "UNMERGEABLE",
    )
}  # fmt: skip
#: The slab caches whose peak is told.
COUNTED = ("anon_vma", "anon_vma_chain", "vm_area_struct")
#: Kinds of memory that have no pages of the anonymous reverse map, or none of 4 kB.
BARE_FLAGS = {"MAP_HUGETLB": "huge pages"}

NO_EVENT = "neither changes memory nor makes tasks"
NOT_MODELLED = "not modelled"
#: Calls that do change memory, but in a way that these kernels, or the model, do not have.
UNMODELLED = frozenset({"mlock2", "mlockall", "munlockall"})
FAILED = "failed when it was recorded"
NO_HEAP = "asks where the heap ends"
UNKNOWN_RANGE = "the log does not show who mapped this"
NOT_FILLED = "the log does not show who mapped this, or it is a file's, which has no pages here"
REFUSED = "these kernels refuse it"
NO_ROOM = "these kernels do not map so much, or so high"

#: What becomes of recorded page faults.
WRITTEN, READ = "written", "read"
ELSEWHERE = "in a file, the stack, or what execve maps: no pages here"
NOBODY = "of a task that is not in the log then"


@dataclass
class ReplayResult:
    """What was done. Calls that changed nothing are in `skipped`, by name and reason."""

    log: str
    kernel: str
    replayed: Counter[str] = field(default_factory=Counter)
    skipped: Counter[tuple[str, str]] = field(default_factory=Counter)
    touched: int = 0
    untouched: int = 0  # pages of mappings that the estimate leaves alone
    faults: Counter[str] = field(default_factory=Counter)  # recorded ones, by what came of them
    peak: dict[str, int] = field(default_factory=dict)
    turns: int = 0  # forks, execves and exits
    checks: int = 0  # of the truths, after so many of them; and one at the end
    alive: tuple[int, ...] = ()  # tasks without an end in the log
    violation: Wrong | None = None


def replay(
    log: str | os.PathLike[str],
    kernel: type[Kernel],
    touch: Touch = FIRST_PAGES,
    faults: Faults | None = None,
    name: str = "",
    machine: DirectMachine | None = None,
    after: Callable[[System, str], None] | None = None,
) -> ReplayResult:
    """Replay a log of strace up to the first wrong state; `faults` stand instead of `touch`.

    `after` is told of each event that was done.

    The truths are checked at forks, execves and exits: at every one as long as that does not take
    longer than the calls, and more rarely in a log with many processes. At the end, they are
    checked once more, and that nothing is left.
    InputError if the log is damaged, or has no times to place the faults by.
    """
    path = os.fspath(log)
    result = ReplayResult(path, name or kernel_name(kernel))
    strace = read_strace(path, timed=faults is not None)
    chosen = touch if faults is None else NONE
    replayer = _Replayer(kernel, result, chosen, faults or Faults(), machine or DirectMachine())
    try:
        for event in strace:
            replayer.event(event)
            if after is not None:
                after(replayer.system, replayer.text)
        replayer.end()
        result.alive = tuple(sorted(replayer.system.of))
    except KernelStateError as error:
        result.violation = Wrong(error.kind, error.message, replayer.number, replayer.text)
    result.turns, result.checks = replayer.checks.turns, replayer.checks.made
    for call, count in strace.skipped.items():
        result.skipped[call, NOT_MODELLED if call in UNMODELLED else NO_EVENT] += count
    for call, count in strace.failed.items():
        result.skipped[call, FAILED] += count
    return result


def _name(event: Event) -> str:
    if isinstance(event, Fork):
        return "vfork" if event.vfork else "clone" if event.vm_shared else "fork"
    if isinstance(event, Mlock):
        return "mlock" if event.on else "munlock"
    return "execve" if isinstance(event, Exec) else type(event).__name__.lower()


class _Replayer:
    """Does one event after the other; `system` holds the state."""

    def __init__(
        self,
        kernel: type[Kernel],
        result: ReplayResult,
        touch: Touch,
        faults: Faults,
        machine: DirectMachine,
    ) -> None:
        self.result = result
        self.touch = touch
        self.faults = faults
        self.system = ReplaySystem(kernel, machine)
        self.kernel = self.system.kernel
        self.counted = [cache for cache in self.system.machine.caches if cache.name in COUNTED]
        self.result.peak = dict.fromkeys(COUNTED, 0)
        self.checks = PacedChecks(self.system)
        self.word = 0
        self.number = 0  # of the event under way
        self.text = ""
        self.calls: dict[type[Event], Callable[[Any], str]] = {
            Mmap: self.mmap,
            Munmap: self.munmap,
            Mprotect: self.mprotect,
            Brk: self.brk,
            Madvise: self.madvise,
            Mlock: self.mlock,
            Mremap: self.mremap,
            Fork: self.fork,
            Exec: self.execve,
            Exit: self.exit,
        }

    def event(self, event: Event) -> None:
        """Do an event and count it."""
        self.number += 1
        self.text = f"{event.pid}: {_name(event)}"
        with self.system.machine.running(0, str(event.pid)):
            if self.faults.of:
                self._fault(event.pid, event.time)
            reason = self.calls[type(event)](event)
        if reason:
            self.result.skipped[_name(event), reason] += 1
        else:
            self.result.replayed[_name(event)] += 1
        peak = self.result.peak
        for cache in self.counted:
            peak[cache.name] = max(peak[cache.name], cache.count())
        if isinstance(event, Fork | Exec | Exit):
            self.checks.turn(self.number)

    def end(self) -> None:
        """After the last event: when everybody has gone, nothing may be left."""
        self.text = "the end of the log"
        for pid in list(self.system.of):
            with self.system.machine.running(0, str(pid)):
                self._fault(pid, math.inf)
        if left := self.faults.left():
            self.result.faults[NOBODY] = left
        self.checks.check(self.number)
        if self.system.of:
            return
        for cache in self.system.machine.caches:
            for item in cache.live():
                name = self.system.machine.name_of(item)
                message = f"every process has exited and {name} is still allocated"
                raise KernelStateError("leak", message, item)

    # Calls: each gives the reason for which it was not done, empty if it was.

    def mmap(self, event: Mmap) -> str:
        """A mapping appears where it was then."""
        space = self.system.space_of(event.pid)
        return self._map(space, event.address, event.length, event.prot, _backing(event))

    def munmap(self, event: Munmap) -> str:
        """A range is unmapped."""
        return self._unmap(self.system.space_of(event.pid), event.address, event.length)

    def mprotect(self, event: Mprotect) -> str:
        """Rights change; what becomes writable is written."""
        space = self.system.space_of(event.pid)
        flags = _vm_flags(event.prot)
        ret = self.kernel.sys_mprotect(space.mm, event.address, event.length, flags)
        if ret == 0:
            self._touch(space, event.address, event.address + PAGE_ALIGN(event.length))
        return _reason(ret)

    def brk(self, event: Brk) -> str:
        """The heap ends somewhere else."""
        space = self.system.space_of(event.pid)
        if not space.has_heap:
            space.has_heap = True
            space.mm.start_brk = space.mm.brk = event.address
        before = space.mm.brk
        if before == event.address:
            return NO_HEAP
        if self.kernel.sys_brk(space.mm, event.address) != event.address:
            return _reason(-errno.ENOMEM, NO_ROOM if event.address > before else UNKNOWN_RANGE)
        old, new = PAGE_ALIGN(before), PAGE_ALIGN(event.address)
        space.forget(min(old, new), max(old, new))
        self._touch(space, old, new)
        return ""

    def madvise(self, event: Madvise) -> str:
        """Advice, if these kernels know it."""
        advice = ADVICE.get(event.advice)
        if advice is None:
            return f"{event.advice} is not modelled"
        space = self.system.space_of(event.pid)
        ret = self.kernel.sys_madvise(space.mm, event.address, event.length, advice)
        if advice == madvise.MADV_DONTNEED:
            forget = space.forget_unmapped if ret == -errno.EINVAL else space.forget
            forget(event.address, event.address + PAGE_ALIGN(event.length))
        return _reason(ret, REFUSED if ret == -errno.EINVAL else UNKNOWN_RANGE)

    def mlock(self, event: Mlock) -> str:
        """A range is there and stays, or need not any more."""
        space = self.system.space_of(event.pid)
        call = self.kernel.sys_mlock if event.on else self.kernel.sys_munlock
        return _reason(call(space.mm, event.address, event.length), NOT_FILLED)

    def mremap(self, event: Mremap) -> str:
        """The range gets its new length, where it is or at the place that the log tells.

        MREMAP_DONTUNMAP is later than these kernels: there, what was moved is mapped afresh.
        """
        space = self.system.space_of(event.pid)
        vma = self.kernel.find_vma(space.mm, event.old)
        old_len, new_len = PAGE_ALIGN(event.old_len), PAGE_ALIGN(event.new_len)
        flags = 0 if event.result == event.old else MREMAP_MAYMOVE | MREMAP_FIXED
        afresh = (vma.vm_flags, vma.vm_file) if "MREMAP_DONTUNMAP" in event.flags and vma else None
        ret = self.kernel.sys_mremap(space.mm, event.old, old_len, new_len, flags, event.result)
        if ret < 0:
            space.forget_unmapped(event.old, event.old + old_len)
            space.forget_unmapped(event.result, event.result + new_len)
            return _reason(ret, NO_ROOM if ret == -errno.ENOMEM else UNKNOWN_RANGE)
        space.move(event.old, old_len, event.result, new_len)
        self._touch(space, event.result + old_len, event.result + new_len)
        return self._map(space, event.old, old_len, *afresh) if afresh else ""

    def fork(self, event: Fork) -> str:
        """A task appears, with the same memory or a copy, of which it writes a little."""
        if event.vm_shared or event.vfork:
            self.system.share(event.pid, event.child)
            return ""
        space = self.system.copy(event.pid, event.child)
        if self.touch.share:
            for vma in filter(may_be_written, rb_items(space.mm.mm_rb)):
                self._write(space, vma.vm_start)
        return ""

    def execve(self, event: Exec) -> str:
        """The task has an empty address space now."""
        self.system.fresh(event.pid)
        return ""

    def exit(self, event: Exit) -> str:
        """The task is gone."""
        self.system.leave(event.pid)
        return ""

    # Parts of calls

    def _map(self, space: Space, address: int, length: int, prot: int, file: str | None) -> str:
        flags = _vm_flags(prot)
        ret = self.kernel.sys_mmap(space.mm, address, length, flags, fixed=True, file=file)
        if ret < 0:
            return _reason(ret, NO_ROOM)
        end = address + PAGE_ALIGN(length)
        space.forget(address, end)
        self._touch(space, address, end)
        return ""

    def _unmap(self, space: Space, address: int, length: int) -> str:
        ret = self.kernel.sys_munmap(space.mm, address, length)
        if ret == 0:
            space.forget(address, address + PAGE_ALIGN(length))
        return _reason(ret, NO_ROOM)

    def _touch(self, space: Space, start: int, end: int) -> None:
        """Write the first pages of a range that are anonymous and may be written."""
        if not self.touch.share:
            return
        left = self.touch.pages((end - start) // PAGE_SIZE)
        vma = self.kernel.find_vma(space.mm, start)
        while vma is not None and vma.vm_start < end:
            if may_be_written(vma):
                first, last = max(start & PAGE_MASK, vma.vm_start), min(end, vma.vm_end)
                pages = (last - first) // PAGE_SIZE
                count = min(left, pages)
                for number in range(count):
                    self._write(space, first + number * PAGE_SIZE)
                self.result.untouched += pages - count
                left -= count
            vma = vma.vm_next

    def _fault(self, pid: int, until: float) -> None:
        """What the task, and those who share its memory, touched by then."""
        space = self.system.of.get(pid)
        if space is not None:
            for fault in self.faults.due(space.users, until):
                self.result.faults[self._access(space, fault)] += 1

    def _access(self, space: Space, fault: Fault) -> str:
        """Touch a page again: what comes of it."""
        address = fault.address & PAGE_MASK
        vma = self.kernel.find_vma(space.mm, address)
        if vma is None or address < vma.vm_start or vma.vm_file is not None:
            return ELSEWHERE
        if fault.write:
            return WRITTEN if self._write(space, address) else ELSEWHERE
        return ELSEWHERE if isinstance(self.kernel.user_read(space.mm, address), int) else READ

    def _write(self, space: Space, address: int) -> bool:
        """Fill a page with a word that no other page has: whether it may be written."""
        self.word += 1
        held = contents.fill(self.word)
        if self.kernel.user_write(space.mm, address, lambda _: held) != 0:
            return False
        space.written[address] = held
        self.result.touched += 1
        return True


def _vm_flags(prot: int) -> int:
    """PROT_READ, PROT_WRITE and PROT_EXEC have the numbers of VM_READ, VM_WRITE and VM_EXEC."""
    return prot & (VM_READ | VM_WRITE | VM_EXEC)


def _backing(event: Mmap) -> str | None:
    """None for private anonymous memory; else what is mapped instead."""
    if not event.anonymous:
        return event.file or "file"
    if event.shared:
        return "shared"
    return next((what for flag, what in BARE_FLAGS.items() if flag in event.flags), None)


def _reason(ret: int, why: str = UNKNOWN_RANGE) -> str:
    """Why a call that worked then does not here."""
    return "" if ret >= 0 else f"{errno.errorcode.get(-ret, str(-ret))}: {why}"
