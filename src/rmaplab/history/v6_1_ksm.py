"""KSM in v6.1: /proc/PID/ksm_stat."""

from __future__ import annotations

from typing import Any, ClassVar

from rmaplab.history.v5_19_ksm import MmStructWithMergingPages
from rmaplab.history.v6_0 import Commit2555283eb40d
from rmaplab.machine import Atomic, Struct, atomic, atomic_dec, atomic_inc, atomic_read, atomic_set


class MmStructWithRmapItems(MmStructWithMergingPages):
    """struct mm_struct with another count."""

    ksm_rmap_items: Atomic = atomic()


class Commitcb4df4cae4f2(Commit2555283eb40d):
    """cb4df4cae4f2 "ksm: count allocated ksm rmap_items for each process".

    2022-10-03, v6.1.
    """

    MmStruct: ClassVar[type[Struct]] = MmStructWithRmapItems

    def clear_ksm_counts(self, mm: Any) -> None:
        """The new one too."""
        super().clear_ksm_counts(mm)
        atomic_set(mm.ksm_rmap_items, 0)

    def copy_ksm_counts(self, mm: Any, oldmm: Any) -> None:
        """The new one too."""
        super().copy_ksm_counts(mm, oldmm)
        atomic_set(mm.ksm_rmap_items, atomic_read(oldmm.ksm_rmap_items))

    def init_rmap_item(self, rmap_item: Any, mm: Any, addr: int) -> None:
        """Counted."""
        super().init_rmap_item(rmap_item, mm, addr)
        atomic_inc(mm.ksm_rmap_items)

    def free_rmap_item(self, rmap_item: Any) -> None:
        """Counted."""
        atomic_dec(rmap_item.mm.ksm_rmap_items)
        super().free_rmap_item(rmap_item)

    def ksm_stat(self, mm: Any) -> dict[str, int]:
        """New: /proc/PID/ksm_stat."""
        return {
            "rmap_items": atomic_read(mm.ksm_rmap_items),
            "zero_pages": 0,
            "merging_pages": atomic_read(mm.ksm_merging_pages),
        }
