"""mm/ksm.c: ksmd's way through the address spaces, page after page."""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.ksm.merge import KsmMerging
from rmaplab.kernel.ksm.state import KSM_RUN_MERGE
from rmaplab.kernel.mm_types import PAGE_MASK, PAGE_SIZE, VM_MERGEABLE
from rmaplab.machine import (
    BUG_ON,
    cond_resched,
    down_read,
    list_del,
    list_empty,
    mutex_lock,
    mutex_unlock,
    rb_reset,
    spin_lock,
    spin_unlock,
    up_read,
)


class KsmScanning(KsmMerging):
    """The daemon."""

    def cmp_and_merge_page(self, page: Any, rmap_item: Any) -> None:
        """Merge a page with an equal one of the stable tree, else of the unstable tree.

        Only a page whose checksum has not changed since the last pass goes to the latter.
        """
        self.remove_rmap_item_from_tree(rmap_item)
        kpage = self.stable_tree_search(page)
        if kpage is not None:
            self.join_kpage(page, rmap_item, kpage)
        elif not self.checksum_changed(page, rmap_item):
            self.merge_or_insert(page, rmap_item)

    # The parts of cmp_and_merge_page, cut out for 4146d2d673e8 "ksm: make !merge_across_nodes
    # migration safe", 3.9, and d58a361b0350 "mm/ksm: don't waste time searching stable tree for
    # fast changing page", 6.11, which put them in another order.

    def join_kpage(self, page: Any, rmap_item: Any, kpage: Any) -> None:
        """Let an rmap_item share a KSM page, and drop the reference that the search took."""
        err = self.try_to_merge_with_ksm_page(rmap_item, page, kpage)
        if not err:
            self.lock_page(kpage)
            self.stable_tree_append(rmap_item, self.page_stable_node(kpage))
            self.unlock_page(kpage)
        self.put_page(kpage)

    def checksum_changed(self, page: Any, rmap_item: Any) -> bool:
        """Whether a page has changed since the last pass; what it holds now is noted."""
        checksum = self.calc_checksum(page)
        changed = bool(rmap_item.oldchecksum != checksum)
        if changed:
            rmap_item.oldchecksum = checksum
        return changed

    def merge_or_insert(self, page: Any, rmap_item: Any) -> None:
        """Merge a page with an equal one of the unstable tree; if there is none it goes there."""
        tree_rmap_item, tree_page = self.unstable_tree_search_insert(rmap_item, page)
        if tree_rmap_item is not None:
            kpage = self.try_to_merge_two_pages(rmap_item, page, tree_rmap_item, tree_page)
            self.put_page(tree_page)
            if kpage is not None:
                self._move_to_stable_tree(kpage, rmap_item, tree_rmap_item)

    def _move_to_stable_tree(self, kpage: Any, rmap_item: Any, tree_rmap_item: Any) -> None:
        """Let two rmap_items share the new KSM page; if it gets no node, break it for both."""
        self.remove_rmap_item_from_tree(tree_rmap_item)
        self.lock_page(kpage)
        stable_node = self.stable_tree_insert(kpage)
        if stable_node is not None:
            self.stable_tree_append(tree_rmap_item, stable_node)
            self.stable_tree_append(rmap_item, stable_node)
        self.unlock_page(kpage)
        if stable_node is None:
            self.break_cow(tree_rmap_item)
            self.break_cow(rmap_item)

    def get_next_rmap_item(self, mm_slot: Any, rmap_list_prev: Any, addr: int) -> Any:
        """The rmap_item for `addr`, made if missing; those passed by are removed.

        None without memory.
        """
        while (rmap_item := self.get_rmap_list(mm_slot, rmap_list_prev)) is not None:
            address = rmap_item.address
            if address & PAGE_MASK == addr:
                return rmap_item
            if address > addr:
                break
            self.set_rmap_list(mm_slot, rmap_list_prev, rmap_item.rmap_list)
            self.remove_rmap_item_from_tree(rmap_item)
            self.free_rmap_item(rmap_item)
        following = rmap_item
        rmap_item = self.alloc_rmap_item()
        if rmap_item is not None:
            self.init_rmap_item(rmap_item, mm_slot.mm, addr)
            rmap_item.rmap_list = following
            self.set_rmap_list(mm_slot, rmap_list_prev, rmap_item)
        return rmap_item

    # Cut out for cb4df4cae4f2 "ksm: count allocated ksm rmap_items for each process", 6.1.

    def init_rmap_item(self, rmap_item: Any, mm: Any, addr: int) -> None:
        """Say what a new rmap_item stands for."""
        rmap_item.mm = mm
        rmap_item.address = addr

    def scan_get_next_rmap_item(self) -> tuple[Any, Any]:
        """The next page to look at: its rmap_item, and the page with a reference.

        (None, None) at the end of a pass, when there is nobody to scan, and without memory.
        """
        if list_empty(self.ksm.mm_list):
            return None, None
        slot = self.ksm_scan.mm_slot
        if slot == self.ksm_mm_head:
            slot = self.start_pass()
            if slot is None:
                return None, None
            self._start_mm()
        while True:
            found = self._scan_mm(slot)
            if found is not None:
                return found
            slot = self._finish_mm(slot)
            if slot == self.ksm_mm_head:
                break
            self._start_mm()
        self.ksm_scan.seqnr += 1
        return None, None

    # Cut out for 2b472611a32a "ksm: fix NULL pointer dereference in scan_get_next_rmap_item()",
    # 3.0: it looks whether the list has become empty since it was tested. Until then the scan
    # goes on with ksm_mm_head, which has no mm.

    def start_pass(self) -> Any:
        """Forget the unstable tree; the first slot, None if there is nothing to do."""
        rb_reset(self.ksm.root_unstable_tree)
        spin_lock(self.ksm.ksm_mmlist_lock)
        slot = self.first_mm_slot()
        self.ksm_scan.mm_slot = slot
        spin_unlock(self.ksm.ksm_mmlist_lock)
        return slot

    def _start_mm(self) -> None:
        self.ksm_scan.address = 0
        self.ksm_scan.rmap_list_prev = None

    def _scan_mm(self, slot: Any) -> tuple[Any, Any] | None:
        """The next rmap_item of this mm and its page; None, with mmap_sem held, after the last."""
        mm = slot.mm
        BUG_ON(mm is None, "NULL pointer dereference: ksm_mm_head has no mm to scan")
        down_read(mm.mmap_sem)
        vma = None if self.ksm_test_exit(mm) else self.find_vma(mm, self.ksm_scan.address)
        while vma is not None:
            if vma.vm_flags & VM_MERGEABLE:
                found = self._scan_vma(slot, mm, vma)
                if found is not None:
                    up_read(mm.mmap_sem)
                    return found
            vma = vma.vm_next
        return None

    def _scan_vma(self, slot: Any, mm: Any, vma: Any) -> tuple[Any, Any] | None:
        """The rmap_item and page of the next anonymous page of this VMA; None after the last."""
        scan = self.ksm_scan
        if scan.address < vma.vm_start:
            scan.address = vma.vm_start
        if vma.anon_vma is None:
            scan.address = vma.vm_end
        while scan.address < vma.vm_end:
            if self.ksm_test_exit(mm):
                break
            page = self.follow_page(vma, scan.address)
            if page is not None and self.PageAnon(page):
                rmap_item = self.get_next_rmap_item(slot, scan.rmap_list_prev, scan.address)
                if rmap_item is None:
                    self.put_page(page)
                    return None, None
                scan.rmap_list_prev = rmap_item
                if not self.should_skip_rmap_item(page, rmap_item):
                    scan.address += PAGE_SIZE
                    return rmap_item, page
            if page is not None:
                self.put_page(page)
            scan.address += PAGE_SIZE
            cond_resched()
        return None

    # Cut out for 5e924ff54d08 "mm/ksm: add "smart" page scanning mode", 6.7.

    def should_skip_rmap_item(self, page: Any, rmap_item: Any) -> bool:
        """Whether to pass over a page this time: never, until 6.7."""
        return False

    def _finish_mm(self, slot: Any) -> Any:
        """Drop the rmap_items beyond the last page, move the cursor on; mmap_sem is released.

        An mm that exits, or has nothing mergeable left, loses its slot as in __ksm_exit().
        """
        scan = self.ksm_scan
        mm = slot.mm
        if self.ksm_test_exit(mm):
            self._start_mm()
        self.remove_trailing_rmap_items(slot, scan.rmap_list_prev)
        spin_lock(self.ksm.ksm_mmlist_lock)
        following = self.next_mm_slot(slot)
        scan.mm_slot = following
        if scan.address == 0:
            self.forget_mm_slot(slot, mm)
        else:
            self.leave_mm(mm)
        return following

    # Cut out for 7496fea9a6bf "ksm: fix conflict between mmput and scan_get_next_rmap_item", 4.6:
    # until then nothing keeps the mm between the two.

    def leave_mm(self, mm: Any) -> None:
        """Release ksm_mmlist_lock and mmap_sem of an mm that keeps its slot."""
        spin_unlock(self.ksm.ksm_mmlist_lock)
        up_read(mm.mmap_sem)

    def forget_mm_slot(self, slot: Any, mm: Any) -> None:
        """Remove a slot; ksm_mmlist_lock and mmap_sem are held, and released here."""
        list_del(slot.link)
        list_del(slot.mm_list)
        spin_unlock(self.ksm.ksm_mmlist_lock)
        self.free_mm_slot(slot)
        self.clear_mm_mergeable(mm)
        up_read(mm.mmap_sem)
        self.mmdrop(mm)

    def ksm_do_scan(self, scan_npages: int) -> None:
        """Look at so many pages; ksm_thread_mutex is held."""
        for _ in range(scan_npages):
            cond_resched()
            rmap_item, page = self.scan_get_next_rmap_item()
            if rmap_item is None:
                return
            self.scanned_page(page, rmap_item)
            self.put_page(page)

    # Cut out for 4146d2d673e8 "ksm: make !merge_across_nodes migration safe", 3.9.

    def scanned_page(self, page: Any, rmap_item: Any) -> None:
        """Merge a page if it can be, unless it is already."""
        if not self.PageKsm(page) or not self.in_stable_tree(rmap_item):
            self.cmp_and_merge_page(page, rmap_item)

    def ksmd_should_run(self) -> bool:
        """Whether there is anything to do for ksmd."""
        return bool(self.ksm.ksm_run & KSM_RUN_MERGE) and not list_empty(self.ksm.mm_list)

    def ksm_scan_thread(self, scan_npages: int | None = None) -> bool:
        """Once through ksmd's loop; whether the pass over all address spaces goes on after it.

        It scans ksm_thread_pages_to_scan pages unless told otherwise. A pass is over when seqnr
        has moved, or when ksmd should not run: then it sleeps.
        """
        mutex_lock(self.ksm.ksm_thread_mutex)
        going_on = self.ksmd_should_run()
        if going_on:
            seqnr = self.ksm_scan.seqnr
            self.ksm_do_scan(scan_npages or self.ksm.ksm_thread_pages_to_scan)
            going_on = self.ksm_scan.seqnr == seqnr
        mutex_unlock(self.ksm.ksm_thread_mutex)
        return going_on

    def ksm_scan_one_page(self) -> bool:
        """Once through ksmd's loop with pages_to_scan 1: see ksm_scan_thread()."""
        return self.CONFIG_KSM and self.ksm_scan_thread(1)
