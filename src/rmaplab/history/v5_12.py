"""v5.12: what is left of letting VMAs go."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v5_12_vmas import Commit1583aa278f5f


class Commitee8ab1903e3d(Commit1583aa278f5f):
    """ee8ab1903e3d "mm: rmap: explicitly reset vma->anon_vma in unlink_anon_vmas()".

    2021-02-24, v5.12. The VMA may be needed still, and fault again.
    """

    def vma_is_unlinked(self, vma: Any) -> None:
        """It has no anon_vma then."""
        super().vma_is_unlinked(vma)
        vma.anon_vma = None
