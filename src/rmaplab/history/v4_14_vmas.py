"""v4.14, VMAs: memory that a child finds empty."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v4_13_ksm import Commit2c653d0ee2ae
from rmaplab.kernel.mm_types import EINVAL, VM_LOCKED, VM_SHARED

#: The kernel's bit, 0x2000000, was VM_INSERTPAGE before, for which older functions look here.
VM_WIPEONFORK = 1 << 33

MADV_WIPEONFORK = 18
MADV_KEEPONFORK = 19


class Commitd2cd9ede6e19(Commit2c653d0ee2ae):
    """d2cd9ede6e19 "mm,fork: introduce MADV_WIPEONFORK".

    2017-09-06, v4.14. The child's VMA has no anon_vma until it has a page, as later releases have
    it; in v4.14 it gets one at once.
    """

    def madvise_behavior_valid(self, behavior: int) -> bool:
        """Two more."""
        return behavior in (MADV_WIPEONFORK, MADV_KEEPONFORK) or super().madvise_behavior_valid(
            behavior
        )

    def madvise_new_flags(self, vma: Any, start: int, end: int, behavior: int) -> tuple[int, int]:
        """Only anonymous private memory can be wiped."""
        flags: int = vma.vm_flags
        if behavior == MADV_WIPEONFORK:
            if vma.vm_file is not None or flags & VM_SHARED:
                return -EINVAL, flags
            return 0, flags | VM_WIPEONFORK
        if behavior == MADV_KEEPONFORK:
            return 0, flags & ~VM_WIPEONFORK
        return super().madvise_new_flags(vma, start, end, behavior)

    def dup_mmap_vma(self, mm: Any, tmp: Any, mpnt: Any) -> int:
        """Nothing of the parent's reverse map."""
        if not tmp.vm_flags & VM_WIPEONFORK:
            return super().dup_mmap_vma(mm, tmp, mpnt)
        tmp.vm_mm = mm
        tmp.anon_vma = None
        tmp.vm_flags &= ~VM_LOCKED
        tmp.vm_next = None
        return 0

    def copy_page_range(self, dst_mm: Any, src_mm: Any, vma: Any) -> int:
        """Nor its pages. (The test is dup_mmap's.)"""
        return 0 if vma.vm_flags & VM_WIPEONFORK else super().copy_page_range(dst_mm, src_mm, vma)
