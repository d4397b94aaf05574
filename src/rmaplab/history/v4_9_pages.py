"""What v4.9 changed for pages: forced writes."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v4_6_ksm import Commit7496fea9a6bf
from rmaplab.kernel.memory import VM_FAULT_ERROR, VM_FAULT_OOM, VM_FAULT_WRITE
from rmaplab.kernel.mm_types import EFAULT, ENOMEM, VM_WRITE
from rmaplab.kernel.pgtable import Pte, pte_present
from rmaplab.machine import cond_resched, pte_get, pte_offset_map, spin_lock, spin_unlock


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
            present, page = self.follow_page_cow(vma, address, write, cow)
            if present:
                return 0, page
            ret = self.handle_mm_fault(vma.vm_mm, vma, address, write)
            if ret & VM_FAULT_ERROR:
                return (-ENOMEM if ret & VM_FAULT_OOM else -EFAULT), None
            if ret & VM_FAULT_WRITE and not vma.vm_flags & VM_WRITE:
                cow = True

    def follow_page_cow(self, vma: Any, address: int, write: bool, cow: bool) -> tuple[bool, Any]:
        """New: follow_page_touch() that is told of FOLL_COW."""
        mm = vma.vm_mm
        ptep = pte_offset_map(mm.pgd, address)
        if ptep is None:
            return False, None
        spin_lock(mm.page_table_lock)
        pte = pte_get(ptep)
        present = pte_present(pte) and (not write or self.can_follow_write_pte(pte, vma, cow))
        page = self.vm_normal_page(vma, address, pte) if present else None
        if page is not None:
            self.get_page(page)
            if write and not pte.dirty:
                page.dirty = True
        spin_unlock(mm.page_table_lock)
        return present, page

    def can_follow_write_pte(self, pte: Pte, vma: Any, cow: bool) -> bool:
        """New: whether an entry may be written through."""
        return pte.write or (cow and pte.dirty)
