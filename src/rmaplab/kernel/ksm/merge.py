"""mm/ksm.c: merging two pages into one, and breaking a merge again."""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.ksm.tree import KsmTrees
from rmaplab.kernel.memory import VM_FAULT_OOM, VM_FAULT_SIGBUS, VM_FAULT_WRITE, mk_pte
from rmaplab.kernel.mm_types import EFAULT, ENOMEM, PAGE_MASK, VM_LOCKED, VM_MERGEABLE
from rmaplab.kernel.pgtable import pte_wrprotect
from rmaplab.machine import (
    atomic_compare,
    cond_resched,
    down_read,
    pte_get,
    pte_offset_map,
    ptep_get_and_clear,
    set_pte_at,
    spin_lock,
    spin_unlock,
    up_read,
)


class KsmMerging(KsmTrees):
    """What changes page tables."""

    def break_ksm(self, vma: Any, addr: int) -> int:
        """Give `addr` a page of its own by write faults; only where a KSM page is mapped.

        A fault may come back without result, as when the entry has changed: it is tried again.
        """
        ret = 0
        while not ret & (VM_FAULT_WRITE | VM_FAULT_SIGBUS | VM_FAULT_OOM):
            cond_resched()
            page = self.follow_page_to_break(vma, addr)
            if page is None:
                break
            if self.PageKsm(page):
                ret = self.handle_mm_fault(vma.vm_mm, vma, addr, write=True)
            else:
                ret = VM_FAULT_WRITE
            self.put_page(page)
        return -ENOMEM if ret & VM_FAULT_OOM else 0

    # Cut out for 5117b3b835f2 "mm,ksm: FOLL_MIGRATION do migration_entry_wait", 3.9.

    def follow_page_to_break(self, vma: Any, addr: int) -> Any:
        """The page mapped at `addr`, with a reference, or None."""
        return self.follow_page(vma, addr)

    def break_cow(self, rmap_item: Any) -> None:
        """Undo a merge that led nowhere, and the reference that came with it."""
        mm = rmap_item.mm
        addr = rmap_item.address & PAGE_MASK
        self.ksm_drop_anon_vma(rmap_item)
        down_read(mm.mmap_sem)
        vma = self.find_mergeable_vma(mm, addr)
        if vma is not None:
            self.break_ksm(vma, addr)
        up_read(mm.mmap_sem)

    def write_protect_page(self, vma: Any, page: Any) -> tuple[int, Any]:
        """Make the entry of `page` in `vma` read-only: 0 and the entry, or -EFAULT and None.

        The entry is cleared while the page's references are counted, so that no new one can be
        taken through it. One more than the mappings is ksmd's own.
        """
        mm = vma.vm_mm
        addr = self.page_address_in_vma(page, vma)
        if addr == -EFAULT:
            return -EFAULT, None
        ptep = self.page_check_address(page, mm, addr)
        if ptep is None:
            return -EFAULT, None
        if self.write_protect_needed(pte_get(ptep)):
            entry = ptep_get_and_clear(ptep)
            if self._page_in_use(page):
                set_pte_at(ptep, entry)
                spin_unlock(mm.page_table_lock)
                return -EFAULT, None
            set_pte_at(ptep, self.write_protect_pte(page, entry))
        orig_pte = pte_get(ptep)
        spin_unlock(mm.page_table_lock)
        return 0, orig_pte

    # Two lines of write_protect_page, cut out for 4e31635c367a "ksm: fix bad user data when
    # swapping", v2.6.36.

    def write_protect_needed(self, entry: Any) -> bool:
        """Whether an entry has to change: if it is writable."""
        return bool(entry.write)

    def write_protect_pte(self, page: Any, entry: Any) -> Any:
        """The entry, read-only; it stays dirty."""
        return pte_wrprotect(entry)

    def _page_in_use(self, page: Any) -> bool:
        """Whether anybody but its mappings, the swap cache and ksmd holds the page."""
        expected = self.page_mapcount(page) + 1 + self.PageSwapCache(page)
        return atomic_compare(page._count, "!=", expected)

    def replace_page(self, vma: Any, page: Any, kpage: Any, orig_pte: Any) -> int:
        """Map `kpage` in place of `page`, if its entry still is `orig_pte`: 0 or -EFAULT."""
        mm = vma.vm_mm
        addr = self.page_address_in_vma(page, vma)
        if addr == -EFAULT:
            return -EFAULT
        ptep = pte_offset_map(mm.pgd, addr)
        if ptep is None:
            return -EFAULT
        spin_lock(mm.page_table_lock)
        if pte_get(ptep) != orig_pte:
            spin_unlock(mm.page_table_lock)
            return -EFAULT
        self.get_page(kpage)
        self.page_add_anon_rmap(kpage, vma, addr)
        ptep_get_and_clear(ptep)
        set_pte_at(ptep, mk_pte(self.page_to_pfn(kpage), vma.vm_flags))
        self.page_remove_rmap(page)
        self.put_page(page)
        spin_unlock(mm.page_table_lock)
        return 0

    def try_to_merge_one_page(self, vma: Any, page: Any, kpage: Any) -> int:
        """Replace `page` by the KSM page `kpage`; without one, make `page` it: 0 or -EFAULT.

        A page that somebody has locked is left to a later pass.
        """
        if page == kpage:
            return 0
        if not vma.vm_flags & VM_MERGEABLE or not self.PageAnon(page):
            return -EFAULT
        if not self.trylock_page(page):
            return -EFAULT
        err, orig_pte = self.write_protect_page(vma, page)
        if err == 0:
            if kpage is None:
                # No stable_node yet: stable_tree_insert() will say which.
                self.set_page_stable_node(page, None)
            elif self.pages_identical(page, kpage):
                err = self.replace_page(vma, page, kpage, orig_pte)
            else:
                err = -EFAULT
        if kpage is not None and not err and vma.vm_flags & VM_LOCKED:
            page = self._hand_on_mlock(page, kpage)
        self.unlock_page(page)
        return err

    def _hand_on_mlock(self, page: Any, kpage: Any) -> Any:
        """Move the mlocked mark from `page` to `kpage`; returns the one left locked."""
        self.munlock_vma_page(page)
        if kpage.mlocked:
            return page
        self.unlock_page(page)
        self.lock_page(kpage)
        self.mlock_vma_page(kpage)
        return kpage

    def try_to_merge_with_ksm_page(self, rmap_item: Any, page: Any, kpage: Any) -> int:
        """Merge the page of an rmap_item into `kpage` (None: make it one): 0 or -EFAULT.

        The anon_vma is held while mmap_sem still keeps it there.
        """
        mm = rmap_item.mm
        addr = rmap_item.address & PAGE_MASK
        err = -EFAULT
        down_read(mm.mmap_sem)
        vma = None if self.ksm_test_exit(mm) else self.find_vma(mm, addr)
        if vma is not None and vma.vm_start <= addr:
            err = self.try_to_merge_one_page(vma, page, kpage)
            if not err:
                self.hold_anon_vma(rmap_item, vma.anon_vma)
        up_read(mm.mmap_sem)
        return err

    def try_to_merge_two_pages(
        self, rmap_item: Any, page: Any, tree_rmap_item: Any, tree_page: Any
    ) -> Any:
        """Merge two equal pages: `page`, now a KSM page, or None with nothing changed."""
        err = self.try_to_merge_with_ksm_page(rmap_item, page, None)
        if not err:
            err = self.try_to_merge_with_ksm_page(tree_rmap_item, tree_page, page)
            if err:
                self.break_cow(rmap_item)
        return None if err else page
