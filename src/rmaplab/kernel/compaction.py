"""mm/compaction.c of 2.6.35: move pages from the start of a zone to its end, by migration.

Two scanners go over the frames of one small zone, a pageblock at a time: one from the start, for
pages to move, and one from the end, for free frames. Frames beyond the zone are of another one,
which nobody compacts; the allocator takes the lowest frame that was never used, so what was just
written lies low. Left out: watermarks and orders (this is the compaction that is asked for through
/proc/sys/vm/compact_memory), statistics, and types of pageblocks: all are movable.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rmaplab.kernel.base import KernelBase
from rmaplab.machine import VM_BUG_ON, atomic_set, kmem_cache_take

#: How many pageblocks the zone has.
PAGEBLOCKS = 8
#: How many pages are isolated at once.
COMPACT_CLUSTER_MAX = 32


@dataclass
class CompactControl:
    """struct compact_control: where the scanners are, and what they have isolated."""

    free_pfn: int
    migrate_pfn: int = 0
    migratepages: list[Any] = field(default_factory=list)
    freepages: list[Any] = field(default_factory=list)


class Compaction(KernelBase):
    """Memory compaction."""

    #: 512 on x86-64; small here, as the zone is. A power of two.
    pageblock_nr_pages = 8

    def spanned_pages(self) -> int:
        """How many frames the zone has (zone->spanned_pages)."""
        return PAGEBLOCKS * self.pageblock_nr_pages

    def release_freepages(self, freelist: list[Any]) -> int:
        """Give frames back that nothing moved to: how many there were."""
        count = len(freelist)
        while freelist:
            self.put_page(freelist.pop(0))
        return count

    def isolate_freepages_block(self, blockpfn: int, freelist: list[Any]) -> int:
        """Take the free frames of a pageblock: how many there were."""
        total_isolated = 0
        end_pfn = min(blockpfn + self.pageblock_nr_pages, self.spanned_pages())
        for pfn in range(blockpfn, end_pfn):
            page = kmem_cache_take(self.page_cachep, pfn)  # split_free_page()
            if page is not None:
                atomic_set(page._count, 1)
                freelist.insert(0, page)
                total_isolated += 1
        return total_isolated

    def isolate_freepages(self, cc: CompactControl) -> None:
        """Take free frames from the end, until there are enough or the other scanner is met.

        The pageblock next to that of the other scanner is left alone.
        """
        low_pfn = high_pfn = cc.migrate_pfn + self.pageblock_nr_pages
        pfn = cc.free_pfn
        while pfn > low_pfn and len(cc.migratepages) > len(cc.freepages):
            # At first this is the end of the zone, where no pageblock begins.
            if pfn < self.spanned_pages() and self.isolate_freepages_block(pfn, cc.freepages):
                high_pfn = max(high_pfn, pfn)
            pfn -= self.pageblock_nr_pages
        cc.free_pfn = high_pfn

    def isolate_migratepages(self, cc: CompactControl) -> int:
        """Isolate what can be moved from the next pageblock: how many pages there are.

        A free page has no reference to add to. Merged pages are isolated too: it is migration
        that refuses them.
        """
        low_pfn = cc.migrate_pfn
        end_pfn = (low_pfn + self.pageblock_nr_pages) & ~(self.pageblock_nr_pages - 1)
        if end_pfn > cc.free_pfn:
            cc.migrate_pfn = end_pfn
            return 0
        while low_pfn < end_pfn and len(cc.migratepages) < COMPACT_CLUSTER_MAX:
            page = self.page_cachep.at(low_pfn)
            if not self.isolate_lru_page(page):
                cc.migratepages.insert(0, page)
            low_pfn += 1
        cc.migrate_pfn = low_pfn
        return len(cc.migratepages)

    def compaction_alloc(self, cc: CompactControl) -> Any:
        """A frame from the end of the zone for a page that moves, or None."""
        if not cc.freepages:
            self.isolate_freepages(cc)
        return cc.freepages.pop(0) if cc.freepages else None

    def compact_finished(self, cc: CompactControl) -> bool:
        """Whether the scanners have met."""
        return cc.free_pfn <= cc.migrate_pfn

    def compact_zone(self) -> int:
        """Compact the zone: how many pages could not be moved."""
        cc = CompactControl(free_pfn=self.spanned_pages())
        remaining = 0
        self.migrate_prep()
        while not self.compact_finished(cc):
            if not self.isolate_migratepages(cc):
                continue
            nr_migrate = len(cc.migratepages)
            # Puts all back, moved or not; the kernel has a second putback_lru_pages() after it.
            failed = self.migrate_pages(cc.migratepages, lambda _: self.compaction_alloc(cc))
            remaining += failed if failed >= 0 else nr_migrate
            VM_BUG_ON(bool(cc.migratepages), "compact_zone: isolated pages are left")
        self.release_freepages(cc.freepages)
        return remaining
