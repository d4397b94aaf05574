"""mm/vmscan.c: reclaim, as far as an anonymous page goes.

There are no LRU lists: the caller isolates pages, and gets back those that are kept. It never
waits for a write (PAGEOUT_IO_ASYNC). Locked pages (PG_mlocked) are left to try_to_unmap(), as if
page_evictable() had not known of them.
"""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.base import KernelBase
from rmaplab.kernel.rmap import SWAP_FAIL, SWAP_MLOCK, SWAP_SUCCESS, TTU_UNMAP
from rmaplab.machine import (
    BUG_ON,
    atomic_cmpxchg,
    atomic_compare,
    atomic_set,
    cond_resched,
    spin_lock,
    spin_unlock,
)


class Vmscan(KernelBase):
    """Swapping pages out."""

    # include/linux/pagemap.h

    def page_freeze_refs(self, page: Any, count: int) -> bool:
        """Let a page that has just so many references have none; whether it had."""
        return atomic_cmpxchg(page._count, count, 0)

    def page_unfreeze_refs(self, page: Any, count: int) -> None:
        """Give the references back."""
        atomic_set(page._count, count)

    # mm/vmscan.c

    def _remove_mapping(self, page: Any) -> bool:
        """Take a locked page out of the swap cache if only the cache and we have it.

        It is left without references. (The kernel's __remove_mapping.)
        """
        BUG_ON(not self.PageLocked(page), "remove_mapping: the page is not locked")
        spin_lock(self.swap.tree_lock)
        freed = self.page_freeze_refs(page, 2)
        if freed and page.dirty:  # asked only now: who had a reference may have dirtied it
            self.page_unfreeze_refs(page, 2)
            freed = False
        if freed:
            entry = page.private
            self._delete_from_swap_cache(page)
        spin_unlock(self.swap.tree_lock)
        if freed:
            self.swapcache_free(entry)
        return freed

    def is_page_cache_freeable(self, page: Any) -> bool:
        """Whether only the caller and the swap cache have references to an unmapped page."""
        return atomic_compare(page._count, "==", 2)

    def pageout(self, page: Any) -> bool:
        """Write a dirty page to its slot; whether it is clean now and unlocked."""
        if not self.is_page_cache_freeable(page):
            return False
        page.dirty = False
        self.swap_writepage(page)
        return True

    # The argument `force_reclaim` is that of 02c6de8d757c "mm: cma: discard clean pages during
    # contiguous allocation instead of migration", v3.7. Nobody sets it before MADV_PAGEOUT does.

    def shrink_page_list(self, page_list: list[Any], force_reclaim: bool = False) -> int:
        """Reclaim isolated pages; those that are kept stay on the list. How many were freed.

        Without `force_reclaim` a page that was used is kept.
        """
        cond_resched()
        ret_pages = []
        nr_reclaimed = 0
        while page_list:
            cond_resched()
            page = page_list.pop()
            if self.shrink_page(page, force_reclaim):
                nr_reclaimed += 1
            else:
                ret_pages.append(page)
        page_list.extend(ret_pages)
        return nr_reclaimed

    # The body of the loop in shrink_page_list(), cut at its labels: what is kept unlocked, what is
    # kept locked, and what may lose its slot, since it is not to be swapped out.

    def shrink_page(self, page: Any, force_reclaim: bool = False) -> bool:
        """Reclaim a page; whether it is free."""
        if not self.trylock_page(page):
            return False
        if self.PageWriteback(page):
            self.unlock_page(page)
            return False
        if not force_reclaim and self.page_referenced(page, True):
            self.activate_locked(page)
            return False
        if self.needs_swap(page) and not self.add_to_swap(page):
            self.activate_locked(page)
            return False
        if self.needs_unmap(page) and not self.unmap_page(page):
            return False
        if page.dirty and not self.write_page(page):
            return False
        if not self.remove_unmapped(page):
            self.unlock_page(page)
            return False
        self.unlock_page(page)
        self.free_page(page)
        return True

    # Three conditions of shrink_page_list(), and one of its caller, cut out for f7ad2a6cb9f7
    # "mm: move MADV_FREE pages into LRU_INACTIVE_FILE list", v4.12.

    def reclaims(self, page: Any) -> bool:
        """Whether there is any use in reclaiming a page: if there is a swap device."""
        return self.CONFIG_SWAP

    def needs_swap(self, page: Any) -> bool:
        """Whether a page must have a slot before it can be unmapped."""
        return self.PageAnon(page) and not self.PageSwapCache(page)

    def needs_unmap(self, page: Any) -> bool:
        """Whether a page is to be unmapped."""
        return bool(self.page_mapped(page)) and self.PageSwapCache(page)

    def remove_unmapped(self, page: Any) -> bool:
        """Let a clean page that nobody maps have no references, if nobody has any."""
        return self.PageSwapCache(page) and self._remove_mapping(page)

    def activate_locked(self, page: Any) -> None:
        """Keep a page that is in use, without its slot if these are scarce."""
        if self.PageSwapCache(page) and self.vm_swap_full():
            self.try_to_free_swap(page)
        self.unlock_page(page)

    def unmap_page(self, page: Any) -> bool:
        """Unmap a locked page: False, with the page unlocked, if it is still mapped."""
        ret = self.try_to_unmap(page, TTU_UNMAP)
        if ret == SWAP_SUCCESS:
            return True
        if ret == SWAP_FAIL:
            self.activate_locked(page)
            return False
        if ret == SWAP_MLOCK:
            self.try_to_free_swap(page)
        self.unlock_page(page)
        return False

    def write_page(self, page: Any) -> bool:
        """Write a locked page: False, with the page unlocked, if it is not clean after that."""
        if not self.PageSwapCache(page) or not self.pageout(page):
            self.unlock_page(page)
            return False
        if self.PageWriteback(page) or page.dirty or not self.trylock_page(page):
            return False
        if page.dirty or self.PageWriteback(page):
            self.unlock_page(page)
            return False
        return True
