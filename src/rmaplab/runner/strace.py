"""A reader of strace logs: what a real program did to its memory, as typed events."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from io import TextIOWrapper

from rmaplab.errors import InputError, Place
from rmaplab.runner.strace_calls import (
    EVENTS,
    FORKS,
    PROT_EXEC,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
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
)
from rmaplab.runner.strace_tasks import Tasks

__all__ = [
    "HOW_TO_RECORD",
    "PROT_EXEC",
    "PROT_NONE",
    "PROT_READ",
    "PROT_WRITE",
    "Brk",
    "Event",
    "Exec",
    "Exit",
    "Fork",
    "Madvise",
    "Mlock",
    "Mmap",
    "Mprotect",
    "Mremap",
    "Munmap",
    "StraceLog",
    "read_strace",
]

HOW_TO_RECORD = "record it with: rmaplab record -o LOG -- COMMAND"


class StraceLog:
    """A log, read anew by each iteration; the counters are those of the latest one."""

    def __init__(self, path: str, timed: bool = False) -> None:
        self.path = path
        self.timed = timed
        self.skipped: Counter[str] = Counter()  # calls that are no event, by name
        self.failed: Counter[str] = Counter()  # calls that changed nothing, by name

    def __iter__(self) -> Iterator[Event]:
        self.skipped.clear()
        self.failed.clear()
        reader = _Reader(self)
        return reader.timed_events() if self.timed else reader.events()

    @property
    def events(self) -> list[Event]:
        """All events at once."""
        return list(self)


def read_strace(path: str, timed: bool = False) -> StraceLog:
    """The log at `path`; damage further down is told when the iteration gets there.

    With `timed` the events have their times: the log must be one of `strace -ttt`.
    """
    with _open(path) as file:
        start = file.read(4096)
    if not start:
        raise InputError(f"the log is empty; {HOW_TO_RECORD}", Place(path))
    if "\0" in start:
        raise InputError(f"a binary file, not a log of strace; {HOW_TO_RECORD}", Place(path))
    return StraceLog(path, timed)


def _open(path: str) -> TextIOWrapper:
    try:
        return open(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        message = f"the log cannot be read ({error.strerror}); {HOW_TO_RECORD}"
        raise InputError(message, Place(path)) from error


_HEAD = (
    r"^ *(?:(?:\[pid +)?(\d+)(?:\] +| +))?"  # -f
    r"(?:(?:[\d:]{8}(?:\.\d+)?|\d+\.\d+) +(?:\(\+ *\d+\.\d+\) )?)?"  # -t, -tt, -ttt, -r
    r"(?:\[[ 0-9a-f?]+\] )*"  # -i, -n
)
_CALL = re.compile(_HEAD + r"([a-z_?][\w?]*)\((.*)\) += (\S+)(.*)$")
_UNFINISHED = re.compile(_HEAD + r"(([a-z_?][\w?]*)\(.*?) *<(?:unfinished|detached) \.\.\.>$")
_RESUMED = re.compile(_HEAD + r"<\.\.\. ([\w?]+) resumed>(.*)$")
_GONE = re.compile(_HEAD + r"\+\+\+ (?:exited with|killed by) .*\+\+\+$")
_SUPERSEDED = re.compile(_HEAD + r"\+\+\+ superseded by execve in pid (\d+) \+\+\+$")
_SIGNAL = re.compile(_HEAD + r"--- .* ---$")
_NOTE = re.compile(r"^(.*)strace: Process (\d+) (?:attached|detached)$")
_TIME = re.compile(r"^ *(?:\[pid +)?\d+\]? +(\d{9,}\.\d+) ")  # -f -ttt
_TRANSLATED = re.compile(r" /\* (\d+) in strace's PID NS \*/")


class _Reader:
    """One pass over a log: from lines to calls, from calls to events."""

    def __init__(self, log: StraceLog) -> None:
        self.log = log
        self.line = 0
        self.tasks = Tasks()
        self.pending: dict[int, tuple[str, str]] = {}  # calls under way: name, and what is written
        self.split = ""  # the start of a line that a note of strace's broke
        self.attached: set[int] = set()
        self.time = 0.0  # of the call at hand, if the log is read with its times
        self.nameless = False  # there are lines without a pid
        self.alias = -1  # the pid that the log gives later to the task called 0 here

    def events(self) -> Iterator[Event]:
        """The events in order."""
        complete = _CALL.match
        with _open(self.log.path) as file:
            for self.line, line in enumerate(file, 1):
                if line[-1] != "\n":
                    raise self.error("the log is cut off in this line", line)
                if self.log.timed:
                    self.read_time(line)
                call = None if self.split or line.endswith("...>\n") else complete(line)
                if call is not None:
                    yield from self.call(call)
                else:
                    yield from self.odd_line(line[:-1])
        if self.split:
            raise self.error("the log is cut off after this line", self.split)
        yield from self.tasks.release()

    def timed_events(self) -> Iterator[Event]:
        """The events, each with its time; an Exit that another task's call caused has its time."""
        for event in self.events():
            event.time = event.time or self.time
            if not event.time:
                raise InputError(f"no times; {HOW_TO_RECORD}", Place(self.log.path, self.line))
            yield event

    def read_time(self, line: str) -> None:
        """When a call began, if the line tells."""
        found = _TIME.match(line)
        if found is not None:
            self.time = float(found[1])

    def error(self, what: str, line: str) -> InputError:
        """Damage in the present line."""
        shown = line.strip()
        shown = shown if len(shown) <= 60 else f"{shown[:60]}..."
        return InputError(f"{what}: {shown!r}; {HOW_TO_RECORD}", Place(self.log.path, self.line))

    def call(self, call: re.Match[str]) -> list[Event]:
        """A line with a whole call."""
        digits, name, args, result, rest = call.groups()
        pid = self.who(digits) if self.nameless or digits is None else int(digits)
        if pid in self.pending:
            raise self.error(f"a call before the end of {self.pending[pid][0]}", call[0])
        if pid not in self.tasks.alive:
            self.tasks.meet(pid)
        return self.returned(pid, name, args, result, rest)

    def returned(self, pid: int, name: str, args: str, result: str, rest: str) -> list[Event]:
        """A call is over: what it did."""
        tasks = self.tasks
        if pid in tasks.gone:
            self.log.skipped[name] += 1
            return []
        if name == "exit_group":
            return tasks.end_process(pid)
        if name == "exit":
            return tasks.put(Exit(pid))
        make = EVENTS.get(name)
        if make is None or result[0] in "-?":
            counter = self.log.skipped if make is None else self.log.failed
            counter[name] += 1
            return []
        translated = _TRANSLATED.match(rest) if rest else None
        try:
            event = make(pid, args.rstrip(), translated[1] if translated else result)
        except ValueError as error:
            raise self.error(f"{name} with strange operands", f"{args}) = {result}") from error
        event.time = self.time
        if tasks.held or isinstance(event, Fork | Exec):
            return tasks.put(event)
        return [event]

    def odd_line(self, line: str) -> list[Event]:
        """A line that is not one whole call."""
        line, self.split = self.split + line, ""
        if note := _NOTE.match(line):
            self.split = note[1]
            self.attached.add(int(note[2]))
            return []
        if unfinished := _UNFINISHED.match(line):
            return self.unfinished(*unfinished.groups())
        if resumed := _RESUMED.match(line):
            return self.resumed(line, *resumed.groups())
        if call := _CALL.match(line):
            return self.call(call)
        if gone := _GONE.match(line):
            return self.ended(self.who(gone[1]))
        if superseded := _SUPERSEDED.match(line):
            return self.superseded(self.who(superseded[1]), int(superseded[2]))
        if _SIGNAL.match(line):
            return []
        raise self.error("not a line of strace's", line)

    def unfinished(self, digits: str | None, start: str, name: str) -> list[Event]:
        """The start of a call; other tasks come in between."""
        pid = self.who(digits)
        if pid in self.pending:
            raise self.error(f"a call before the end of {self.pending[pid][0]}", start)
        self.tasks.meet(pid)
        self.pending[pid] = name, start
        if name in FORKS:
            self.tasks.forking.add(pid)
        return []

    def resumed(self, line: str, digits: str | None, name: str, tail: str) -> list[Event]:
        """The end of a call: now it takes place."""
        pid = self.who(digits, resumes=True)
        began, start = self.pending.pop(pid, ("", ""))
        call = _CALL.match(start + tail)
        if began != name or call is None:
            raise self.error(f"the end of a {name} that did not begin", line)
        if self.log.timed:
            self.read_time(start)
        ready = self.returned(pid, *call.groups()[1:])
        return [*ready, *self.tasks.settle(pid)] if name in FORKS else ready

    def ended(self, pid: int) -> list[Event]:
        """The task is gone, in the middle of a call perhaps."""
        self.pending.pop(pid, None)
        self.tasks.meet(pid)
        ready = self.tasks.bury(pid)
        return [*ready, *self.tasks.settle(pid)] if pid in self.tasks.forking else ready

    def superseded(self, pid: int, thread: int) -> list[Event]:
        """A thread called execve: it goes on under the pid of its process."""
        self.pending.pop(pid, None)
        if thread in self.pending:
            self.pending[pid] = self.pending.pop(thread)
        if pid not in self.tasks.gone:
            return self.tasks.bury(thread)
        back = Fork(thread, pid, vm_shared=True, vfork=False)  # the first thread had left
        return [*self.tasks.put(back), *self.tasks.bury(thread)]

    def who(self, digits: str | None, resumes: bool = False) -> int:
        """The task of a line; without -o strace leaves its pid out while there is only one."""
        tasks = self.tasks
        if digits is None:
            self.nameless = True
            present = tasks.alive or tasks.gone
            return next(iter(present)) if len(present) == 1 else 0
        pid = int(digits)
        if self.nameless and self.alias < 0 and 0 in tasks.alive:
            new = not (pid in tasks.alive or pid in tasks.gone or pid in self.attached)
            if new and resumes == (0 in self.pending):
                self.alias = pid
        return 0 if pid == self.alias else pid
