"""A kernel with processes on it: what the steps of a litmus do.

Each operation is a method of that name; it returns 0 or a negative error number, as a call does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rmaplab.kernel import contents, madvise
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.mm_types import EINVAL, ENOMEM, PAGE_SHIFT, PAGE_SIZE, VM_READ, VM_WRITE
from rmaplab.kernel.pgtable import Pte
from rmaplab.kernel.rmap import SWAP_AGAIN
from rmaplab.machine import (
    KernelStateError,
    Machine,
    Struct,
    pointer,
    pte_get,
    pte_offset_map,
    spin_unlock,
    value,
)

ESRCH = 3
EBUSY = 16

#: Page numbers of a litmus count from here, 2 MiB aligned.
BASE = 0x10000000

PROTECTIONS = {"none": 0, "r": VM_READ, "rw": VM_READ | VM_WRITE}
ADVICE = {
    "mergeable": madvise.MADV_MERGEABLE,
    "unmergeable": madvise.MADV_UNMERGEABLE,
    "dontneed": madvise.MADV_DONTNEED,
    "dontfork": madvise.MADV_DONTFORK,
    "dofork": madvise.MADV_DOFORK,
}


class Task(Struct):
    """A process of the scenario. `shadow` is its memory as if nothing were ever shared."""

    mm: Any = pointer()
    shadow: Any = value((), marked="of the checker, not of the kernel")


def address_of(page: int) -> int:
    """The address of a page of the scenario."""
    return BASE + (page << PAGE_SHIFT)


class System:
    """A kernel, its processes, and what runs them."""

    def __init__(
        self,
        kernel: type[Kernel],
        machine: Machine,
        processes: tuple[str, ...],
        config: Mapping[str, bool] | None = None,
    ) -> None:
        self.machine = machine
        self.kernel = kernel(machine, **(config or {}))
        self.tasks: dict[str, Any] = {}
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

    def contents_of(self, entry: Pte) -> Any:
        """What the page of a page table entry holds."""
        if entry.special:
            return contents.ZERO
        return self.kernel.pfn_to_page(entry.pfn).contents

    def page_at(self, name: str, page: int) -> Any:
        """The page that a process has mapped at a page number; None if there is none."""
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
        copy.shadow = task.shadow  # also of what is not inherited: no VMA, no question
        return 0

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

    def exec(self, p: str) -> int:
        """The process gets a fresh address space."""
        task = self.tasks[p]
        mm = self.kernel.exec_mmap(task.mm)
        if mm is None:
            return -ENOMEM
        task.mm = mm
        task.shadow = ()
        return 0

    # Memory

    def mmap(self, p: str, at: int, n: int = 1, prot: str = "rw") -> int:
        """Map fresh pages; refuses to replace."""
        mm = self.tasks[p].mm
        ret = self.kernel.sys_mmap(mm, address_of(at), n << PAGE_SHIFT, PROTECTIONS[prot])
        if ret >= 0:
            self._forget(p, at, n)
        return min(int(ret), 0)

    def munmap(self, p: str, at: int, n: int = 1) -> int:
        """Unmap pages."""
        ret = self.kernel.sys_munmap(self.tasks[p].mm, address_of(at), n << PAGE_SHIFT)
        if ret == 0:
            self._forget(p, at, n)
        return int(ret)

    def mprotect(self, p: str, at: int, n: int = 1, prot: str = "rw") -> int:
        """Change what is allowed."""
        length = n << PAGE_SHIFT
        mm = self.tasks[p].mm
        return int(self.kernel.sys_mprotect(mm, address_of(at), length, PROTECTIONS[prot]))

    def madvise(self, p: str, at: int, n: int = 1, advice: str = "") -> int:
        """Give advice."""
        mm = self.tasks[p].mm
        ret = self.kernel.sys_madvise(mm, address_of(at), n << PAGE_SHIFT, ADVICE[advice])
        if advice == "dontneed":
            self._forget(p, at, n)
        return int(ret)

    def _forget(self, p: str, at: int, n: int) -> None:
        start, end = address_of(at), address_of(at + n)
        task = self.tasks[p]
        task.shadow = tuple((a, held) for a, held in task.shadow if not start <= a < end)

    def _change(self, p: str, at: int, n: int, new: Callable[[int, Any], Any]) -> int:
        """Store into pages, and into the shadow what got stored."""
        task = self.tasks[p]
        shadow = dict(task.shadow)
        error = 0
        for number in range(n):
            address = address_of(at) + number * PAGE_SIZE
            change = _Change(number, new)
            error = self.kernel.user_write(task.mm, address, change)
            if error:
                break
            shadow[address] = new(number, shadow.get(address, contents.ZERO))
        task.shadow = tuple(sorted(shadow.items()))
        return error

    def write(
        self,
        p: str,
        at: int,
        n: int = 1,
        c: int = 0,
        cs: tuple[int, ...] = (),
        low: bool = False,
    ) -> int:
        """Fill pages with words. (`low` asks a real kernel for low frames: nothing to do here.)"""
        words = tuple(cs) or (c,) * n
        return self._change(p, at, len(words), lambda number, _: contents.fill(words[number]))

    def poke(self, p: str, at: int, n: int = 1, off: int = 0, v: int = 0) -> int:
        """Store one byte in each page."""
        return self._change(p, at, n, lambda _, old: contents.poke(old, off, v))

    def read(self, p: str, at: int, n: int = 1) -> int:
        """Load a byte of each page."""
        for number in range(n):
            got = self.kernel.user_read(self.tasks[p].mm, address_of(at + number))
            if isinstance(got, int):
                return got
        return 0

    def fault(self, p: str, at: int, n: int = 1, write: bool = False) -> int:
        """Fault pages in without changing them."""
        if write:
            return self._change(p, at, n, lambda _, old: old)
        return self.read(p, at, n)

    # The kernel's own activities

    def scan_step(self) -> bool:
        """One turn of ksmd's loop; whether the pass goes on."""
        return bool(self.kernel.ksm_scan_one_page())

    def scan(self, k: int = 1) -> int:
        """Whole passes of ksmd."""
        for _ in range(k):
            while self.scan_step():
                pass
        return 0

    def unmerge_all(self) -> int:
        """run = 2, then 0, then 1 again: the daemon goes on."""
        error = self.kernel.run_store(2)
        return int(error or self.kernel.run_store(0) or self.kernel.run_store(1))

    def set(self, knob: str, value: int) -> int:
        """Write a KSM knob."""
        store = getattr(self.kernel, f"{knob}_store", None)
        return int(store(value)) if store is not None else -EINVAL

    def isolate(self, page: Any) -> bool:
        """Isolate a page, as compaction does: no mmap_sem is held."""
        return page is not None and not self.kernel.isolate_lru_page(page)

    def migrate_pass(self, page: Any, force: bool) -> bool:
        """One pass of migrate_pages() over an isolated page; whether it wants another."""
        pages = [page]
        retry, _, _ = self.kernel.migrate_pass(pages, self._new_page, force, False)
        if not retry:
            self.kernel.putback_lru_pages(pages)
        return bool(retry)

    def putback(self, page: Any) -> None:
        """Give an isolated page up."""
        self.kernel.putback_lru_page(page)

    def migrate_page(self, page: Any) -> int:
        """Isolate a page and migrate it."""
        if not self.isolate(page):
            return -EBUSY
        return -EBUSY if self.kernel.migrate_pages([page], self._new_page) else 0

    def _new_page(self, _: Any) -> Any:
        return self.kernel.alloc_page()

    def migrate(self, p: str, at: int, n: int = 1) -> int:
        """Migrate pages of a process."""
        results = [self.migrate_page(self.page_at(p, at + number)) for number in range(n)]
        return next((ret for ret in results if ret), 0)

    def compact(self) -> int:
        """Migrate every page that is mapped and not merged."""
        for page in self.kernel.page_cachep.live():
            if not self.kernel.PageKsm(page):
                self.migrate_page(page)
        return 0

    def ballast(self) -> int:
        """Fragment memory: only a real kernel needs it."""
        return 0

    def reclaim_page(self, page: Any) -> int:
        """Isolate a page and look whether it was used, as shrink_active_list does."""
        if page is None or self.kernel.isolate_lru_page(page):
            return -EBUSY
        self.kernel.page_referenced(page, False)
        self.kernel.putback_lru_page(page)
        return 0

    def reclaim(self, p: str, at: int, n: int = 1) -> int:
        """What reclaim does to pages before it would swap them out, which needs a swap device."""
        results = [self.reclaim_page(self.page_at(p, at + number)) for number in range(n)]
        return next((ret for ret in results if ret), 0)

    def walk_page(self, page: Any) -> int:
        """A reverse map walk of an isolated, locked page: no entry may be visited twice."""
        if page is None or self.kernel.isolate_lru_page(page):
            return -EBUSY
        self.kernel.lock_page(page)
        self.kernel.rmap_walk(page, self._visit, [])
        self.kernel.unlock_page(page)
        self.kernel.putback_lru_page(page)
        return 0

    def _visit(self, page: Any, vma: Any, address: int, visited: list[tuple[Any, int]]) -> int:
        mm = vma.vm_mm
        if self.kernel.page_check_address(page, mm, address, True) is not None:
            spin_unlock(mm.page_table_lock)
            if (mm, address) in visited:
                number = (address - BASE) >> PAGE_SHIFT
                message = f"the walk visits the entry of page {number} in one mm twice"
                raise KernelStateError("missed-mapping", message, page)
            visited.append((mm, address))
        return SWAP_AGAIN

    def walk(self, p: str, at: int, n: int = 1) -> int:
        """Walk the reverse map of pages."""
        results = [self.walk_page(self.page_at(p, at + number)) for number in range(n)]
        return next((ret for ret in results if ret), 0)


class _Change:
    """What a store makes of a page: compares equal to another that does the same."""

    def __init__(self, number: int, new: Callable[[int, Any], Any]) -> None:
        self.number = number
        self.new = new

    def __call__(self, old: Any) -> Any:
        return self.new(self.number, contents.ZERO if old is None else old)
