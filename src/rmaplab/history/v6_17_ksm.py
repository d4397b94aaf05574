"""KSM in v6.17."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v6_16_vmas import Commit879bca0a2c4f
from rmaplab.kernel.ksm.control import VM_UNFIT
from rmaplab.kernel.mm_types import VM_MERGEABLE


class Commitcf7e7a3503df(Commit879bca0a2c4f):
    """cf7e7a3503df "mm: prevent KSM from breaking VMA merging for new VMAs".

    2025-07-09, v6.17. A new VMA was made mergeable too late to merge with a neighbour that is.
    """

    def mmap_region(
        self, mm: Any, addr: int, length: int, vm_flags: int, file: Any, pgoff: int
    ) -> int:
        """The flag is there from the start."""
        vm_flags = self.ksm_vma_flags(mm, vm_flags)
        return super().mmap_region(mm, addr, length, vm_flags, file, pgoff)

    def ksm_vma_flags(self, mm: Any, vm_flags: int) -> int:
        """New, instead of ksm_add_vma(): the flags of a VMA to come."""
        fits = not vm_flags & (VM_MERGEABLE | VM_UNFIT)
        if not (self.CONFIG_KSM and self.test_mm_merge_any(mm) and fits):
            return vm_flags
        if not self.test_mm_mergeable(mm):
            self._ksm_enter(mm)
        return vm_flags | VM_MERGEABLE

    def ksm_add_vma(self, vma: Any) -> None:
        """Gone."""
