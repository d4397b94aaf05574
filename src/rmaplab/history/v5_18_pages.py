"""What v5.18 changed for pages: reuse of what is in the swap cache."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v5_18_ksm import Commit2fbb0c10d1e8
from rmaplab.kernel.memory import maybe_mkwrite, mk_pte
from rmaplab.kernel.memory_swap import SwapFault
from rmaplab.kernel.mm_types import VM_LOCKED
from rmaplab.kernel.rmap import SWAP_FAIL, TTU_ACTION, TTU_MIGRATION
from rmaplab.machine import atomic_compare, pte_get, set_pte_at, spin_lock, spin_unlock


class Commit53a05ad9f21d(Commit2fbb0c10d1e8):
    """53a05ad9f21d "mm: optimize do_wp_page() for exclusive pages in the swapcache".

    2022-03-24, v5.18.
    """

    def wp_can_reuse_anon_page(self, page: Any, vma: Any, address: int) -> bool:
        """The reference of the swap cache does not count, if the page can be taken out of it."""
        if self.PageKsm(page):
            return False
        if atomic_compare(page._count, ">", 1 + int(self.PageSwapCache(page))):
            return False
        if not self.trylock_page(page):
            return False  # unreached: in order nobody holds the page lock
        if self.PageSwapCache(page):
            self.try_to_free_swap(page)
        alone = not self.PageKsm(page) and atomic_compare(page._count, "==", 1)
        if alone:
            self.wp_reuse_locked(page, vma, address)
        self.unlock_page(page)
        return alone

    # Cut out for 6c54dc6c7437 "mm/rmap: use page_move_anon_rmap() when reusing a mapped PageAnon()
    # page exclusively", v5.19.

    def wp_reuse_locked(self, page: Any, vma: Any, address: int) -> None:
        """New: what is done to a locked page that is going to be reused: nothing."""


class Commitc145e0b47c77(Commit53a05ad9f21d):
    """c145e0b47c77 "mm: streamline COW logic in do_swap_page()".

    2022-03-24, v5.18. It leaves reuse_swap_page() without a caller.
    """

    def swapin_map(self, fault: SwapFault, page: Any, swapcache: Any) -> int:
        """The slot is left before anybody asks whether the page is this entry's alone."""
        spin_lock(fault.mm.page_table_lock)
        if pte_get(fault.page_table) != fault.entry:
            spin_unlock(fault.mm.page_table_lock)
            self.unlock_page(page)
            self.put_page(page)
            self.swapin_release(swapcache)
            return 0
        flags = fault.vma.vm_flags
        exclusive = self.swapin_exclusive(fault, page, swapcache)
        self.swap_free(fault.entry)
        if self.should_try_to_free_swap(fault, page):
            self.try_to_free_swap(page)
        pte = mk_pte(self.page_to_pfn(page), flags)
        exclusive = exclusive or atomic_compare(page._count, "==", 1)
        exclusive = exclusive and not self.PageKsm(page)
        if fault.write and exclusive:
            pte = maybe_mkwrite(pte._replace(dirty=True), flags)
        self.swapin_add_rmap(page, fault.vma, fault.address, exclusive)
        set_pte_at(fault.page_table, pte)
        self.unlock_page(page)
        self.swapin_release(swapcache)
        return self.swapin_finish(fault, pte, exclusive)

    # A condition, cut out for 1493a1913e34 "mm/swap: remember PG_anon_exclusive via a swp pte bit",
    # v5.19.

    def swapin_exclusive(self, fault: SwapFault, page: Any, swapcache: Any) -> bool:
        """New: whether a page certainly is this entry's alone: if it is a fresh copy."""
        return swapcache is not None

    def should_try_to_free_swap(self, fault: SwapFault, page: Any) -> bool:
        """New: whether the page is to leave the swap cache; also if a write may have it then."""
        if not self.PageSwapCache(page):
            return False
        if self.vm_swap_full() or fault.vma.vm_flags & VM_LOCKED or page.mlocked:
            return True
        return fault.write and not self.PageKsm(page) and atomic_compare(page._count, "==", 2)


class Commit6c8e2a256915(Commitc145e0b47c77):
    """6c8e2a256915 "mm: fix race between MADV_FREE reclaim and blkdev direct IO read".

    2022-03-24, v5.18. Such a page may be one that I/O is about to write to: it will be dirty only
    when that is over.
    """

    def entry_instead(self, page: Any, mm: Any, entry: Any, flags: int) -> tuple[int, Any]:
        """What MADV_FREE gave up stays if there are more references than ours and the mappings."""
        if TTU_ACTION(flags) != TTU_MIGRATION and not page.swapbacked:
            mapcount = self.page_mapcount(page)
            if atomic_compare(page._count, "!=", 1 + mapcount):
                page.swapbacked = True
                return SWAP_FAIL, None
        return super().entry_instead(page, mm, entry, flags)
