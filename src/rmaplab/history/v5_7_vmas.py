"""v5.7, VMAs: mremap that leaves an empty mapping behind."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v5_4_pages import Commit1a4e58cce84e
from rmaplab.kernel.mm_types import PAGE_SHIFT, VM_LOCKED
from rmaplab.kernel.mremap import MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE
from rmaplab.kernel.munmap import PAGE_ALIGN


class Commite346b3813067(Commit1a4e58cce84e):
    """e346b3813067 "mm/mremap: add MREMAP_DONTUNMAP to mremap()".

    2020-04-02, v5.7.
    """

    def mremap_flags_valid(self, flags: int, old_len: int, new_len: int) -> bool:
        """What keeps its source moves, and keeps its size."""
        if flags & MREMAP_DONTUNMAP and not (flags & MREMAP_MAYMOVE and old_len == new_len):
            return False
        return super().mremap_flags_valid(flags & ~MREMAP_DONTUNMAP, old_len, new_len)

    def do_mremap(
        self, mm: Any, addr: int, old_len: int, new_len: int, flags: int = 0, new_addr: int = 0
    ) -> int:
        """Without MREMAP_FIXED, the kernel picks the place."""
        if flags & MREMAP_DONTUNMAP and not flags & MREMAP_FIXED:
            new_addr = self.get_unmapped_area(mm, PAGE_ALIGN(new_len))
            flags |= MREMAP_FIXED
        return super().do_mremap(mm, addr, old_len, new_len, flags, new_addr)

    def move_vma_end(
        self, vma: Any, vm_flags: int, addr: int, length: int, keep_source: bool
    ) -> None:
        """The source stays, but is not locked."""
        if not keep_source:
            super().move_vma_end(vma, vm_flags, addr, length, keep_source)
        elif vma.vm_flags & VM_LOCKED:
            vma.vm_flags &= ~VM_LOCKED
            vma.vm_mm.locked_vm -= length >> PAGE_SHIFT  # move_vma counts what it moved
