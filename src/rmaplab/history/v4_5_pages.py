"""What v4.5 changed for pages: MADV_FREE."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v4_4_ksm import Commitf2e5ff85ed5f
from rmaplab.kernel.madvise import MADV_DONTNEED, MADV_FREE
from rmaplab.kernel.mm_types import EINVAL, VM_HUGETLB, VM_LOCKED, VM_PFNMAP
from rmaplab.kernel.pgtable import is_swap_entry, pte_present
from rmaplab.machine import (
    atomic_compare,
    pgd_addresses,
    pte_get,
    pte_offset_map,
    ptep_get_and_clear,
    set_pte_at,
    spin_lock,
    spin_unlock,
)


class Commit854e9ed09ded(Commitf2e5ff85ed5f):
    """854e9ed09ded "mm: support madvise(MADV_FREE)".

    2016-01-15, v4.5. With its sisters of the same release. Here reclaim does not know yet that such
    a page need not be written: until v4.12 it goes out to the swap device as others do, which
    MADV_FREE allows.
    """

    def madvise_behavior_valid(self, behavior: int) -> bool:
        """MADV_FREE is one."""
        return behavior == MADV_FREE or super().madvise_behavior_valid(behavior)

    def madvise_need_mmap_write(self, behavior: int) -> bool:
        """MADV_FREE changes no VMA."""
        return behavior != MADV_FREE and super().madvise_need_mmap_write(behavior)

    def madvise_vma(
        self, vma: Any, prev: Any, start: int, end: int, behavior: int
    ) -> tuple[int, Any]:
        """MADV_FREE goes through the entries, or is MADV_DONTNEED."""
        if behavior != MADV_FREE:
            return super().madvise_vma(vma, prev, start, end, behavior)
        if not self.can_free_lazily():
            return super().madvise_vma(vma, prev, start, end, MADV_DONTNEED)
        return self.madvise_free(vma, start, end), vma

    # The condition, cut out for 93e06c7a6453 "mm: enable MADV_FREE for swapless system", v4.12.

    def can_free_lazily(self) -> bool:
        """New: whether MADV_FREE is not the same as MADV_DONTNEED: if there is room to swap."""
        return self.CONFIG_SWAP and bool(self.swap.nr_swap_pages > 0)

    def madvise_free(self, vma: Any, start: int, end: int) -> int:
        """New: let the pages of a range go when memory is short, unless they are written again."""
        if vma.vm_flags & (VM_LOCKED | VM_HUGETLB | VM_PFNMAP) or vma.vm_file is not None:
            return -EINVAL
        mm = vma.vm_mm
        addresses = pgd_addresses(mm.pgd, start, end)
        spin_lock(mm.page_table_lock)
        for address in addresses:
            self.madvise_free_pte(vma, address, pte_offset_map(mm.pgd, address))
        spin_unlock(mm.page_table_lock)
        return 0

    # The body of the loop in madvise_free_pte_range().

    def madvise_free_pte(self, vma: Any, address: int, pte: Any) -> None:
        """New: one entry, which is locked: what swap has is gone, what is present becomes clean."""
        ptent = pte_get(pte)
        if is_swap_entry(ptent):
            self.free_swap_and_cache(ptent)
            set_pte_at(pte, None)
        if not pte_present(ptent):
            return
        page = self.vm_normal_page(vma, address, ptent)
        if page is None or not self.madvise_clean_page(page):
            return
        if ptent.young or ptent.dirty:
            ptent = ptep_get_and_clear(pte)
            set_pte_at(pte, ptent._replace(young=False, dirty=False))
        self.mark_page_lazyfree(page)

    def madvise_clean_page(self, page: Any) -> bool:
        """New: make a page clean, with no slot of swap; False if others use it."""
        if not self.PageSwapCache(page) and not page.dirty:
            return True
        if not self.trylock_page(page):
            return False  # unreached: in order nobody holds the page lock
        clean = atomic_compare(page._mapcount, "==", 0)
        if clean and self.PageSwapCache(page):
            clean = self.try_to_free_swap(page)
        if clean:
            page.dirty = False
        self.unlock_page(page)
        return clean

    # 10853a039208 "mm: move lazily freed pages to inactive list", v4.5: deactivate_page() there.

    def mark_page_lazyfree(self, page: Any) -> None:
        """New: tell reclaim about a page: there are no LRU lists."""
