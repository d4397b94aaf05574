"""mm/ksm.c: its knobs and counts in /sys/kernel/mm/ksm, and memory hotplug.

A *_show function gives the number itself; a *_store function gives 0 or an error.
"""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.ksm.control import KsmControl
from rmaplab.kernel.ksm.state import KSM_RUN_STOP, KSM_RUN_UNMERGE
from rmaplab.kernel.mm_types import EINVAL
from rmaplab.machine import atomic_read, mutex_lock, mutex_unlock, rb_items

UINT_MAX = (1 << 32) - 1

MEM_GOING_OFFLINE = 1 << 1
MEM_OFFLINE = 1 << 2
MEM_CANCEL_OFFLINE = 1 << 5


class KsmSysfs(KsmControl):
    """What the administrator sees and sets, and what hotplug calls."""

    # Memory hotplug

    def ksm_check_stable_tree(self, start_pfn: int, end_pfn: int) -> Any:
        """A stable_node whose page lies in a range of frames, if there is one."""
        for stable_node in rb_items(self.ksm.root_stable_tree):
            if start_pfn <= stable_node.kpfn < end_pfn:
                return stable_node
        return None

    def ksm_memory_callback(self, action: int, start_pfn: int, nr_pages: int) -> None:
        """Keep ksmd out while memory goes offline, and prune what still points there after."""
        if action == MEM_GOING_OFFLINE:
            mutex_lock(self.ksm.ksm_thread_mutex)
            return
        if action == MEM_OFFLINE:
            end_pfn = start_pfn + nr_pages
            while (stable_node := self.ksm_check_stable_tree(start_pfn, end_pfn)) is not None:
                self.remove_node_from_stable_tree(stable_node)
        if action in (MEM_OFFLINE, MEM_CANCEL_OFFLINE):
            mutex_unlock(self.ksm.ksm_thread_mutex)

    # /sys/kernel/mm/ksm

    def run_store(self, flags: int) -> int:
        """0 stops ksmd, 1 lets it run, 2 stops it and unmerges all: 0 or an error."""
        if not KSM_RUN_STOP <= flags <= KSM_RUN_UNMERGE:
            return -EINVAL
        err = 0
        mutex_lock(self.ksm.ksm_thread_mutex)
        if self.ksm.ksm_run != flags:
            self.ksm.ksm_run = flags
            if flags & KSM_RUN_UNMERGE:
                err = self.unmerge_and_remove_all_rmap_items()
                if err:
                    self.ksm.ksm_run = KSM_RUN_STOP
        mutex_unlock(self.ksm.ksm_thread_mutex)
        return err

    def run_show(self) -> int:
        """What was stored last."""
        return int(self.ksm.ksm_run)

    def pages_to_scan_store(self, nr_pages: int) -> int:
        """How many pages ksmd looks at before it sleeps: 0 or an error."""
        if not 0 <= nr_pages <= UINT_MAX:
            return -EINVAL
        self.ksm.ksm_thread_pages_to_scan = nr_pages
        return 0

    def pages_to_scan_show(self) -> int:
        """How many pages ksmd looks at before it sleeps."""
        return int(self.ksm.ksm_thread_pages_to_scan)

    def sleep_millisecs_store(self, msecs: int) -> int:
        """How long ksmd sleeps, which nobody waits for here: 0 or an error."""
        if not 0 <= msecs <= UINT_MAX:
            return -EINVAL
        self.ksm.ksm_thread_sleep_millisecs = msecs
        return 0

    def sleep_millisecs_show(self) -> int:
        """How long ksmd would sleep."""
        return int(self.ksm.ksm_thread_sleep_millisecs)

    def pages_shared_show(self) -> int:
        """The nodes of the stable tree."""
        return atomic_read(self.ksm.ksm_pages_shared)

    def pages_sharing_show(self) -> int:
        """The virtual pages that share them, beyond one for each."""
        return atomic_read(self.ksm.ksm_pages_sharing)

    def pages_unshared_show(self) -> int:
        """The rmap_items put into the unstable tree."""
        return atomic_read(self.ksm.ksm_pages_unshared)

    def pages_volatile_show(self) -> int:
        """The rmap_items in no tree; the parts are read without a lock, so it may be too few."""
        in_trees = self.pages_shared_show() + self.pages_sharing_show() + self.pages_unshared_show()
        return max(0, atomic_read(self.ksm.ksm_rmap_items) - in_trees)

    def full_scans_show(self) -> int:
        """The passes over all address spaces."""
        return self.ksm_scan.seqnr
