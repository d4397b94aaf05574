"""v5.1: an empty anon_vma that still counts."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v4_17_vmas import Commita4ff8e8620d3


class Commite4c5800a3991(Commita4ff8e8620d3):
    """e4c5800a3991 "mm/rmap: replace BUG_ON(anon_vma->degree) with VM_WARN_ON".

    2019-03-05, v5.1.
    """

    def put_empty_anon_vma(self, anon_vma: Any) -> None:
        """What still counts is worth a warning, which a run here does not have."""
        self.put_anon_vma(anon_vma)
