"""v2.6.38, mlock: first the flags of all VMAs, then the pages."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v2_6_38 import Commit1ce82b69e96c
from rmaplab.kernel.mlock import VM_NEVER_LOCKED
from rmaplab.kernel.mm_types import PAGE_MASK, PAGE_SHIFT, VM_IO, VM_LOCKED, VM_PFNMAP
from rmaplab.kernel.munmap import PAGE_ALIGN
from rmaplab.machine import down_read, up_read


class Commitfed067da46ad(Commit1ce82b69e96c):
    """fed067da46ad "mlock: only hold mmap_sem in shared mode when faulting in pages".

    2011-01-13, v2.6.38. So a page that cannot be had no longer keeps the VMAs behind it unlocked.
    """

    def mlock_fixup(
        self, vma: Any, prev: Any, start: int, end: int, newflags: int
    ) -> tuple[int, Any]:
        """Only the flags, where a range is locked."""
        mm = vma.vm_mm
        if newflags == vma.vm_flags or vma.vm_flags & VM_NEVER_LOCKED:
            return 0, vma
        pgoff = vma.vm_pgoff + ((start - vma.vm_start) >> PAGE_SHIFT)
        merged = self.vma_merge(mm, prev, start, end, newflags, vma.anon_vma, vma.vm_file, pgoff)
        if merged is not None:
            vma = merged
        else:
            error = self.split_to_range(mm, vma, start, end)
            if error:
                return error, vma
        nr_pages = (end - start) >> PAGE_SHIFT
        if newflags & VM_LOCKED:
            mm.locked_vm += nr_pages
            self.vm_flags_reset(vma, newflags)
        else:
            mm.locked_vm -= nr_pages
            self.munlock_vma_pages_range(vma, start, end)
        return 0, vma

    def sys_mlock(self, mm: Any, start: int, length: int) -> int:
        """The pages come when the VMAs are done."""
        error = super().sys_mlock(mm, start, length)
        if error:
            return error
        length = PAGE_ALIGN(length + (start & ~PAGE_MASK))
        start &= PAGE_MASK
        return self._mlock_posix_error_return(self.do_mlock_pages(mm, start, start + length))

    def do_mlock_pages(self, mm: Any, nstart: int, end: int) -> int:
        """New: make the pages of a range present, hole or not; 0 or the first error.

        fed067da46ad reads mmap_sem for each VMA anew; here it is held from the first to the last.
        """
        error = 0
        down_read(mm.mmap_sem)
        while nstart < end and not error:
            vma = self.find_vma_intersection(mm, nstart, end)
            if vma is None:
                break
            nend = min(end, vma.vm_end)
            if not vma.vm_flags & (VM_IO | VM_PFNMAP):
                error = self._mlock_vma_pages_range(vma, max(nstart, vma.vm_start), nend)
            nstart = nend
        up_read(mm.mmap_sem)
        return error
