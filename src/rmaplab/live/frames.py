"""Page frames of the running kernel: /proc/PID/pagemap, /proc/kpagecount, /proc/kpageflags.

Documentation/admin-guide/mm/pagemap.rst has the words of these files: 64 bits for each page.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rmaplab.runner.observation import Frame, Slot

WORD = 8
PRESENT = 1 << 63
SWAPPED = 1 << 62
PFN = (1 << 55) - 1
KPF_KSM = 1 << 21
KPF_ZERO_PAGE = 1 << 24


def words_at(file: int, numbers: Iterable[int]) -> dict[int, int]:
    """The words with these numbers, which go up, of an open file; where it ends there are none."""
    found: dict[int, int] = {}
    for first, count in _neighbours(numbers):
        data = os.pread(file, count * WORD, first * WORD)
        words = struct.unpack(f"<{len(data) // WORD}Q", data)
        found.update(zip(range(first, first + count), words, strict=False))
    return found


def _neighbours(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    first = count = 0
    for number in numbers:
        if count and number == first + count:
            count += 1
            continue
        if count:
            yield first, count
        first, count = number, 1
    if count:
        yield first, count


def pfn_of(word: int) -> int | None:
    """The frame that a word of pagemap tells; None if no page is present."""
    return word & PFN if word & PRESENT else None


@dataclass(frozen=True)
class FrameFiles:
    """The files about all frames, open. Only root sees frames in them."""

    counts: int
    flags: int

    @staticmethod
    def opened(proc: Path = Path("/proc")) -> FrameFiles:
        """Open them; OSError without the right to."""
        counts = os.open(proc / "kpagecount", os.O_RDONLY)
        return FrameFiles(counts, os.open(proc / "kpageflags", os.O_RDONLY))

    def close(self) -> None:
        """Close them."""
        os.close(self.counts)
        os.close(self.flags)

    def frames(self, pfns: Iterable[int]) -> tuple[dict[int, Frame], set[int]]:
        """What these frames are, and which of them are the zero page."""
        numbers = sorted(set(pfns))
        maps = words_at(self.counts, numbers)
        flags = words_at(self.flags, numbers)
        zero = {pfn for pfn in numbers if flags[pfn] & KPF_ZERO_PAGE}
        frames = {pfn: Frame(maps[pfn], bool(flags[pfn] & KPF_KSM)) for pfn in numbers}
        return {pfn: frame for pfn, frame in frames.items() if pfn not in zero}, zero


def frames_behind(pagemap: Path, numbers: Mapping[int, int]) -> dict[int, int]:
    """By slot: the frame that a process maps there; `numbers` has each slot's virtual page."""
    file = os.open(pagemap, os.O_RDONLY)
    try:
        words = words_at(file, sorted(numbers.values()))
    finally:
        os.close(file)
    behind = {slot: pfn_of(words.get(number, 0)) for slot, number in numbers.items()}
    return {slot: pfn for slot, pfn in behind.items() if pfn is not None}


def slots_of(behind: Mapping[str, Mapping[int, int]], zero: set[int]) -> list[Slot]:
    """The slots of all processes, in order."""
    return [
        Slot(name, number, pfn, pfn in zero)
        for name, frames in behind.items()
        for number, pfn in frames.items()
    ]
