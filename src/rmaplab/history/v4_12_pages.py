"""What v4.12 changed for pages: MADV_FREE without swap."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v4_11_ksm import Commite86c59b1b12d
from rmaplab.kernel.rmap import SWAP_AGAIN, SWAP_FAIL, TTU_ACTION, TTU_MIGRATION


class Commitf7ad2a6cb9f7(Commite86c59b1b12d):
    """f7ad2a6cb9f7 "mm: move MADV_FREE pages into LRU_INACTIVE_FILE list".

    2017-05-03, v4.12. With 802a3a92ad7a "mm: reclaim MADV_FREE pages". An anonymous page without
    PG_swapbacked is one that reclaim may drop while nobody writes to it.
    """

    def mark_page_lazyfree(self, page: Any) -> None:
        """The page is not backed by swap any more."""
        if self.PageAnon(page) and page.swapbacked and not self.PageSwapCache(page):
            page.swapbacked = False

    def reclaims(self, page: Any) -> bool:
        """Such a page can go without a swap device."""
        return self.CONFIG_SWAP or not page.swapbacked

    def needs_swap(self, page: Any) -> bool:
        """Such a page gets no slot."""
        return bool(page.swapbacked) and super().needs_swap(page)

    def needs_unmap(self, page: Any) -> bool:
        """Whatever is still mapped."""
        return self.page_mapped(page)

    def entry_instead(self, page: Any, mm: Any, entry: Any, flags: int) -> tuple[int, Any]:
        """Nothing stays of a clean one; one that was written is like others again."""
        if TTU_ACTION(flags) == TTU_MIGRATION or page.swapbacked:
            return super().entry_instead(page, mm, entry, flags)
        if not page.dirty:
            return SWAP_AGAIN, None
        page.swapbacked = True
        return SWAP_FAIL, None

    def remove_unmapped(self, page: Any) -> bool:
        """One that is in no cache only must have no references but ours."""
        if page.swapbacked:
            return super().remove_unmapped(page)
        if not self.page_freeze_refs(page, 1):
            return False
        if page.dirty:
            self.page_unfreeze_refs(page, 1)
            return False
        return True


class Commit93e06c7a6453(Commitf7ad2a6cb9f7):
    """93e06c7a6453 "mm: enable MADV_FREE for swapless system".

    2017-05-03, v4.12.
    """

    def can_free_lazily(self) -> bool:
        """Always."""
        return True
