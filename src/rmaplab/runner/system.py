"""A kernel with processes on it: what the steps of a litmus do.

Each operation is a method of that name; it returns 0 or a negative error number, as a call does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rmaplab.kernel import contents, madvise
from rmaplab.kernel.fault import RETRY
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.mm_types import EFAULT, EINVAL, ENOMEM, PAGE_SHIFT, VM_READ, VM_WRITE
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
    shadow: Any = value((), marked="of the checker, not of the kernel", hidden=True)


def address_of(page: int) -> int:
    """The address of a page of the scenario."""
    return BASE + (page << PAGE_SHIFT)


def page_of(address: int) -> int:
    """The page of the scenario at an address."""
    return (address - BASE) >> PAGE_SHIFT


@dataclass(frozen=True)
class Access:
    """An access of a process to one page, the `number`-th of its operation."""

    op: str
    page: int
    number: int
    operands: Mapping[str, Any]

    @property
    def stores(self) -> bool:
        """Whether it is a store."""
        return self.op in ("write", "poke") or bool(self.operands.get("write"))

    def new(self, old: Any) -> Any:
        """What the page holds after it."""
        held = contents.ZERO if old is None else old
        if self.op == "write":
            words = self.operands.get("cs")
            return contents.fill(words[self.number] if words else self.operands["c"])
        if self.op == "poke":
            return contents.poke(held, self.operands["off"], self.operands["v"])
        return held


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
        self._pinned: dict[tuple[str, int], Any] = {}
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
        old = task.mm
        if old is None:
            return -ESRCH
        mm = self.kernel.exec_mmap(old)
        if mm is None:
            return -ENOMEM
        task.mm = mm
        task.shadow = ()
        return 0

    # Memory

    def mmap(self, p: str, at: int, n: int = 1, prot: str = "rw") -> int:
        """Map fresh pages; refuses to replace."""
        mm = self.tasks[p].mm
        if mm is None:
            return -ESRCH
        ret = self.kernel.sys_mmap(mm, address_of(at), n << PAGE_SHIFT, PROTECTIONS[prot])
        if ret >= 0:
            self._forget(p, at, n)
        return min(int(ret), 0)

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
            self._forget(p, at, n)
        return int(ret)

    def _forget(self, p: str, at: int, n: int) -> None:
        start, end = address_of(at), address_of(at + n)
        task = self.tasks[p]
        task.shadow = tuple((a, held) for a, held in task.shadow if not start <= a < end)

    def accesses(self, op: str, at: int, n: int = 1, **operands: Any) -> list[Access]:
        """The accesses to pages that an operation is made of, in order."""
        if op == "write" and operands.get("cs"):
            n = len(operands["cs"])
        return [Access(op, at + number, number, operands) for number in range(n)]

    def try_access(self, p: str, access: Access) -> bool | int:
        """Try to access a page, with one fault if that is needed; True if it is to be tried again.

        What got stored also goes into the shadow.
        """
        task = self.tasks[p]
        mm = task.mm
        if mm is None:
            return -ESRCH
        address = address_of(access.page)
        if not access.stores:
            got = self.kernel.user_read_once(mm, address)
            return got if got is RETRY or isinstance(got, int) else 0
        done = self.kernel.user_write_once(mm, address, access.new)
        if done is not RETRY and not done:
            shadow = dict(task.shadow)
            shadow[address] = access.new(shadow.get(address))
            task.shadow = tuple(sorted(shadow.items()))
        return bool(done) if done is RETRY else int(done)

    def _access(self, op: str, p: str, at: int, n: int, **operands: Any) -> int:
        for access in self.accesses(op, at, n, **operands):
            done = RETRY
            while done is RETRY:
                done = self.try_access(p, access)
            if done:
                return int(done)
        return 0

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
        return self._access("write", p, at, n, c=c, cs=cs)

    def poke(self, p: str, at: int, n: int = 1, off: int = 0, v: int = 0) -> int:
        """Store one byte in each page."""
        return self._access("poke", p, at, n, off=off, v=v)

    def read(self, p: str, at: int, n: int = 1) -> int:
        """Load a byte of each page."""
        return self._access("read", p, at, n)

    def fault(self, p: str, at: int, n: int = 1, write: bool = False) -> int:
        """Fault pages in without changing them."""
        return self._access("fault", p, at, n, write=write)

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
        """run = 2, then 0, then 1 again: the daemon goes on, whatever became of the 2."""
        if not self.kernel.CONFIG_KSM:
            return -EINVAL
        error = self.kernel.run_store(2)
        self.kernel.run_store(0)
        self.kernel.run_store(1)
        return int(error)

    def set(self, knob: str, value: int) -> int:
        """Write a KSM knob."""
        store = getattr(self.kernel, f"{knob}_store", None) if self.kernel.CONFIG_KSM else None
        return int(store(value)) if store is not None else -EINVAL

    def isolate(self, page: Any) -> bool:
        """Isolate a page, as compaction does: no mmap_sem is held."""
        if page is None or self.kernel.migrate_prep():  # nobody would put it back
            return False
        return not self.kernel.isolate_lru_page(page)

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

    def pin(self, p: str, at: int, n: int = 1) -> int:
        """Hold references to pages, as direct I/O does. A litmus does it in its set-up."""
        for number in range(at, at + n):
            page = self.page_at(p, number)
            if page is None:
                return -EFAULT
            self.kernel.get_page(page)
            self._pinned[p, number] = page
        return 0

    def unpin(self, p: str, at: int, n: int = 1) -> int:
        """Drop these references, whatever became of the process."""
        pages = [self._pinned.get((p, number)) for number in range(at, at + n)]
        for page in pages:
            if page is not None:
                self.kernel.put_page(page)
        return -EINVAL if None in pages else 0

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
        """A reverse map walk of an isolated, locked page: no entry may be visited twice.

        Only in a merged page it may: what was forked from an rmap_item's mm is visited for that
        item, and again for its own once ksmd has been there.
        """
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
            if (mm, address) in visited and not self.kernel.PageKsm(page):
                message = f"the walk visits the entry of page {page_of(address)} in one mm twice"
                raise KernelStateError("missed-mapping", message, page)
            visited.append((mm, address))
        return SWAP_AGAIN

    def walk(self, p: str, at: int, n: int = 1) -> int:
        """Walk the reverse map of pages."""
        results = [self.walk_page(self.page_at(p, at + number)) for number in range(n)]
        return next((ret for ret in results if ret), 0)
