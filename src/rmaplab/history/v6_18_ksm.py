"""KSM in v6.18."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v6_17_vmas import Commitd23cb648e365
from rmaplab.machine import atomic_add_negative, atomic_read, atomic_set


class Commit4d6fc29f3634(Commitd23cb648e365):
    """4d6fc29f3634 "mm/ksm: fix incorrect KSM counter handling in mm_struct during fork".

    2025-09-25, v6.18. A child has no rmap_items yet, but all zero pages of its parent.
    """

    def ksm_fork(self, mm: Any, oldmm: Any) -> int:
        """The counts of a child under KSM are put right. That it cannot be is no error."""
        if self.CONFIG_KSM and self.test_mm_mergeable(oldmm):
            atomic_set(mm.ksm_merging_pages, 0)
            atomic_set(mm.ksm_rmap_items, 0)
            atomic_add_negative(atomic_read(mm.ksm_zero_pages), self.ksm.ksm_zero_pages)
        super().ksm_fork(mm, oldmm)
        return 0
