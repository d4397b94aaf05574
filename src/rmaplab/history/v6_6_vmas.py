"""v6.6, VMAs: a merge without memory leaves no chain behind."""

from __future__ import annotations

from rmaplab.history.v6_3_vmas import Plan
from rmaplab.history.v6_6_ksm import Commit6080d19f0704


class Commit824135c46b00(Commit6080d19f0704):
    """824135c46b00 "mmap: fix error paths with dup_anon_vma()".

    2023-09-29, v6.6.
    """

    def merge_undo(self, plan: Plan, had_anon_vma: bool) -> None:
        """Who got a chain for it gives it back."""
        if not had_anon_vma and plan.dst.anon_vma is not None:
            self.unlink_anon_vmas(plan.dst)
