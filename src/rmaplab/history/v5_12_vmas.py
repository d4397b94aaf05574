"""v5.12, VMAs: a mapping that mremap emptied forgets its anon_vmas."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v5_9_pages import Commit70e806e4e645


class Commit1583aa278f5f(Commit70e806e4e645):
    """1583aa278f5f "mm: mremap: unlink anon_vmas when mremap with MREMAP_DONTUNMAP success".

    2021-02-24, v5.12.
    """

    def move_vma_end(
        self, vma: Any, vm_flags: int, addr: int, length: int, keep_source: bool
    ) -> None:
        """If all of it was moved."""
        super().move_vma_end(vma, vm_flags, addr, length, keep_source)
        if keep_source and vma.vm_start == addr and vma.vm_end == addr + length:
            self.unlink_anon_vmas(vma)
