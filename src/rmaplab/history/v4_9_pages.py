"""What v4.9 changed for pages: forced writes."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v4_6_ksm import Commit7496fea9a6bf
from rmaplab.kernel.memory import VM_FAULT_ERROR, VM_FAULT_OOM, VM_FAULT_WRITE
from rmaplab.kernel.mm_types import EFAULT, ENOMEM, VM_WRITE
from rmaplab.kernel.pgtable import Pte
from rmaplab.machine import cond_resched


class Commit19be0eaffa3a(Commit7496fea9a6bf):
    """19be0eaffa3a "mm: remove gup_flags FOLL_WRITE games from __get_user_pages()".

    2016-10-18, v4.9. CVE-2016-5195, "Dirty COW". A forced write stays a write: once the copy is
    made (FOLL_COW), a dirty entry is taken for it, and if that is gone it is made again.
    """

    def get_user_page(self, vma: Any, address: int, write: bool) -> tuple[int, Any]:
        """The loop remembers that there was a copy instead of forgetting that it writes."""
        cow = False
        while True:
            cond_resched()
            present, page = self.follow_page_touch(vma, address, write, cow)
            if present:
                return 0, page
            ret = self.handle_mm_fault(vma.vm_mm, vma, address, write)
            if ret & VM_FAULT_ERROR:
                return (-ENOMEM if ret & VM_FAULT_OOM else -EFAULT), None
            if ret & VM_FAULT_WRITE and not vma.vm_flags & VM_WRITE:
                cow = True

    def can_follow_write_pte(self, pte: Pte, vma: Any, cow: bool) -> bool:
        """Also if it is of a copy that was made for this: a dirty one, with FOLL_COW."""
        return pte.write or (cow and pte.dirty)
