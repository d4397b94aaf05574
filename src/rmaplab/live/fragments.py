"""Fragmented memory, so that a compaction moves the pages that it is meant to.

compact_memory takes the movable pages at the low end of a zone to free pages at its high end, but
never into wholly free pageblocks, so on an idle machine hardly a page moves.
"""

from __future__ import annotations

import ctypes
import mmap
import re
from bisect import bisect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rmaplab.live.frames import frames_behind
from rmaplab.live.knobs import LISTS

BALLAST_PAGES = 1 << 16
#: The pages with the lowest frames, which are given away one by one.
LOW = 8192
#: Frames given away besides, as others on this CPU fault as well.
SPARE = 500
MADV_POPULATE_WRITE = 23
COMPACT_MEMORY = Path("/proc/sys/vm/compact_memory")


#: So that next to none do.
FEW = 1 << 20


@contextmanager
def short_lists() -> Iterator[None]:
    """What is freed meanwhile is soon free for everybody."""
    before = LISTS.read_text()
    LISTS.write_text(str(FEW))
    try:
        yield
    finally:
        LISTS.write_text(before)


def in_one_zone(frames: Mapping[int, int], zones: list[int]) -> list[int]:
    """Pages by frame, the lowest first: those of the zone that has most of them.

    `frames` has the frame of each page, `zones` the first frame of each zone.
    """
    by_zone: dict[int, list[int]] = {}
    for page in sorted(frames, key=lambda page: frames[page]):
        by_zone.setdefault(bisect(zones, frames[page]), []).append(page)
    return max(by_zone.values(), key=len)


def zone_starts() -> list[int]:
    """The first frame of each zone of this machine, in order."""
    text = Path("/proc/zoneinfo").read_text()
    return sorted(int(number) for number in re.findall(r"start_pfn: +(\d+)", text))


class Ballast:
    """Pages of the driver itself, every other one of which is free again."""

    def __init__(self) -> None:
        size = BALLAST_PAGES * mmap.PAGESIZE
        self.memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.memory.madvise(mmap.MADV_NOHUGEPAGE)
        self.memory.madvise(MADV_POPULATE_WRITE)
        self.frames = self._frames()
        pages = in_one_zone(self.frames, zone_starts())
        self.low = pages[:LOW]
        with short_lists():
            for page in pages[LOW::2]:
                self._free(page)

    def _frames(self) -> dict[int, int]:
        """The frame of each page."""
        first = ctypes.addressof(ctypes.c_char.from_buffer(self.memory)) // mmap.PAGESIZE
        numbers = {page: first + page for page in range(BALLAST_PAGES)}
        return frames_behind(Path("/proc/self/pagemap"), numbers)

    def give_low(self, count: int) -> set[int]:
        """Free low frames for so many pages and tell them: who faults next on this CPU gets some.

        Not for sure: others fault as well.
        """
        given = self.low[: count + SPARE]
        del self.low[: count + SPARE]
        frames = {self.frames[page] for page in given}
        for page in reversed(given):
            self._free(page)
        return frames

    def _free(self, page: int) -> None:
        self.memory.madvise(mmap.MADV_DONTNEED, page * mmap.PAGESIZE, mmap.PAGESIZE)

    def close(self) -> None:
        """Give it all up."""
        self.memory.close()


def compact() -> int:
    """Compact all memory: 0 or a negative error number."""
    try:
        COMPACT_MEMORY.write_text("1")
    except OSError as error:
        return -(error.errno or 0)
    return 0
