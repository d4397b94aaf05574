"""v6.5, VMAs: two cures of the locks that each VMA has since v6.4."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v6_4_ksm import Commit24139c07f413


class Commit657b5146955e(Commit24139c07f413):
    """657b5146955e "mm: lock_vma_under_rcu() must check vma->anon_vma under vma lock".

    2023-07-26, v6.5, v6.4.8. Before, mremap could take the anon_vma away after the question, and
    the fault looked at neighbours that nothing kept.
    """

    def vma_lock_for_fault(self, mm: Any, vma: Any, address: int) -> bool:
        """First the lock, then the question."""
        if not self.vma_start_read(mm, vma):
            return False
        if vma.anon_vma is None:
            self.vma_end_read(vma)
            return False
        return self.vma_still_there(vma, address)


class Commitd8ab9f7b644a(Commit657b5146955e):
    """d8ab9f7b644a "mm: lock VMA in dup_anon_vma() before setting ->anon_vma".

    2023-07-21, v6.5, v6.4.8. Before, a fault could use the anon_vma of a VMA that did not get its
    chain in the end.
    """

    def dup_anon_vma(self, dst: Any, src: Any) -> int:
        """Locked for writing first."""
        if src.anon_vma is not None and dst.anon_vma is None:
            self.vma_start_write(dst)
        return super().dup_anon_vma(dst, src)
