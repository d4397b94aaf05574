"""What v6.0 changed for pages: who may write through an entry that is not writable."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v6_0_vmas import Commitca3d76b0aa80
from rmaplab.kernel.mm_types import VM_WRITE
from rmaplab.kernel.pgtable import Pte, pte_mkwrite, pte_present
from rmaplab.machine import pte_get, set_pte_at


class Commit64fe24a3e05e(Commitca3d76b0aa80):
    """64fe24a3e05e "mm/mprotect: try avoiding write faults for exclusive anonymous pages when
    changing protection".

    2022-07-17, v6.0.
    """

    def change_pte(self, vma: Any, address: int, pte: Any, newflags: int) -> None:
        """An entry becomes writable at once where a fault would make it so without a question."""
        super().change_pte(vma, address, pte, newflags)
        if not newflags & VM_WRITE:
            return
        ptent = pte_get(pte)
        if pte_present(ptent) and not ptent.write and self.can_change_pte_writable(vma, ptent):
            set_pte_at(pte, pte_mkwrite(ptent))

    def can_change_pte_writable(self, vma: Any, pte: Pte) -> bool:
        """New: whether an entry maps a page that is its alone."""
        page = self.vm_normal_page(vma, 0, pte)
        return page is not None and self.PageAnon(page) and bool(page.anon_exclusive)


class Commit5535be309971(Commit64fe24a3e05e):
    """5535be309971 "mm/gup: fix FOLL_FORCE COW security issue and remove FOLL_COW".

    2022-08-09, v6.0. A dirty entry is no proof of a copy: userfaultfd could make one.
    """

    def can_follow_write_pte(self, pte: Pte, vma: Any, cow: bool) -> bool:
        """A forced write needs a page that is this entry's alone."""
        if pte.write:
            return True
        page = None if vma.vm_flags & VM_WRITE else self.vm_normal_page(vma, 0, pte)
        return page is not None and self.PageAnon(page) and bool(page.anon_exclusive)
