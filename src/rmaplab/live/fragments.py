"""Fragmented memory, so that a compaction moves the pages that it is meant to.

compact_memory takes the movable pages at the low end of a zone to free pages at its high end, but
never into wholly free pageblocks, so on an idle machine hardly a page moves.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from rmaplab.live.frames import frames_behind

BALLAST_PAGES = 1 << 15
#: Of the ballast's frames in order, the lowest: they are given away one by one.
LOW_SHARE = 4
SPARE = 64
COMPACT_MEMORY = Path("/proc/sys/vm/compact_memory")


class Ballast:
    """Pages of the driver itself, every other one of the higher frames freed."""

    def __init__(self) -> None:
        size = BALLAST_PAGES * mmap.PAGESIZE
        self.memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.memory.madvise(mmap.MADV_NOHUGEPAGE)
        for page in range(BALLAST_PAGES):
            self.memory[page * mmap.PAGESIZE] = 1
        ordered = self._by_frame()
        cut = len(ordered) // LOW_SHARE
        self.low = ordered[:cut]
        for page in ordered[cut::2]:
            self._free(page)

    def _by_frame(self) -> list[int]:
        """The pages of the ballast, those with the lowest frames first."""
        import ctypes

        first = ctypes.addressof(ctypes.c_char.from_buffer(self.memory)) // mmap.PAGESIZE
        numbers = {page: first + page for page in range(BALLAST_PAGES)}
        frames = frames_behind(Path("/proc/self/pagemap"), numbers)
        return sorted(frames, key=lambda page: frames[page])

    def give_low(self, count: int) -> None:
        """Free low frames for so many pages: who faults next on this CPU gets them.

        There are some to spare, as the interpreter of the process faults as well.
        """
        count += SPARE
        for page in reversed(self.low[:count]):
            self._free(page)
        del self.low[:count]

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
