"""KSM in v5.19: each process knows how many of its pages are merged."""

from __future__ import annotations

from typing import Any, ClassVar

from rmaplab.history.v5_9_pages import MmStructWithPins
from rmaplab.history.v5_18_pages import Commit6c8e2a256915
from rmaplab.machine import Atomic, Struct, atomic, atomic_dec, atomic_inc, atomic_read, atomic_set


class MmStructWithMergingPages(MmStructWithPins):
    """struct mm_struct with a count of KSM's: a plain number in the kernel, as in KsmGlobals."""

    ksm_merging_pages: Atomic = atomic()


class Commit7609385337a4(Commit6c8e2a256915):
    """7609385337a4 "ksm: count ksm merging pages for each process".

    2022-04-28, v5.19.
    """

    MmStruct: ClassVar[type[Struct]] = MmStructWithMergingPages

    def mm_alloc(self) -> Any:
        """A new mm has none."""
        mm = super().mm_alloc()
        if mm is not None:
            self.clear_ksm_counts(mm)
        return mm

    def clear_ksm_counts(self, mm: Any) -> None:
        """New: the memset() of mm_alloc(), as far as KSM counts."""
        atomic_set(mm.ksm_merging_pages, 0)

    def copy_ksm_counts(self, mm: Any, oldmm: Any) -> None:
        """New: the memcpy() of dup_mm(): the child begins with its parent's.

        4d6fc29f3634 "mm/ksm: fix incorrect KSM counter handling in mm_struct during fork", v6.18.
        """
        atomic_set(mm.ksm_merging_pages, atomic_read(oldmm.ksm_merging_pages))

    def dup_mmap(self, mm: Any, oldmm: Any) -> int:
        """After the memcpy()."""
        self.copy_ksm_counts(mm, oldmm)
        return super().dup_mmap(mm, oldmm)

    def stable_tree_append(self, rmap_item: Any, stable_node: Any) -> None:
        """Counted."""
        super().stable_tree_append(rmap_item, stable_node)
        atomic_inc(rmap_item.mm.ksm_merging_pages)

    def leave_stable_node(self, rmap_item: Any, stable_node: Any) -> None:
        """Counted."""
        atomic_dec(rmap_item.mm.ksm_merging_pages)
        super().leave_stable_node(rmap_item, stable_node)
