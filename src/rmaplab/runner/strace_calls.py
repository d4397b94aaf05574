"""The system calls that change memory or make tasks: from what strace prints to typed events."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC = 0, 1, 2, 4


@dataclass(slots=True)
class Event:
    """Something that the task `pid` did; 0 is the task that a log without pids never names.

    `time` is when the call began, in seconds since 1970, if the log is read with its times.
    """

    pid: int
    time: float = field(default=0.0, kw_only=True, compare=False, repr=False)


@dataclass(slots=True)
class Mmap(Event):
    """`address` is the one that the kernel gave; `flags` are the kernel's names."""

    address: int
    length: int
    prot: int
    flags: frozenset[str]
    anonymous: bool
    file: str | None  # the path if strace was given -y, else the descriptor's number
    fixed: bool

    @property
    def shared(self) -> bool:
        """Whether writes are seen by others."""
        return "MAP_PRIVATE" not in self.flags


@dataclass(slots=True)
class Munmap(Event):
    """A range is unmapped."""

    address: int
    length: int


@dataclass(slots=True)
class Mprotect(Event):
    """A range gets other rights."""

    address: int
    length: int
    prot: int


@dataclass(slots=True)
class Brk(Event):
    """The heap ends at `address` now, whatever was asked for."""

    address: int


@dataclass(slots=True)
class Madvise(Event):
    """`advice` is the kernel's name, such as MADV_MERGEABLE."""

    address: int
    length: int
    advice: str


@dataclass(slots=True)
class Mlock(Event):
    """A range is locked into memory, or no longer."""

    address: int
    length: int
    on: bool


@dataclass(slots=True)
class Mremap(Event):
    """The range at `old` stands at `result` now, with another length."""

    old: int
    old_len: int
    new_len: int
    flags: frozenset[str]
    result: int


@dataclass(slots=True)
class Fork(Event):
    """A new task; it has the memory of its parent (`vm_shared`, `vfork`) or else a copy."""

    child: int
    vm_shared: bool  # a thread: for good
    vfork: bool  # until the child calls execve or exits


@dataclass(slots=True)
class Exec(Event):
    """The task has new, empty memory."""


@dataclass(slots=True)
class Exit(Event):
    """The task is gone; each thread of a process has an Exit of its own."""


# One call to one event: its arguments, its result.
_RIGHTS = {
    "PROT_NONE": PROT_NONE,
    "PROT_READ": PROT_READ,
    "PROT_WRITE": PROT_WRITE,
    "PROT_EXEC": PROT_EXEC,
}
_COMMENT = re.compile(r" */\*.*?\*/")


@lru_cache(maxsize=1024)
def _prot(text: str) -> int:
    words = _COMMENT.sub("", text).split("|")
    prot = 0
    for word in words:
        if word in _RIGHTS:
            prot |= _RIGHTS[word]
        elif not word.startswith("PROT_"):  # PROT_SEM, PROT_GROWSDOWN and such are no rights
            prot |= int(word, 0) & 7
    return prot


@lru_cache(maxsize=1024)
def _flags(text: str) -> frozenset[str]:
    return frozenset(_COMMENT.sub("", text).split("|"))


def _address(text: str) -> int:
    return 0 if text == "NULL" else int(text, 0)


def _mmap(pid: int, args: str, result: str) -> Event:
    _, length, prot, flag_text, *file, _ = args.split(", ")
    flags = _flags(flag_text)
    if flags.isdisjoint(("MAP_PRIVATE", "MAP_SHARED", "MAP_SHARED_VALIDATE")) or not file:
        raise ValueError(args)
    anonymous = "MAP_ANONYMOUS" in flags
    fixed = "MAP_FIXED" in flags or "MAP_FIXED_NOREPLACE" in flags
    name = None if anonymous else _file(", ".join(file))
    return Mmap(pid, int(result, 16), int(length, 0), _prot(prot), flags, anonymous, name, fixed)


def _file(descriptor: str) -> str:
    number, _, path = descriptor.partition("<")
    return path.removesuffix(">") or number


def _munmap(pid: int, args: str, _result: str) -> Event:
    address, length = args.split(", ")
    return Munmap(pid, _address(address), int(length, 0))


def _mprotect(pid: int, args: str, _result: str) -> Event:
    address, length, prot, *_key = args.split(", ")
    return Mprotect(pid, _address(address), int(length, 0), _prot(prot))


def _brk(pid: int, _args: str, result: str) -> Event:
    return Brk(pid, int(result, 16))


def _madvise(pid: int, args: str, _result: str) -> Event:
    address, length, advice = args.split(", ")
    return Madvise(pid, _address(address), int(length, 0), advice)


def _mlock(pid: int, args: str, _result: str) -> Event:
    address, length = args.split(", ")
    return Mlock(pid, _address(address), int(length, 0), on=True)


def _munlock(pid: int, args: str, _result: str) -> Event:
    address, length = args.split(", ")
    return Mlock(pid, _address(address), int(length, 0), on=False)


def _mremap(pid: int, args: str, result: str) -> Event:
    old, old_len, new_len, flags, *_new = args.split(", ")
    lengths = int(old_len, 0), int(new_len, 0)
    return Mremap(pid, _address(old), *lengths, _flags(flags), int(result, 16))


def _fork(pid: int, _args: str, result: str) -> Event:
    return Fork(pid, int(result), vm_shared=False, vfork=False)


def _vfork(pid: int, _args: str, result: str) -> Event:
    return Fork(pid, int(result), vm_shared=False, vfork=True)


def _clone(pid: int, args: str, result: str) -> Event:
    found = re.search(r"\bflags=([\w|]+)", args)
    if found is None:
        raise ValueError(args)
    flags = _flags(found[1])
    shares, waits = "CLONE_VM" in flags, "CLONE_VFORK" in flags
    return Fork(pid, int(result), vm_shared=shares and not waits, vfork=shares and waits)


def _exec(pid: int, _args: str, _result: str) -> Event:
    return Exec(pid)


FORKS = {"clone": _clone, "clone2": _clone, "clone3": _clone, "fork": _fork, "vfork": _vfork}
EVENTS: dict[str, Callable[[int, str, str], Event]] = {
    **FORKS,
    "mmap": _mmap,
    "mmap2": _mmap,
    "munmap": _munmap,
    "mprotect": _mprotect,
    "pkey_mprotect": _mprotect,
    "brk": _brk,
    "madvise": _madvise,
    "mlock": _mlock,
    "munlock": _munlock,
    "mremap": _mremap,
    "execve": _exec,
    "execveat": _exec,
}
