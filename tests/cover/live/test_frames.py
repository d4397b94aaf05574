"""The words of pagemap, kpagecount and kpageflags, from files that only look like them."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from rmaplab.live.fragments import in_one_zone
from rmaplab.live.frames import FrameFiles, frames_behind, pfn_of, slots_of, words_at
from rmaplab.runner.observation import Frame, Slot

PRESENT, SWAPPED, EXCLUSIVE, SOFT_DIRTY = 1 << 63, 1 << 62, 1 << 56, 1 << 55
KSM, ZERO_PAGE, ANON = 1 << 21, 1 << 24, 1 << 12


def words(path: Path, *numbers: int) -> Path:
    path.write_bytes(struct.pack(f"<{len(numbers)}Q", *numbers))
    return path


def test_the_frame_of_a_present_page_is_without_the_flags_beside_it() -> None:
    assert pfn_of(PRESENT | EXCLUSIVE | SOFT_DIRTY | 0x1234) == 0x1234


def test_a_page_in_swap_has_no_frame() -> None:
    assert pfn_of(SWAPPED | 0x1234) is None
    assert pfn_of(0) is None


def test_words_are_read_where_they_are_and_none_beyond_the_end(tmp_path: Path) -> None:
    file = os.open(words(tmp_path / "w", 10, 11, 12, 13), os.O_RDONLY)

    assert words_at(file, [0, 1, 3, 4, 5]) == {0: 10, 1: 11, 3: 13}
    os.close(file)


def test_only_slots_with_a_present_page_have_a_frame(tmp_path: Path) -> None:
    pagemap = words(tmp_path / "pagemap", PRESENT | 7, 0, SWAPPED | 5, PRESENT | 9)

    assert frames_behind(pagemap, {20: 0, 21: 1, 22: 2, 23: 3, 24: 4}) == {20: 7, 23: 9}


def test_frames_have_their_count_and_kind_and_the_zero_page_is_apart(tmp_path: Path) -> None:
    words(tmp_path / "kpagecount", 0, 3, 1, 99)
    words(tmp_path / "kpageflags", 0, ANON | KSM, ANON, ZERO_PAGE)
    files = FrameFiles.opened(tmp_path)

    frames, zero = files.frames([3, 1, 2, 1])

    files.close()
    assert frames == {1: Frame(3, True), 2: Frame(1, False)}
    assert zero == {3}
    assert slots_of({"A": {0: 1, 5: 3}}, zero) == [Slot("A", 0, 1, False), Slot("A", 5, 3, True)]


def test_pages_of_the_zone_that_has_most_are_in_the_order_of_their_frames() -> None:
    frames = {0: 120, 1: 5, 2: 110, 3: 100, 4: 99}

    assert in_one_zone(frames, [0, 100, 200]) == [3, 2, 0]
