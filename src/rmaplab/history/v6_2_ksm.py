"""KSM in v6.2: merged pages are broken without pretending to write."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v6_1_ksm import Commitcb4df4cae4f2
from rmaplab.kernel.memory import VM_FAULT_OOM, VM_FAULT_SIGBUS
from rmaplab.kernel.mm_types import ENOMEM
from rmaplab.kernel.pgtable import is_migration_entry, pte_present
from rmaplab.machine import (
    cond_resched,
    pte_get,
    pte_offset_map,
    pte_wait_while,
    spin_lock,
    spin_unlock,
)


class Commit6cce3314b928(Commitcb4df4cae4f2):
    """6cce3314b928 "mm/ksm: fix KSM COW breaking with userfaultfd-wp via FAULT_FLAG_UNSHARE".

    2022-12-11, v6.2. With 58f595c66591 "mm/ksm: simplify break_ksm() to not rely on
    VM_FAULT_WRITE" and d7c0e68dab98 "mm/ksm: convert break_ksm() to use walk_page_range_vma()",
    v6.2: no reference is taken.
    """

    def break_ksm(self, vma: Any, addr: int) -> int:
        """Until there is no KSM page any more: what a fault says of itself does not matter."""
        while True:
            cond_resched()
            if not self.ksm_page_is_at(vma, addr):
                return 0
            ret = self.unshare_fault(vma, addr)
            if ret & (VM_FAULT_SIGBUS | VM_FAULT_OOM):
                return -ENOMEM if ret & VM_FAULT_OOM else 0

    def ksm_page_is_at(self, vma: Any, addr: int) -> bool:
        """New: whether an entry maps a KSM page, or waits for one that migrates."""
        mm = vma.vm_mm
        ptep = pte_offset_map(mm.pgd, addr)
        if ptep is None:
            return False
        spin_lock(mm.page_table_lock)
        entry = pte_get(ptep)
        found = entry is not None and self.is_ksm_entry(vma, addr, entry)
        spin_unlock(mm.page_table_lock)
        return bool(found)

    # The condition, cut out for 79271476b336 "ksm: support unsharing KSM-placed zero pages", v6.6.

    def is_ksm_entry(self, vma: Any, addr: int, entry: Any) -> bool:
        """New: whether an entry is of a KSM page. Such a page stays one until it is freed."""
        page = None
        if pte_present(entry):
            page = self.vm_normal_page(vma, addr, entry)
        elif is_migration_entry(entry):
            page = self.migration_entry_to_page(entry)
        return page is not None and self.PageKsm(page)

    def unshare_fault(self, vma: Any, addr: int) -> int:
        """New: handle_mm_fault() with FAULT_FLAG_UNSHARE, which copies what must not be shared.

        The copy is clean and read-only, so it stays mergeable whoever holds a reference to it.
        """
        mm = vma.vm_mm
        ptep = pte_offset_map(mm.pgd, addr)
        entry = pte_get(ptep) if ptep is not None else None
        if pte_present(entry):
            return self.do_unshare_page(mm, vma, addr, ptep)
        ret = int(self.handle_mm_fault(mm, vma, addr, write=False))
        if ptep is not None and is_migration_entry(entry) and pte_get(ptep) == entry:
            # Until then the fault would come back again and again.
            pte_wait_while(ptep, entry)  # unreached: only another CPU can be about to set it
        return ret

    def do_unshare_page(self, mm: Any, vma: Any, addr: int, ptep: Any) -> int:
        """New: do_wp_page() with that flag; what is one's own, or writable, stays."""
        spin_lock(mm.page_table_lock)
        entry = pte_get(ptep)
        if pte_present(entry) and not entry.write:
            page = self.vm_normal_page(vma, addr, entry)
            anon = page is not None and self.PageAnon(page)
            if not (anon and self.wp_can_reuse_anon_page(page, vma, addr)):
                return int(self.wp_page_copy(mm, vma, addr, ptep, entry, page, write=False))
        spin_unlock(mm.page_table_lock)
        return 0
