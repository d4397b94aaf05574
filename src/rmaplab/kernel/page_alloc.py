"""mm/page_alloc.c, mm/swap.c and mm/filemap.c, as far as a page's life, count and lock go.

Frames are the objects of `page_cachep`; their struct pages are always there. There are no LRU
lists, zones or orders: a free page is simply on the freelist of its cache.
"""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.base import KernelBase
from rmaplab.machine import (
    BUG_ON,
    VM_BUG_ON,
    atomic_compare,
    atomic_dec_and_test,
    atomic_inc_not_zero,
    atomic_read,
    atomic_set,
    kmem_cache_alloc,
    kmem_cache_free,
    lock_bit,
    trylock_bit,
    unlock_bit,
    wait_on_bit,
)


class PageAlloc(KernelBase):
    """Page allocation, references and the page lock."""

    def alloc_page(self) -> Any:
        """A page with one reference and no mapping, or None."""
        page = kmem_cache_alloc(self.page_cachep)
        if page is not None:
            atomic_set(page._count, 1)
        return page

    def alloc_page_vma(self, vma: Any, address: int) -> Any:
        """alloc_page for a place in a VMA: there is one memory node."""
        return self.alloc_page()

    def free_page(self, page: Any) -> None:
        """Free a page whose last reference is gone (free_hot_cold_page).

        An anonymous page loses its mapping here and not when it is unmapped. The kernel reports
        a bad page and goes on without it; here that is a stop.
        """
        if self.PageAnon(page):
            page.mapping = None
        BUG_ON(atomic_compare(page._mapcount, "!=", -1), "Bad page state: still mapped")
        BUG_ON(page.mapping is not None, "Bad page state: it has a mapping")
        BUG_ON(atomic_compare(page._count, "!=", 0), "Bad page state: it has references")
        BUG_ON(self.PageLocked(page), "Bad page state: it is locked")
        BUG_ON(self.PageWriteback(page), "Bad page state: it is being written")
        page.swapbacked = page.dirty = page.mlocked = False
        page.contents = None
        kmem_cache_free(self.page_cachep, page)

    def get_page(self, page: Any) -> None:
        """Take a reference to a page that has one.

        The kernel's VM_BUG_ON for a page without one, and the increment, are one step here.
        """
        VM_BUG_ON(not atomic_inc_not_zero(page._count), "get_page of a free page")

    def get_page_unless_zero(self, page: Any) -> bool:
        """Take a reference to a page unless it is free."""
        return atomic_inc_not_zero(page._count)

    def put_page(self, page: Any) -> None:
        """Drop a reference, and free the page with the last one."""
        if atomic_dec_and_test(page._count):
            self.free_page(page)

    # Cut out for 2fbb0c10d1e8 "mm/munlock: mlock_page() munlock_page() batch by pagevec", 5.18.

    def batched_pages(self) -> tuple[Any, ...]:
        """The pages that a CPU has collected, with a reference each: none."""
        return ()

    def page_cache_release(self, page: Any) -> None:
        """put_page under its name in the page cache (include/linux/pagemap.h)."""
        self.put_page(page)

    def page_count(self, page: Any) -> int:
        """The number of references to a page."""
        return atomic_read(page._count)

    def page_mapcount(self, page: Any) -> int:
        """The number of page table entries that map a page."""
        return atomic_read(page._mapcount) + 1

    def PageLocked(self, page: Any) -> bool:
        """Whether anybody holds the page lock."""
        locked: bool = page.locked.is_locked()
        return locked

    def lock_page(self, page: Any) -> None:
        """Take the page lock; may sleep."""
        lock_bit(page.locked)

    def trylock_page(self, page: Any) -> bool:
        """Take the page lock if it is free."""
        return trylock_bit(page.locked)

    def unlock_page(self, page: Any) -> None:
        """Release the page lock."""
        unlock_bit(page.locked)

    def wait_on_page_locked(self, page: Any) -> None:
        """Sleep until the page lock is free, without taking it."""
        wait_on_bit(page.locked)

    def page_to_pfn(self, page: Any) -> int:
        """The frame number of a page."""
        return self.page_cachep.index(page)

    def pfn_to_page(self, pfn: int) -> Any:
        """The page of a frame number."""
        return self.page_cachep.at(pfn)
