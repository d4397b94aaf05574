"""What v5.1 changed for pages: a KSM page with one mapping may be reused (until v5.9)."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v5_1_ksm import Commit2cee57d1b08a
from rmaplab.kernel.mm_types import PAGE_MAPPING_ANON
from rmaplab.kernel.pgtable import Pte
from rmaplab.machine import atomic_compare


class Commit52d1e606ee73(Commit2cee57d1b08a):
    """52d1e606ee73 "mm: reuse only-pte-mapped KSM page in do_wp_page()".

    2019-03-05, v5.1.
    """

    def do_wp_page(self, mm: Any, vma: Any, address: int, page_table: Any, orig_pte: Pte) -> int:
        """A KSM page to which there is no reference but this entry's becomes an ordinary one."""
        old_page = self.vm_normal_page(vma, address, orig_pte)
        if old_page is None or not self.PageKsm(old_page):
            return super().do_wp_page(mm, vma, address, page_table, orig_pte)
        reused = not self.PageSwapCache(old_page) and atomic_compare(old_page._count, "==", 1)
        if reused:
            if not self.lock_wp_page(mm, page_table, orig_pte, old_page):
                return 0  # unreached: in order nobody holds the page lock
            reused = self.reuse_ksm_page(old_page, vma, address)
            self.unlock_page(old_page)
        if reused:
            return self.wp_page_reuse(mm, vma, page_table, orig_pte)
        return self.wp_page_copy(mm, vma, address, page_table, orig_pte, old_page)

    def reuse_ksm_page(self, page: Any, vma: Any, address: int) -> bool:
        """New: take a locked page out of KSM: its stable_node finds out when it looks for it."""
        if self.PageSwapCache(page) or self.page_stable_node(page) is None:
            return False  # unreached: in order it is still alone
        if not self.page_freeze_refs(page, 1):
            return False  # unreached: in order it is still alone
        page.index = self.linear_page_index(vma, address)
        page.mapping = (PAGE_MAPPING_ANON, vma.anon_vma)
        self.page_unfreeze_refs(page, 1)
        return True
