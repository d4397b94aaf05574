"""v6.0, VMAs: what mremap lets grow may meet its neighbour."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v5_19_pages import Commit1493a1913e34
from rmaplab.kernel.mm_types import ENOMEM, PAGE_SHIFT, VM_LOCKED


class Commitca3d76b0aa80(Commit1493a1913e34):
    """ca3d76b0aa80 "mm: add merging after mremap resize".

    2022-06-16, v6.0.
    """

    def expand_vma(self, vma: Any, addr: int, old_len: int, new_len: int) -> int:
        """The new part merges with the VMA, and with the next one if that fits."""
        mm, start, end = vma.vm_mm, addr + old_len, addr + new_len
        pgoff = vma.vm_pgoff + ((start - vma.vm_start) >> PAGE_SHIFT)
        merged = self.vma_merge(mm, vma, start, end, vma.vm_flags, vma.anon_vma, vma.vm_file, pgoff)
        if merged is None:
            return -ENOMEM
        if merged.vm_flags & VM_LOCKED:
            mm.locked_vm += (end - start) >> PAGE_SHIFT
            self.mlock_vma_pages_range(merged, start, end)
        return addr
