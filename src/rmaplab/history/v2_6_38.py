"""From v2.6.36 to v2.6.38: only what migration does with the anon_vma. No huge pages."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v2_6_36 import V2_6_36
from rmaplab.kernel.migrate import AnonVmaUse


class Commit1ce82b69e96c(V2_6_36):
    """1ce82b69e96c "mm: fix migration hangs on anon_vma lock".

    2011-01-13, v2.6.38. Between the question whether a page is mapped and the reference, its
    anon_vma could be freed: now its lock is held from the one to the other.
    """

    def use_anon_vma(self, page: Any, use: AnonVmaUse) -> bool:
        """page_lock_anon_vma finds the anon_vma, or that there is none; RCU is not needed after."""
        if self.PageAnon(page):
            use.anon_vma = self.page_lock_anon_vma(page)
            if use.anon_vma is not None:
                self.migrate_get_anon_vma(use.anon_vma)
                self.page_unlock_anon_vma(use.anon_vma)
            elif self.PageSwapCache(page):
                use.remap_swapcache = False
            else:
                return False
        return True


V2_6_38 = Commit1ce82b69e96c
