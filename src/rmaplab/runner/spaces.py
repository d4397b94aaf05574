"""The address spaces of a replayed program: who uses which, and what was written to each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rmaplab.kernel import contents
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.mm_types import PAGE_SIZE, VM_WRITE
from rmaplab.machine import atomic_inc, pte_get, pte_offset_map
from rmaplab.machine.direct import DirectMachine
from rmaplab.runner.system import System


class Space:
    """An address space: threads and a vfork child share it."""

    def __init__(self, name: str, mm: Any) -> None:
        self.name = name
        self.mm = mm
        self.users: set[int] = set()
        self.written: dict[int, contents.Contents] = {}
        self.has_heap = False  # the first brk tells where it begins

    def forget(self, start: int, end: int) -> None:
        """Nothing that was written to this range is there any more."""
        if (end - start) // PAGE_SIZE < len(self.written):
            for address in range(start, end, PAGE_SIZE):
                self.written.pop(address, None)
        else:
            kept = {at: held for at, held in self.written.items() if not start <= at < end}
            self.written = kept

    def forget_unmapped(self, start: int, end: int) -> None:
        """A call on this range failed: it may have unmapped some of it by then, or nothing."""
        for address in [at for at in self.written if start <= at < end]:
            ptep = pte_offset_map(self.mm.pgd, address)
            if ptep is None or pte_get(ptep) is None:
                del self.written[address]

    def move(self, start: int, old_len: int, to: int, new_len: int) -> None:
        """What was written to the first pages is elsewhere; all else in both ranges is gone."""
        end = start + min(old_len, new_len)
        moved = {at - start + to: held for at, held in self.written.items() if start <= at < end}
        self.forget(start, start + old_len)
        self.forget(to, to + new_len)
        self.written |= moved


def may_be_written(vma: Any) -> bool:
    """Whether a write to the VMA makes anonymous pages."""
    return vma.vm_file is None and bool(vma.vm_flags & VM_WRITE)


class ReplaySystem(System):
    """A system whose processes are address spaces, so that the truths look at each one once."""

    def __init__(self, kernel: type[Kernel], machine: DirectMachine) -> None:
        super().__init__(kernel, machine, ())
        self.spaces: dict[str, Space] = {}
        self.of: dict[int, Space] = {}  # by pid

    def processes(self) -> Iterator[tuple[str, Any]]:
        """The address spaces that somebody uses."""
        for name, space in self.spaces.items():
            yield name, space.mm

    def size(self) -> int:
        """How much a look at everything looks at: objects, and pages that were written."""
        objects = sum(cache.count() for cache in self.machine.caches)
        return objects + sum(len(space.written) for space in self.spaces.values())

    def shadow(self, name: str) -> dict[int, Any]:
        """What was written to one of them."""
        return dict(self.spaces[name].written)

    def space_of(self, pid: int) -> Space:
        """The address space of a task; a task that the log does not introduce gets a fresh one."""
        return self.of.get(pid) or self._open(pid, self.kernel.mm_alloc())

    def share(self, pid: int, child: int) -> Space:
        """A thread, or the child of a vfork, uses the same address space."""
        space = self.space_of(pid)
        self.leave(child)
        atomic_inc(space.mm.mm_users)
        space.users.add(child)
        self.of[child] = space
        return space

    def copy(self, pid: int, child: int) -> Space:
        """The child of a fork has a copy."""
        parent = self.space_of(pid)
        self.leave(child)
        space = self._open(child, self.kernel.dup_mm(parent.mm))
        space.written = dict(parent.written)
        space.has_heap = parent.has_heap
        return space

    def fresh(self, pid: int) -> Space:
        """A task that calls execve gets a fresh one; it lets the old one go."""
        old = self._take(pid)
        if old is None:
            return self.space_of(pid)
        mm = self.kernel.mm_alloc()
        self.kernel.mmput(old.mm)
        return self._open(pid, mm)

    def leave(self, pid: int) -> None:
        """A task ends; with the last one its address space goes."""
        space = self._take(pid)
        if space is not None:
            self.kernel.mmput(space.mm)

    def _take(self, pid: int) -> Space | None:
        space = self.of.pop(pid, None)
        if space is not None:
            space.users.discard(pid)
            if not space.users:
                del self.spaces[space.name]
        return space

    def _open(self, pid: int, mm: Any) -> Space:
        name = next(name for name in _names(pid) if name not in self.spaces)
        self.spaces[name] = self.of[pid] = space = Space(name, mm)
        space.users.add(pid)
        return space


def _names(pid: int) -> Iterator[str]:
    """A pid may come again while threads of its first bearer still live."""
    yield str(pid)
    number = 2
    while True:
        yield f"{pid}.{number}"
        number += 1
