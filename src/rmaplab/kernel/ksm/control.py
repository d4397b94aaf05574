"""mm/ksm.c: how address spaces come under KSM and leave it, and how everything is unmerged.

`__ksm_enter` and `__ksm_exit` are `_ksm_enter` and `_ksm_exit` here: Python renames a method that
begins with two underscores by its class, and a subclass could not override it.
"""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.ksm.scan import KsmScanning
from rmaplab.kernel.madvise import MADV_MERGEABLE, MADV_UNMERGEABLE
from rmaplab.kernel.mm_types import (
    ENOMEM,
    PAGE_SIZE,
    VM_DONTEXPAND,
    VM_HUGETLB,
    VM_INSERTPAGE,
    VM_IO,
    VM_MAYSHARE,
    VM_MERGEABLE,
    VM_MIXEDMAP,
    VM_NONLINEAR,
    VM_PFNMAP,
    VM_RESERVED,
    VM_SHARED,
)
from rmaplab.machine import (
    atomic_inc,
    down_read,
    down_write,
    list_del,
    spin_lock,
    spin_unlock,
    up_read,
)

#: VMAs that are never merged.
VM_UNFIT = (
    VM_SHARED
    | VM_MAYSHARE
    | VM_PFNMAP
    | VM_IO
    | VM_DONTEXPAND
    | VM_RESERVED
    | VM_HUGETLB
    | VM_INSERTPAGE
    | VM_NONLINEAR
    | VM_MIXEDMAP
)


class KsmControl(KsmScanning):
    """madvise, fork and exit, and unmerging."""

    # Address spaces

    def ksm_madvise(
        self, vma: Any, start: int, end: int, advice: int, vm_flags: int
    ) -> tuple[int, int]:
        """MADV_MERGEABLE and MADV_UNMERGEABLE: an error or 0, and what *vm_flags then is."""
        if not self.CONFIG_KSM:
            return 0, vm_flags
        mm = vma.vm_mm
        if advice == MADV_MERGEABLE:
            if vm_flags & (VM_MERGEABLE | VM_UNFIT):
                return 0, vm_flags
            err = 0 if self.test_mm_mergeable(mm) else self._ksm_enter(mm)
            return err, vm_flags if err else vm_flags | VM_MERGEABLE
        if advice == MADV_UNMERGEABLE:
            if not vm_flags & VM_MERGEABLE:
                return 0, vm_flags
            err = 0 if vma.anon_vma is None else self.unmerge_ksm_pages(vma, start, end)
            return err, vm_flags if err else vm_flags & ~VM_MERGEABLE
        return 0, vm_flags

    # Cut out for d7597f59d1d3 "mm: add new api to enable ksm per process", 6.4.

    def ksm_add_vma(self, vma: Any) -> None:
        """Make a new VMA mergeable if its process asked for that: none can, until 6.4."""

    def ksm_fork(self, mm: Any, oldmm: Any) -> int:
        """Let a child be scanned as its parent is."""
        if self.CONFIG_KSM and self.test_mm_mergeable(oldmm):
            return self._ksm_enter(mm)
        return 0

    def ksm_exit(self, mm: Any) -> None:
        """Take an mm without users out of KSM, before its page tables go."""
        if self.CONFIG_KSM and self.test_mm_mergeable(mm):
            self._ksm_exit(mm)

    def _ksm_enter(self, mm: Any) -> int:
        """Queue an mm just behind the cursor: 0 or -ENOMEM. (ksmd needs no waking here.)"""
        mm_slot = self.alloc_mm_slot()
        if mm_slot is None:
            return -ENOMEM
        spin_lock(self.ksm.ksm_mmlist_lock)
        self.insert_to_mm_slots_hash(mm, mm_slot)
        self.queue_mm_slot(mm_slot)
        spin_unlock(self.ksm.ksm_mmlist_lock)
        self.set_mm_mergeable(mm)
        atomic_inc(mm.mm_count)
        return 0

    # Cut out for cbf86cfe04a6 "ksm: remove old stable nodes more thoroughly", 3.9.

    def queue_mm_slot(self, mm_slot: Any) -> None:
        """Where a new slot goes: just behind the cursor."""
        self.add_before_cursor(mm_slot)

    def _ksm_exit(self, mm: Any) -> None:
        """Free the slot now if ksmd has nothing there; else leave it to ksmd, next in turn.

        In that case taking mmap_sem waits until ksmd is out of the page tables. ksmd may also
        have seen the exit first and freed the slot.
        """
        scan = self.ksm_scan
        easy_to_free = False
        spin_lock(self.ksm.ksm_mmlist_lock)
        mm_slot = self.get_mm_slot(mm)
        if mm_slot is not None and scan.mm_slot != mm_slot:
            if mm_slot.rmap_list is None:
                list_del(mm_slot.link)
                list_del(mm_slot.mm_list)
                easy_to_free = True
            else:
                self.move_after_cursor(mm_slot)
        spin_unlock(self.ksm.ksm_mmlist_lock)
        if easy_to_free:
            self.free_mm_slot(mm_slot)
            self.clear_mm_mergeable(mm)
            self.mmdrop(mm)
        elif mm_slot is not None:
            down_write(mm.mmap_sem)
            self.mmap_write_unlock(mm)

    # Unmerging

    def unmerge_ksm_pages(self, vma: Any, start: int, end: int) -> int:
        """Break every KSM page of a range; the rmap_items are left to the next pass."""
        for addr in range(start, end, PAGE_SIZE):
            if self.ksm_test_exit(vma.vm_mm):
                break
            err = self.break_ksm(vma, addr)
            if err:
                return err
        return 0

    def unmerge_and_remove_all_rmap_items(self) -> int:
        """Break every KSM page there is and free all rmap_items; ksm_thread_mutex is held."""
        scan = self.ksm_scan
        spin_lock(self.ksm.ksm_mmlist_lock)
        mm_slot = self.first_mm_slot()
        scan.mm_slot = mm_slot
        spin_unlock(self.ksm.ksm_mmlist_lock)
        while mm_slot != self.ksm_mm_head:
            mm = mm_slot.mm
            down_read(mm.mmap_sem)
            err = self._unmerge_mm(mm)
            if err:
                up_read(mm.mmap_sem)
                spin_lock(self.ksm.ksm_mmlist_lock)
                scan.mm_slot = self.ksm_mm_head
                spin_unlock(self.ksm.ksm_mmlist_lock)
                return err
            self.remove_trailing_rmap_items(mm_slot, None)
            mm_slot = self._leave_unmerged_mm(mm_slot, mm)
        self.all_is_unmerged()
        return 0

    # Cut out for cbf86cfe04a6 "ksm: remove old stable nodes more thoroughly", 3.9.

    def all_is_unmerged(self) -> None:
        """Begin to count passes anew."""
        self.ksm_scan.seqnr = 0

    def _unmerge_mm(self, mm: Any) -> int:
        vma = mm.mmap
        while vma is not None and not self.ksm_test_exit(mm):
            if vma.vm_flags & VM_MERGEABLE and vma.anon_vma is not None:
                err = self.unmerge_ksm_pages(vma, vma.vm_start, vma.vm_end)
                if err:
                    return err
            vma = vma.vm_next
        return 0

    def _leave_unmerged_mm(self, mm_slot: Any, mm: Any) -> Any:
        """Move the cursor on and release mmap_sem; an mm that exits loses its slot."""
        spin_lock(self.ksm.ksm_mmlist_lock)
        following = self.next_mm_slot(mm_slot)
        self.ksm_scan.mm_slot = following
        if self.ksm_test_exit(mm):
            self.forget_mm_slot(mm_slot, mm)
        else:
            spin_unlock(self.ksm.ksm_mmlist_lock)
            up_read(mm.mmap_sem)
        return following
