"""mm/mlock.c, the two functions that the reverse map and KSM call: the mark of a locked page.

There are no LRU lists, so marking a page moves it nowhere; mlock(2) itself is not here.
"""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.base import KernelBase
from rmaplab.machine import BUG_ON


class Mlock(KernelBase):
    """PG_mlocked."""

    def mlock_vma_page(self, page: Any) -> None:
        """Mark a page that a locked VMA maps. The page lock is held."""
        BUG_ON(not self.PageLocked(page), "mlock_vma_page: the page is not locked")
        page.mlocked = True

    def munlock_vma_page(self, page: Any) -> None:
        """Take the mark away, unless another locked VMA maps the page. The page lock is held."""
        BUG_ON(not self.PageLocked(page), "munlock_vma_page: the page is not locked")
        if page.mlocked:
            page.mlocked = False
            if not self.isolate_lru_page(page):
                self.try_to_munlock(page)
                self.putback_lru_page(page)
