"""31c4a3d3a0f8 "mm: further fix swapin race condition": too many states for the collection."""

from __future__ import annotations

import pytest

from rmaplab.checker.check import check
from rmaplab.history import KERNELS
from rmaplab.litmus.reader import read_text
from rmaplab.runner.scenario import build

TEXT = """
litmus swapin-of-a-page-in-another-slot
config CONFIG_KSM=n CONFIG_MIGRATION=n

setup
    A: mmap 0 2
    A: write 0 = 1
    A: fork B
    A: swap_out 0
    B: swap_in 0
    A: write 1 = 2
CPU0
    A: read 0
CPU1
    A: madvise 0 2 dontneed
    B: write 0 = 4
    A: write 0 = 3
    A: swap_out 1  # the frame of page 1, which is that of page 0 by now: to the slot that is free
    B: swap_out 0  # the page that the read found, to another slot
end alive A B
"""


@pytest.mark.parametrize(
    ("kernel", "verdict"), [("4969c1192d15", "missed-mapping"), ("31c4a3d3a0f8", "clean")]
)
def test_a_page_that_swap_has_in_another_slot_is_not_mapped(kernel: str, verdict: str) -> None:
    assert check(build(read_text(TEXT), KERNELS[kernel])).verdict == verdict
