"""Kernels that lack one link, lock or count: what a mistake in a patch does."""

from __future__ import annotations

from typing import Any

from rmaplab.history import V2_6_36
from rmaplab.machine import list_for_each_entry, pte_get, set_pte_at


class ForkForgetsTheLinks(V2_6_36):
    def anon_vma_clone(self, dst: Any, src: Any) -> int:
        """4946d54cb55e, 2.6.34: what is linked by then stays linked."""
        for pavc in reversed(list(list_for_each_entry(src.anon_vma_chain))):
            avc = self.anon_vma_chain_alloc()
            if avc is None:
                return -12
            self.anon_vma_chain_link(dst, avc, pavc.anon_vma)
        return 0


class ForkLeavesTheParentWritable(V2_6_36):
    def copy_one_pte(
        self, dst_mm: Any, src_mm: Any, dst_pte: Any, src_pte: Any, vma: Any, address: int
    ) -> None:
        before = pte_get(src_pte)
        super().copy_one_pte(dst_mm, src_mm, dst_pte, src_pte, vma, address)
        set_pte_at(src_pte, before)


class ForkTakesTheParentsAnonVma(V2_6_36):
    def anon_vma_fork_link(self, vma: Any, pvma: Any, avc: Any, anon_vma: Any) -> None:
        super().anon_vma_fork_link(vma, pvma, avc, anon_vma)
        vma.anon_vma_chain.first().same_anon_vma.delete()
        vma.anon_vma_chain.first().anon_vma = None


class MergeHoldsNothing(V2_6_36):
    def hold_anon_vma(self, rmap_item: Any, anon_vma: Any) -> None:
        rmap_item.anon_vma = anon_vma


class SplitMovesNoOffset(V2_6_36):
    def vma_adjust(self, vma: Any, start: int, end: int, pgoff: int, insert: Any) -> int:
        return int(super().vma_adjust(vma, start, end, vma.vm_pgoff, insert))


class ForkCountsNoSwapEntry(V2_6_36):
    def swap_duplicate(self, entry: Any) -> int:
        return 0


class MremapLeavesTheEntries(V2_6_36):
    def move_ptes(
        self, vma: Any, old_addr: int, old_end: int, new_addr: int, need_rmap_locks: bool
    ) -> None:
        pass
