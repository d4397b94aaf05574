"""A kernel with processes on it: what the steps of a litmus do.

Each operation is a method of that name; it returns 0 or a negative error number, as a call does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from rmaplab.history.v4_14_vmas import MADV_WIPEONFORK, VM_WIPEONFORK
from rmaplab.kernel import contents, madvise
from rmaplab.kernel.exec import STACK_TOP_MAX, LinuxBinprm
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.mm_types import EINVAL, ENOMEM, PAGE_SHIFT, PAGE_SIZE, VM_READ, VM_WRITE
from rmaplab.kernel.mmap import MAP_GROWSDOWN
from rmaplab.kernel.mremap import MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE
from rmaplab.kernel.pgtable import Pte, SwapEntry
from rmaplab.machine import Machine, Struct, pointer, pte_get, pte_offset_map, rb_items, value
from rmaplab.runner.accesses import ESRCH, Accesses
from rmaplab.runner.activities import Activities
from rmaplab.runner.places import address_of, page_of
from rmaplab.runner.shadow import DictShadows, FrozenShadows, Shadows

PROTECTIONS = {"none": 0, "r": VM_READ, "rw": VM_READ | VM_WRITE}
ADVICE = {
    "mergeable": madvise.MADV_MERGEABLE,
    "unmergeable": madvise.MADV_UNMERGEABLE,
    "dontneed": madvise.MADV_DONTNEED,
    "free": madvise.MADV_FREE,
    "cold": madvise.MADV_COLD,
    "pageout": madvise.MADV_PAGEOUT,
    "dontfork": madvise.MADV_DONTFORK,
    "dofork": madvise.MADV_DOFORK,
    "wipeonfork": MADV_WIPEONFORK,
}


def _range(at: int, n: int) -> tuple[int, int]:
    """The address and the length of pages."""
    return address_of(at), n << PAGE_SHIFT


class Task(Struct):
    """A process of the scenario. `shadow` is its memory as if nothing were ever shared."""

    mm: Any = pointer()
    shadow: Any = value((), marked="of the checker, not of the kernel", hidden=True)


class NewStack(NamedTuple):
    """A stack before exec moves it: the pages where it will be, and what the kernel knows of it."""

    at: int
    n: int
    bprm: LinuxBinprm

    @property
    def first(self) -> int:
        """The page where it begins now."""
        return page_of(STACK_TOP_MAX) - self.n

    @property
    def pages(self) -> range:
        """Where it will be."""
        return range(self.at, self.at + self.n)


def program_of(name: str) -> str:
    """What the program is called that a process will have after exec."""
    return f"{name} in exec"


class System(Activities, Accesses):
    """A kernel, its processes, and what runs them."""

    def __init__(
        self,
        kernel: type[Kernel],
        machine: Machine,
        processes: tuple[str, ...],
        config: Mapping[str, bool] | None = None,
        bound: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.machine = machine
        self.kernel = kernel(machine, **(config or {}))
        self.bound = bound or {}
        self.tasks: dict[str, Any] = {}
        self._stacks: dict[str, NewStack] = {}
        #: Whether a child may find less than its parent has: a stack grows to where something was,
        #: or memory is wiped. A constant of the scenario: see fork().
        self.may_inherit_less = False
        self.shadows: Shadows = FrozenShadows() if machine.goes_back else DictShadows()
        for name in processes:
            self.start(name)
        if self.kernel.CONFIG_KSM:
            self.kernel.run_store(1)

    # Observations

    def processes(self) -> Iterator[tuple[str, Any]]:
        """The living processes and their address spaces."""
        for name, task in self.tasks.items():
            if task.mm is not None:
                yield name, task.mm

    def name_of_mm(self, mm: Any) -> str:
        """The process of an address space."""
        return next((name for name, other in self.processes() if other is mm), "?")

    def shadow(self, name: str) -> dict[int, Any]:
        """What a process must find in its memory, by address."""
        return dict(self.tasks[name].shadow)

    def contents_of(self, entry: Pte | SwapEntry) -> Any:
        """What the page of a page table entry holds, in memory or in swap."""
        if isinstance(entry, SwapEntry):
            slot = self.kernel.swap_slot(entry)
            return slot.contents if slot.page is None else slot.page.contents
        if entry.special:
            return contents.ZERO
        return self.kernel.pfn_to_page(entry.pfn).contents

    def page_at(self, name: str, page: int) -> Any:
        """The page that a process has mapped at a page number; None if there is none.

        Of a process in exec it may be a page of the new stack, wherever that is by now.
        """
        stack, program = self._stacks.get(name), program_of(name)
        if stack is not None and page in stack.pages and self.tasks[program].mm is not None:
            name, page = program, page - stack.at + stack.first
        mm = self.tasks[name].mm
        ptep = pte_offset_map(mm.pgd, address_of(page)) if mm is not None else None
        entry = pte_get(ptep) if ptep is not None else None
        if isinstance(entry, Pte) and not entry.special:
            return self.kernel.pfn_to_page(entry.pfn)
        return None

    # Processes

    def declare(self, name: str) -> Any:
        """A place for a process that is not there yet."""
        if name not in self.tasks:
            self.tasks[name] = self.machine.static(Task, name)
        return self.tasks[name]

    def start(self, name: str) -> None:
        """A process that is there from the start."""
        self.declare(name).mm = self.kernel.mm_alloc()

    def fork(self, p: str, child: str) -> int:
        """The child gets a copy of the address space."""
        task, copy = self.tasks[p], self.declare(child)
        if task.mm is None:
            return -ESRCH
        mm = self.kernel.dup_mm(task.mm)
        if mm is None:
            return -ENOMEM
        copy.mm = mm
        # Also of what is not inherited: no VMA, no question. But a stack may grow to there.
        copy.shadow = self.shadows.copied(task.shadow)
        if self.may_inherit_less:
            self._forget_uninherited(copy)
        return 0

    def _forget_uninherited(self, task: Any) -> None:
        vmas = [vma for vma in rb_items(task.mm.mm_rb) if not vma.vm_flags & VM_WIPEONFORK]
        ranges = [(vma.vm_start, vma.vm_end) for vma in vmas]
        for address in dict(task.shadow):
            if not any(start <= address < end for start, end in ranges):
                task.shadow = self.shadows.without(task.shadow, address, address + PAGE_SIZE)

    def exit(self, p: str) -> int:
        """The process ends."""
        task = self.tasks[p]
        mm = task.mm
        if mm is None:
            return -ESRCH
        task.mm = None
        task.shadow = ()
        self.kernel.mmput(mm)
        return 0

    def new_stack(self, p: str, at: int, n: int = 1, c: int = 0, cs: tuple[int, ...] = ()) -> int:
        """Build the stack that the next `exec` moves here. A litmus does it in its set-up."""
        bprm = LinuxBinprm(self.kernel.mm_alloc())
        if bprm.mm is None:
            return -ENOMEM
        words = [contents.fill(word) for word in cs or (c,) * n]
        stack = NewStack(at, len(words), bprm)
        error = self.kernel._bprm_mm_init(bprm) or self._copy_strings(bprm, words)
        if error:
            self.kernel.mmput(bprm.mm)
            return error
        self._stacks[p] = stack
        program = self.declare(program_of(p))
        program.mm = bprm.mm
        filled = {address_of(page): word for page, word in enumerate(words, stack.first)}
        program.shadow = self.shadows.joined((), filled)
        return 0

    def _copy_strings(self, bprm: LinuxBinprm, words: list[Any]) -> int:
        """Fill pages of a new stack, from its top down; 0 or an error."""
        for number, word in enumerate(reversed(words)):
            page = self.kernel.get_arg_page(bprm, bprm.p - number * PAGE_SIZE)
            if page is None:
                return -ENOMEM
            page.contents = word
            self.kernel.put_page(page)
        return 0

    def exec(self, p: str) -> int:
        """The process gets a fresh address space, with its new stack if it has built one."""
        task = self.tasks[p]
        if task.mm is None:
            return -ESRCH
        if p in self._stacks and self.tasks[program_of(p)].mm is not None:
            return self._begin(p)
        mm = self.kernel.mm_alloc()
        if mm is None:
            return -ENOMEM
        self.kernel.exec_mmap(task, mm)
        task.shadow = ()
        return 0

    def _begin(self, p: str) -> int:
        """Begin the program whose stack is built: what fails now kills the process."""
        task, program, stack = self.tasks[p], self.tasks[program_of(p)], self._stacks[p]
        program.mm = None
        self.kernel.exec_mmap(task, stack.bprm.mm)
        task.shadow = program.shadow
        top = address_of(stack.pages.stop)
        error = self.kernel.setup_arg_pages(replace(stack.bprm), top)
        if error:
            self.exit(p)
            return int(error)
        self._moved(p, stack.first, stack.n, stack.at, stack.n)
        return 0

    # Memory

    def mmap(self, p: str, at: int, n: int = 1, prot: str = "rw", growsdown: bool = False) -> int:
        """Map fresh pages; refuses to replace. A stack (`growsdown`) grows when it is touched."""
        mm = self.tasks[p].mm
        if mm is None:
            return -ESRCH
        flags = MAP_GROWSDOWN if growsdown else 0
        ret = self.kernel.sys_mmap(mm, *_range(at, n), PROTECTIONS[prot], flags=flags)
        if ret >= 0:
            self._forget(p, at, n)
        return min(int(ret), 0)

    def brk(self, p: str, n: int) -> int:
        """Let the heap, which begins at page 0, have so many pages."""
        mm = self.tasks[p].mm
        if mm is None:
            return -ESRCH
        ends = page_of(self.kernel.sys_brk(mm, 0)), page_of(self.kernel.sys_brk(mm, address_of(n)))
        self._forget(p, min(ends), max(ends) - min(ends))
        return 0 if ends[1] == n else -ENOMEM

    def munmap(self, p: str, at: int, n: int = 1) -> int:
        """Unmap pages."""
        mm = self.tasks[p].mm
        if mm is None:
            return -ESRCH
        ret = self.kernel.sys_munmap(mm, address_of(at), n << PAGE_SHIFT)
        if ret == 0:
            self._forget(p, at, n)
        return int(ret)

    def mprotect(self, p: str, at: int, n: int = 1, prot: str = "rw") -> int:
        """Change what is allowed."""
        length = n << PAGE_SHIFT
        mm = self.tasks[p].mm
        if mm is None:
            return -ESRCH
        return int(self.kernel.sys_mprotect(mm, address_of(at), length, PROTECTIONS[prot]))

    def madvise(self, p: str, at: int, n: int = 1, advice: str = "") -> int:
        """Give advice."""
        mm = self.tasks[p].mm
        if mm is None:
            return -ESRCH
        ret = self.kernel.sys_madvise(mm, address_of(at), n << PAGE_SHIFT, ADVICE[advice])
        if advice == "dontneed":
            (self._forget_unmapped if ret == -EINVAL else self._forget)(p, at, n)
        if advice == "free" and self.kernel.madvise_behavior_valid(ADVICE[advice]):
            task = self.tasks[p]
            start, end = address_of(at), address_of(at + n)
            task.shadow = self.shadows.freed(task.shadow, start, end)
        return int(ret)

    def prctl_merge(self, p: str, on: bool) -> int:
        """Have all memory of a process merged, or no longer; -EINVAL in a kernel without that."""
        mm = self.tasks[p].mm
        if mm is None:
            return -ESRCH
        prctl = getattr(self.kernel, "prctl_set_memory_merge", None)
        if prctl is None or not self.kernel.CONFIG_KSM:
            return -EINVAL
        return int(prctl(mm, on))

    def mem_write(self, p: str, at: int, n: int = 1, c: int = 0, step: int = 1) -> int:
        """Fill pages, every `step`-th of so many, through the process's /proc/self/mem."""
        task = self.tasks[p]
        if task.mm is None:
            return -ESRCH
        for number in range(at, at + n, step):
            address = address_of(number)
            ret = self.kernel.mem_write(task.mm, address, lambda _: contents.fill(c))
            if ret:
                return int(ret)
            task.shadow = self.shadows.stored(task.shadow, address, lambda _: contents.fill(c))
        return 0

    def mlock(self, p: str, at: int, n: int = 1) -> int:
        """Lock pages: they are there then, and stay."""
        mm = self.tasks[p].mm
        return -ESRCH if mm is None else int(self.kernel.sys_mlock(mm, *_range(at, n)))

    def munlock(self, p: str, at: int, n: int = 1) -> int:
        """Undo it."""
        mm = self.tasks[p].mm
        return -ESRCH if mm is None else int(self.kernel.sys_munlock(mm, *_range(at, n)))

    def mremap(
        self, p: str, at: int, n: int = 1, new_n: int | None = None, to: int | None = None,
        dontunmap: bool = False,
    ) -> int:  # fmt: skip
        """Resize a mapping in place or, if there is a `to`, move it there; it replaces.

        With `dontunmap` an empty mapping stays; without a `to`, the kernel picks the place then.
        """
        mm = self.tasks[p].mm
        if mm is None:
            return -ESRCH
        new_n = n if new_n is None else new_n
        flags = 0 if to is None else MREMAP_MAYMOVE | MREMAP_FIXED
        flags |= MREMAP_MAYMOVE | MREMAP_DONTUNMAP if dontunmap else 0
        there = 0 if to is None else address_of(to)
        pieces = self._mapped_pieces(mm, at, n)
        ret = self.kernel.sys_mremap(mm, *_range(at, n), new_n << PAGE_SHIFT, flags, there)
        if to is not None and n == new_n:
            left = self._mapped_pieces(mm, at, n)
            for first, count in pieces:
                if ret >= 0 or (first, count) not in left:
                    self._moved(p, first, count, to + first - at, count)
        elif ret >= 0:
            self._moved(p, at, n, page_of(ret), new_n)
        if ret < 0 and to is not None:
            self._forget_unmapped(p, to, new_n)
            self._forget_unmapped(p, at + new_n, n - new_n)
        return min(int(ret), 0)

    def _mapped_pieces(self, mm: Any, at: int, n: int) -> list[tuple[int, int]]:
        """What of a range is mapped: the first page and the number of pages in each VMA."""
        ends = [(page_of(vma.vm_start), page_of(vma.vm_end)) for vma in rb_items(mm.mm_rb)]
        inside = [(max(start, at), min(end, at + n)) for start, end in ends]
        return [(start, end - start) for start, end in inside if start < end]

    def _moved(self, p: str, at: int, n: int, to: int, new_n: int) -> None:
        """What was in the first pages is elsewhere; all else in both ranges is gone."""
        start, end, by = address_of(at), address_of(at + min(n, new_n)), (to - at) << PAGE_SHIFT
        moved = {a + by: held for a, held in self.shadow(p).items() if start <= a < end}
        self._forget(p, at, n)
        self._forget(p, to, new_n)
        task = self.tasks[p]
        task.shadow = self.shadows.joined(task.shadow, moved)

    def _forget_unmapped(self, p: str, at: int, n: int) -> None:
        """A call that fails may have got as far as here, or not: locked memory stops `dontneed`."""
        for number in range(at, at + n):
            ptep = pte_offset_map(self.tasks[p].mm.pgd, address_of(number))
            if ptep is None or pte_get(ptep) is None:
                self._forget(p, number, 1)

    def _forget(self, p: str, at: int, n: int) -> None:
        start, end = address_of(at), address_of(at + n)
        task = self.tasks[p]
        task.shadow = self.shadows.without(task.shadow, start, end)
