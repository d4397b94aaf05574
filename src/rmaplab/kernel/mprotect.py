"""mm/mprotect.c: changing the protection of a range."""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.base import KernelBase
from rmaplab.kernel.memory import pte_modify
from rmaplab.kernel.mm_types import EINVAL, ENOMEM, PAGE_MASK, PAGE_SHIFT, VM_SHARED, VM_WRITE
from rmaplab.kernel.mmap import PROT_MASK, VM_ACCOUNT
from rmaplab.kernel.munmap import PAGE_ALIGN
from rmaplab.kernel.pgtable import is_migration_entry, pte_present
from rmaplab.machine import (
    down_write,
    pgd_addresses,
    pte_get,
    pte_offset_map,
    ptep_get_and_clear,
    set_pte_at,
    spin_lock,
    spin_unlock,
)


class Mprotect(KernelBase):
    """mprotect."""

    def change_protection(self, vma: Any, addr: int, end: int, newflags: int) -> None:
        """Give the entries of a range the protection of their VMA's new flags."""
        mm = vma.vm_mm
        addresses = pgd_addresses(mm.pgd, addr, end)
        if addresses:
            spin_lock(mm.page_table_lock)
            for address in addresses:
                self.change_pte(vma, address, pte_offset_map(mm.pgd, address), newflags)
            spin_unlock(mm.page_table_lock)

    def change_pte(self, vma: Any, address: int, pte: Any, newflags: int) -> None:
        """Change one entry, which is locked: the body of the loop in change_pte_range().

        No entry becomes writable: the next write faults and finds out whether it may.
        """
        oldpte = pte_get(pte)
        if pte_present(oldpte):
            ptent = ptep_get_and_clear(pte)
            set_pte_at(pte, pte_modify(ptent, newflags))
        elif is_migration_entry(oldpte) and oldpte.write:
            set_pte_at(pte, oldpte._replace(write=False))

    def mprotect_fixup(
        self, vma: Any, prev: Any, start: int, end: int, newflags: int
    ) -> tuple[int, Any]:
        """Give a range within one VMA its new flags; 0 or an error, and the VMA that holds it.

        After an error the latter may be wrong, as it may be in the kernel.
        """
        mm = vma.vm_mm
        oldflags = vma.vm_flags
        if newflags == oldflags:
            return 0, vma
        newflags = self.mprotect_account(vma, newflags)
        pgoff = vma.vm_pgoff + ((start - vma.vm_start) >> PAGE_SHIFT)
        merged = self.vma_merge(mm, prev, start, end, newflags, vma.anon_vma, vma.vm_file, pgoff)
        if merged is not None:
            vma = merged
        else:
            error = self.split_to_range(mm, vma, start, end)
            if error:
                return error, vma
        self.vm_flags_reset(vma, newflags)
        self.change_protection(vma, start, end, newflags)
        return 0, vma

    # Cut out of mprotect_fixup for "mm/mprotect: allow unfaulted VMAs to be unaccounted on
    # mprotect()", v6.7.

    def mprotect_account(self, vma: Any, newflags: int) -> int:
        """The flags of a range: what was writable once counts against the overcommit limit."""
        if newflags & VM_WRITE and not vma.vm_flags & (VM_ACCOUNT | VM_WRITE | VM_SHARED):
            newflags |= VM_ACCOUNT
        return newflags

    def split_to_range(self, mm: Any, vma: Any, start: int, end: int) -> int:
        """Split off what of a VMA is not in the range. (madvise does the same.)"""
        if start != vma.vm_start:
            error: int = self.split_vma(mm, vma, start, new_below=True)
            if error:
                return error
        if end != vma.vm_end:
            error = self.split_vma(mm, vma, end, new_below=False)
            if error:
                return error
        return 0

    def sys_mprotect(self, mm: Any, start: int, length: int, prot: int) -> int:
        """The mprotect system call."""
        if start & ~PAGE_MASK:
            return -EINVAL
        length = PAGE_ALIGN(length)
        if not length:
            return 0
        down_write(mm.mmap_sem)
        error = self.mprotect_range(mm, start, start + length, prot & PROT_MASK)
        self.mmap_write_unlock(mm)
        return error

    def mprotect_range(self, mm: Any, start: int, end: int, vm_flags: int) -> int:
        """Change VMA after VMA, until the end or a hole."""
        vma, prev = self.find_vma_prev(mm, start)
        if vma is None or vma.vm_start > start:
            return -ENOMEM
        if start > vma.vm_start:
            prev = vma
        nstart = start
        while True:
            newflags = vm_flags | (vma.vm_flags & ~PROT_MASK)
            tmp = min(vma.vm_end, end)
            error, prev = self.mprotect_fixup(vma, prev, nstart, tmp, newflags)
            if error:
                return error
            nstart = max(tmp, prev.vm_end)
            if nstart >= end:
                return 0
            vma = prev.vm_next
            if vma is None or vma.vm_start != nstart:
                return -ENOMEM
