"""KSM in v6.9."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v6_4_ksm import MMF_VM_MERGE_ANY
from rmaplab.history.v6_7_ksm import Commit3c6f33b7273a


class Commit3a9e567ca45f(Commit3c6f33b7273a):
    """3a9e567ca45f "mm/ksm: fix ksm exec support for prctl".

    2024-04-05, v6.9.
    """

    def exec_mmap(self, task: Any, mm: Any) -> None:
        """The new mm comes under KSM at once. (In the kernel when it is made; its stack too.)"""
        super().exec_mmap(task, mm)
        if self.CONFIG_KSM and self.test_mm_merge_any(mm):
            self._ksm_enter(mm)

    def clear_mm_mergeable(self, mm: Any) -> None:
        """An mm without mergeable VMAs may get some: what its process asked for stays."""
        asked = mm.flags & 1 << MMF_VM_MERGE_ANY
        super().clear_mm_mergeable(mm)
        mm.flags |= asked
