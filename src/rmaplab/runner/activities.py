"""What the kernel does by itself: ksmd, migration, compaction, reclaim, direct I/O's references."""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.compaction import CompactControl, Compaction
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.migrate import FORCE_FROM_PASS, MIGRATE_PASSES
from rmaplab.kernel.mm_types import EBUSY, EFAULT, EINVAL
from rmaplab.kernel.rmap import SWAP_AGAIN
from rmaplab.machine import KernelStateError, Struct, spin_unlock, value
from rmaplab.runner.places import page_of

SWAP_OUT_PASSES = 2
ENOENT = 2


class CompactTurns(Struct):
    """How far a compaction is: struct compact_control, and the number of the pass."""

    control: Any = value(None, hidden=True)


class Activities:
    """Operations that no process does, or that look at page frames rather than at processes."""

    kernel: Kernel
    tasks: dict[str, Any]

    def __init__(self) -> None:
        self._pinned: dict[tuple[str, int], Any] = {}

    def page_at(self, name: str, page: int) -> Any:
        """The page that a process has mapped at a page number; None if there is none."""
        raise NotImplementedError

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

    def compacts(self) -> bool:
        """Whether there is a compact_memory to write to."""
        return isinstance(self.kernel, Compaction) and self.kernel.CONFIG_MIGRATION

    def compact(self) -> int:
        """Compact memory, as a write to compact_memory does; there is no such file in 2.6.34."""
        return int(self.kernel.sysctl_compaction_handler()) if self.compacts() else -ENOENT

    def compact_turn(self, turns: Any) -> bool:
        """One turn of compact_zone(); whether there may be another one.

        A pageblock is isolated, or one pass is made over its pages, or a free frame is given back.
        """
        control = turns.control or (self.kernel.spanned_pages(), 0, (), (), 0)
        free_pfn, migrate_pfn, migratepages, freepages, number = control
        cc = CompactControl(free_pfn, migrate_pfn, [*migratepages], [*freepages])
        if cc.migratepages:
            number = self._compact_pass(cc, number)
        elif not self.kernel.compact_finished(cc):
            self.kernel.isolate_migratepages(cc)
            number = 0
        elif cc.freepages:
            self.kernel.put_page(cc.freepages.pop(0))
        else:
            return False
        turns.control = (
            cc.free_pfn, cc.migrate_pfn, tuple(cc.migratepages), tuple(cc.freepages), number,
        )  # fmt: skip
        return True

    def _compact_pass(self, cc: CompactControl, number: int) -> int:
        """One pass of migrate_pages() over what is isolated; the number of the next."""
        force = number >= FORCE_FROM_PASS
        retry, _, error = self.kernel.migrate_pass(
            cc.migratepages, lambda _: self.kernel.compaction_alloc(cc), force, False
        )
        if not retry or error or number == MIGRATE_PASSES - 1:
            self.kernel.putback_lru_pages(cc.migratepages)
        return number + 1

    def ballast(self) -> int:
        """Let the lowest free frames be taken next, where a compaction takes pages from."""
        if isinstance(self.kernel, Compaction):
            free: list[Any] = []
            for pfn in range(0, self.kernel.spanned_pages(), self.kernel.pageblock_nr_pages):
                self.kernel.isolate_freepages_block(pfn, free)
            self.kernel.release_freepages(free)  # the highest first: the lowest is freed last
        return 0

    def pin(self, p: str, at: int, n: int = 1) -> int:
        """Hold references to pages, as direct I/O does. A litmus does it in its set-up."""
        for number in range(at, at + n):
            page = self.page_at(p, number)
            if page is None:
                return -EFAULT
            self.kernel.pin_user_page(self.tasks[p].mm, page)
            self._pinned[p, number] = page
        return 0

    def unpin(self, p: str, at: int, n: int = 1) -> int:
        """Drop these references, whatever became of the process."""
        pages = [self._pinned.get((p, number)) for number in range(at, at + n)]
        for page in pages:
            if page is not None:
                self.kernel.unpin_user_page(page)
        return -EINVAL if None in pages else 0

    def reclaim_page(self, page: Any) -> int:
        """Isolate a page and look whether it was used, as shrink_active_list does.

        With a swap device it is what shrink_inactive_list does: what was not used goes out.
        """
        if page is None or self.kernel.isolate_lru_page(page):
            return -EBUSY
        if self.kernel.reclaims(page):
            self._shrink(page)
            return 0
        self.kernel.page_referenced(page, False)
        self.kernel.putback_lru_page(page)
        return 0

    def swap_out_page(self, page: Any) -> int:
        """Reclaim a page twice: the first pass forgets that it was used. -EBUSY if it stays."""
        if page is None or not self.kernel.CONFIG_SWAP:
            return -EBUSY
        for _ in range(SWAP_OUT_PASSES):
            if self.kernel.isolate_lru_page(page):
                return -EBUSY
            if self._shrink(page):
                return 0
        return -EBUSY

    def _shrink(self, page: Any) -> bool:
        """Reclaim an isolated page, and put it back if it is kept; whether it was freed."""
        pages = [page]
        freed = self.kernel.shrink_page_list(pages)
        for kept in pages:
            self.kernel.putback_lru_page(kept)
        return bool(freed)

    def swap_out(self, p: str, at: int, n: int = 1) -> int:
        """Swap pages of a process out, for everybody who maps them."""
        results = [self.swap_out_page(self.page_at(p, at + number)) for number in range(n)]
        return next((ret for ret in results if ret), 0)

    def swapoff(self) -> int:
        """Give the swap device up: every page comes back."""
        return int(self.kernel.sys_swapoff())

    def swapon(self) -> int:
        """Take it into use again; it is so from the start."""
        return int(self.kernel.sys_swapon())

    def reclaim(self, p: str, at: int, n: int = 1) -> int:
        """What reclaim does to pages; without a swap device no page goes out."""
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
