"""mm/swap_state.c: the swap cache, where a page and its slot on the swap device belong together.

The radix tree of swapper_space is a pointer in each slot, so no node of it is ever allocated. A
read is over when it has begun: a page is up to date once its lock is free. Without CONFIG_SWAP
the functions are what include/linux/swap.h makes of them.
"""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.base import KernelBase
from rmaplab.kernel.pgtable import SwapEntry
from rmaplab.machine import (
    BUG_ON,
    READ_ONCE,
    VM_BUG_ON,
    rcu_read_lock,
    rcu_read_unlock,
    spin_lock,
    spin_unlock,
    trylock_bit,
    unlock_bit,
    wait_on_bit,
)

ENOENT = 2
EEXIST = 17


class SwapState(KernelBase):
    """Pages of the swap cache: into it, out of it, and found in it."""

    def PageSwapCache(self, page: Any) -> bool:
        """Whether a page is in the swap cache (include/linux/page-flags.h)."""
        return self.CONFIG_SWAP and bool(page.swapcache)

    def find_get_page(self, entry: SwapEntry) -> Any:
        """The page of a slot with a reference taken, or None (mm/filemap.c).

        A page that is frozen on its way out is waited for: the kernel polls, and here that is to
        wait for the lock under which pages are frozen.
        """
        slot = self.swap_slot(entry)
        rcu_read_lock()
        page = READ_ONCE(slot, "page")
        while page is not None:
            if self.get_page_unless_zero(page):
                if READ_ONCE(slot, "page") == page:
                    break
                self.put_page(page)
            else:
                spin_lock(self.swap.tree_lock)
                spin_unlock(self.swap.tree_lock)
            page = READ_ONCE(slot, "page")
        rcu_read_unlock()
        return page

    def lookup_swap_cache(self, entry: SwapEntry) -> Any:
        """The page of a slot, with a reference taken; None if it is on the device only."""
        return self.find_get_page(entry)

    def add_to_swap_cache(self, page: Any, entry: SwapEntry) -> None:
        """Put a locked page into the swap cache; its slot has SWAP_HAS_CACHE already."""
        VM_BUG_ON(not self.PageLocked(page), "add_to_swap_cache: the page is not locked")
        VM_BUG_ON(self.PageSwapCache(page), "add_to_swap_cache: the page is there already")
        VM_BUG_ON(not page.swapbacked, "add_to_swap_cache: the page is not swap backed")
        self.get_page(page)
        page.swapcache = True
        page.private = entry
        slot = self.swap_slot(entry)
        spin_lock(self.swap.tree_lock)
        BUG_ON(slot.page is not None, "add_to_swap_cache: the slot has a page")
        slot.page = page
        spin_unlock(self.swap.tree_lock)
        unlock_bit(slot.moving)

    def _delete_from_swap_cache(self, page: Any) -> None:
        """Take a page out, with the lock of the tree held. (__delete_from_swap_cache.)"""
        VM_BUG_ON(not self.PageLocked(page), "delete_from_swap_cache: the page is not locked")
        VM_BUG_ON(not self.PageSwapCache(page), "delete_from_swap_cache: the page is not there")
        VM_BUG_ON(self.PageWriteback(page), "delete_from_swap_cache: the page is being written")
        slot = self.swap_slot(page.private)
        BUG_ON(not trylock_bit(slot.moving), "delete_from_swap_cache: the slot is not settled")
        slot.page = None
        page.private = None
        page.swapcache = False

    def delete_from_swap_cache(self, page: Any) -> None:
        """Take a locked page out of the swap cache, with the reference that the cache has."""
        entry = page.private
        spin_lock(self.swap.tree_lock)
        self._delete_from_swap_cache(page)
        spin_unlock(self.swap.tree_lock)
        self.swapcache_free(entry)
        self.put_page(page)

    def add_to_swap(self, page: Any) -> bool:
        """Give a locked anonymous page a slot; False if there is none."""
        if not self.CONFIG_SWAP:
            return False
        VM_BUG_ON(not self.PageLocked(page), "add_to_swap: the page is not locked")
        entry = self.get_swap_page()
        if entry is None:
            return False
        self.add_to_swap_cache(page, entry)
        page.dirty = True
        return True

    def free_swap_cache(self, page: Any) -> None:
        """Give up the slot of a page that is about to lose its last mapping's reference."""
        if self.PageSwapCache(page) and not self.page_mapped(page) and self.trylock_page(page):
            self.try_to_free_swap(page)
            self.unlock_page(page)

    def free_pages_and_swap_cache(self, pages: list[Any]) -> None:
        """Drop the references of entries that are gone, and swap slots that nobody needs."""
        for page in pages:
            self.free_swap_cache(page)
            self.put_page(page)

    def read_swap_cache_async(self, entry: SwapEntry, vma: Any, addr: int) -> Any:
        """The page of a slot, read in if need be, with a reference; None without memory or slot.

        A slot whose page is between the swap map and the tree is waited for: the kernel polls.
        """
        new_page = None
        while True:
            found_page = self.find_get_page(entry)
            if found_page is not None:
                break
            if new_page is None:
                new_page = self.alloc_page_vma(vma, addr)
                if new_page is None:
                    break
            err = self.swapcache_prepare(entry)
            if err == -EEXIST:
                wait_on_bit(self.swap_slot(entry).moving)
            elif err:  # freed since the caller saw it
                break
            else:
                return self.swap_read_new_page(new_page, entry)
        if new_page is not None:
            self.put_page(new_page)
        return found_page

    # The end of read_swap_cache_async(), cut out for length.

    def swap_read_new_page(self, new_page: Any, entry: SwapEntry) -> Any:
        """Put a new page into the swap cache and read it."""
        BUG_ON(not self.trylock_page(new_page), "read_swap_cache_async: a new page is locked")
        new_page.swapbacked = True
        self.add_to_swap_cache(new_page, entry)
        self.swap_readpage(new_page)
        return new_page

    # mm/page_io.c

    def swap_readpage(self, page: Any) -> None:
        """Read a locked page from its slot, and unlock it as the end of the read does."""
        page.contents = self.swap_slot(page.private).contents
        self.unlock_page(page)

    def swap_writepage(self, page: Any) -> None:
        """Write a locked page to its slot, if anybody still needs that. It is unlocked then.

        The device is one that has written when it is asked, as a RAM disk is; but the page is
        unlocked before, so others may find it under writeback.
        """
        if self.try_to_free_swap(page):
            self.unlock_page(page)
            return
        self.swap_slot(page.private).contents = page.contents
        self.set_page_writeback(page)
        self.unlock_page(page)
        self.end_page_writeback(page)

    # PG_writeback (mm/page-writeback.c, mm/filemap.c)

    def PageWriteback(self, page: Any) -> bool:
        """Whether a page is being written to its slot."""
        return self.CONFIG_SWAP and bool(page.writeback.is_locked())

    def set_page_writeback(self, page: Any) -> None:
        """Begin to write a locked page."""
        BUG_ON(not trylock_bit(page.writeback), "set_page_writeback: the page is being written")

    def end_page_writeback(self, page: Any) -> None:
        """The page is written."""
        unlock_bit(page.writeback)

    def wait_on_page_writeback(self, page: Any) -> None:
        """Sleep until the page is written, if it is being written."""
        if self.PageWriteback(page):
            wait_on_bit(page.writeback)
