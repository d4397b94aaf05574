"""What v5.4 changed for pages: MADV_COLD and MADV_PAGEOUT."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v5_1_pages import Commit52d1e606ee73
from rmaplab.kernel.madvise import MADV_COLD, MADV_PAGEOUT
from rmaplab.kernel.mm_types import EINVAL, VM_HUGETLB, VM_LOCKED, VM_PFNMAP
from rmaplab.kernel.pgtable import pte_present, pte_setyoung
from rmaplab.machine import (
    pgd_addresses,
    pte_get,
    pte_offset_map,
    ptep_get_and_clear,
    set_pte_at,
    spin_lock,
    spin_unlock,
)


class Commit9c276cc65a58(Commit52d1e606ee73):
    """9c276cc65a58 "mm: introduce MADV_COLD".

    2019-09-25, v5.4. There are no LRU lists: all that is left of it is that entries become old.
    """

    def madvise_behavior_valid(self, behavior: int) -> bool:
        """MADV_COLD is one."""
        return behavior == MADV_COLD or super().madvise_behavior_valid(behavior)

    def madvise_need_mmap_write(self, behavior: int) -> bool:
        """MADV_COLD changes no VMA."""
        return behavior != MADV_COLD and super().madvise_need_mmap_write(behavior)

    def madvise_vma(
        self, vma: Any, prev: Any, start: int, end: int, behavior: int
    ) -> tuple[int, Any]:
        """MADV_COLD goes through the entries."""
        if behavior != MADV_COLD:
            return super().madvise_vma(vma, prev, start, end, behavior)
        if not self.can_madv_lru_vma(vma):
            return -EINVAL, vma
        self.madvise_cold_or_pageout(vma, start, end, pageout=False)
        return 0, vma

    def can_madv_lru_vma(self, vma: Any) -> bool:
        """New: whether the pages of a VMA are on lists at all."""
        return not vma.vm_flags & (VM_LOCKED | VM_PFNMAP | VM_HUGETLB)

    # madvise_cold_page_range() and madvise_cold_or_pageout_pte_range(). `pageout` is for the next
    # commit, which renames both.

    def madvise_cold_or_pageout(self, vma: Any, start: int, end: int, pageout: bool) -> list[Any]:
        """New: make what is mapped old; the pages, isolated, if they are to go out."""
        mm = vma.vm_mm
        page_list: list[Any] = []
        addresses = pgd_addresses(mm.pgd, start, end)
        spin_lock(mm.page_table_lock)
        for address in addresses:
            page = self.madvise_old_pte(vma, address, pte_offset_map(mm.pgd, address))
            if page is not None and pageout and not self.isolate_lru_page(page):
                page_list.append(page)
        spin_unlock(mm.page_table_lock)
        return page_list

    def madvise_old_pte(self, vma: Any, address: int, pte: Any) -> Any:
        """New: make one entry, which is locked, old; its page, or None."""
        ptent = pte_get(pte)
        page = self.vm_normal_page(vma, address, ptent) if pte_present(ptent) else None
        if page is None or not self.may_be_advised(page):
            return None
        if ptent.young:
            set_pte_at(pte, pte_setyoung(ptep_get_and_clear(pte), False))
        return page

    # The condition, cut out for 12e967fd8e4e "mm: do not allow MADV_PAGEOUT for CoW pages", v5.9.

    def may_be_advised(self, page: Any) -> bool:
        """New: whether advice about a page is followed: always."""
        return True


class Commit1a4e58cce84e(Commit9c276cc65a58):
    """1a4e58cce84e "mm: introduce MADV_PAGEOUT".

    2019-09-25, v5.4.
    """

    def madvise_behavior_valid(self, behavior: int) -> bool:
        """MADV_PAGEOUT is one."""
        return behavior == MADV_PAGEOUT or super().madvise_behavior_valid(behavior)

    def madvise_need_mmap_write(self, behavior: int) -> bool:
        """MADV_PAGEOUT changes no VMA."""
        return behavior != MADV_PAGEOUT and super().madvise_need_mmap_write(behavior)

    def madvise_vma(
        self, vma: Any, prev: Any, start: int, end: int, behavior: int
    ) -> tuple[int, Any]:
        """MADV_PAGEOUT does what MADV_COLD does, and reclaims what it has found."""
        if behavior != MADV_PAGEOUT:
            return super().madvise_vma(vma, prev, start, end, behavior)
        if not self.can_madv_lru_vma(vma):
            return -EINVAL, vma
        self.reclaim_pages(self.madvise_cold_or_pageout(vma, start, end, pageout=True))
        return 0, vma

    def reclaim_pages(self, page_list: list[Any]) -> None:
        """New: reclaim isolated pages, used or not, and put back what stays (mm/vmscan.c)."""
        self.shrink_page_list(page_list, force_reclaim=True)
        for page in page_list:
            self.putback_lru_page(page)
