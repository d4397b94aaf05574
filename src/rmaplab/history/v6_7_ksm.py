"""KSM in v6.7: pages that were not merged for long are looked at less often."""

from __future__ import annotations

from typing import Any, ClassVar

from rmaplab.history.v6_4_ksm import MMF_VM_MERGE_ANY
from rmaplab.history.v6_6_ksm import KsmGlobalsCountingZeroPages
from rmaplab.history.v6_7_vmas import MprotectUnaccounts
from rmaplab.kernel.ksm.state import RmapItem
from rmaplab.kernel.mm_types import EINVAL
from rmaplab.machine import Atomic, Struct, atomic, atomic_inc, atomic_read, value

U8_MAX = 255

#: Up to this age a page is never skipped.
YOUNG = 3


class RmapItemWithAge(RmapItem):
    """struct rmap_item that knows how often its page was looked at."""

    age: int = value(0)
    remaining_skips: int = value(0)


class KsmGlobalsOfSmartScan(KsmGlobalsCountingZeroPages):
    """The static variables, with those of smart scanning."""

    ksm_smart_scan: bool = value(True, marked="set and shown without ksm_thread_mutex")
    ksm_pages_skipped: Atomic = atomic()


class Commit5e924ff54d08(MprotectUnaccounts):
    """5e924ff54d08 "mm/ksm: add "smart" page scanning mode".

    2023-10-18, v6.7. With e5a68991268a "mm/ksm: add pages_skipped metric", v6.7.
    """

    RmapItem: ClassVar[type[Struct]] = RmapItemWithAge
    KsmGlobals: ClassVar[type[Struct]] = KsmGlobalsOfSmartScan

    def skip_age(self, age: int) -> int:
        """New: how often a page of this age is skipped next."""
        if age <= YOUNG:
            return 1
        if age <= 5:
            return 2
        return 4 if age <= 8 else 8

    def should_skip_rmap_item(self, page: Any, rmap_item: Any) -> bool:
        """If it was looked at often enough in vain; then it is in no tree."""
        if not self.ksm.ksm_smart_scan or self.PageKsm(page):
            return False
        age = rmap_item.age
        if age != U8_MAX:
            rmap_item.age = age + 1
        if age < YOUNG:
            return False
        if not rmap_item.remaining_skips:
            rmap_item.remaining_skips = self.skip_age(age)
            return False
        atomic_inc(self.ksm.ksm_pages_skipped)
        rmap_item.remaining_skips -= 1
        self.remove_rmap_item_from_tree(rmap_item)
        return True

    def smart_scan_show(self) -> int:
        """New: whether pages are skipped."""
        return int(self.ksm.ksm_smart_scan)

    def smart_scan_store(self, knob: int) -> int:
        """New: 0 or an error."""
        if knob > 1:
            return -EINVAL
        self.ksm.ksm_smart_scan = bool(knob)
        return 0

    def pages_skipped_show(self) -> int:
        """New: how often a page was skipped."""
        return atomic_read(self.ksm.ksm_pages_skipped)


class Commit3c6f33b7273a(Commit5e924ff54d08):
    """3c6f33b7273a "mm/ksm: support fork/exec for prctl".

    2023-10-18, v6.7. The kernel copies the flag of the process that makes an mm.
    """

    def exec_mmap(self, task: Any, mm: Any) -> None:
        """What the old program asked for goes for the new one, too."""
        mm.flags |= task.mm.flags & 1 << MMF_VM_MERGE_ANY
        super().exec_mmap(task, mm)

    def ksm_fork(self, mm: Any, oldmm: Any) -> int:
        """A child has the flag even if it cannot come under KSM."""
        mm.flags |= oldmm.flags & 1 << MMF_VM_MERGE_ANY
        return super().ksm_fork(mm, oldmm)

    def ksm_add_vma(self, vma: Any) -> None:
        """The mm may not be under KSM yet."""
        super().ksm_add_vma(vma)
        mm = vma.vm_mm
        if self.test_mm_merge_any(mm) and not self.test_mm_mergeable(mm):
            self._ksm_enter(mm)
