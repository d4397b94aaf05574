"""The order of locks that the head of mm/rmap.c gives (2.6.34), held against what is taken."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest

from rmaplab.checker.lock_order import class_of, taken_in_setup
from rmaplab.history import KERNELS
from rmaplab.litmus.reader import read_text
from rmaplab.runner.scenario import build

#: Outermost first. KSM's locks and the set-up of a fork are not in that comment.
ORDER = (
    "&mm->mmap_sem",
    "&anon_vma->lock",
    "&mm->page_table_lock",
    "swap.swap_lock",
    "swap.mmlist_lock",
)
EVERYTHING = read_text("""litmus everything
processes A C
setup
 A: mmap 0 4
 A: write 0 4 = 1
 A: fork B
 A: swap_out 0 2
 B: swap_in 0
 A: swap_in 1
 A: mlock 0 2
 A: munlock 0 2
 B: mlock 2 2
 B: write 2 = 7
 A: mremap 0 4 to 20
 B: mremap 0 4 6
 A: mremap 20 4 2
 A: madvise 20 2 mergeable
 B: madvise 2 2 mergeable
 C: mmap 0 3
 C: write 0 3 = 1
 C: madvise 0 3 mergeable
 ksmd: scan 3
 compact
 A: migrate 20
 A: reclaim 20
 A: walk 20
 unmerge_all
 ksmd: scan
 A: munmap 20
 A: mprotect 21 r
 B: exec
 C: fork D
 D: mlock 0 3
""")


def name_of(lock: Any) -> str:
    """The class, as it was called in 2.6.34: the lock of a family is its only one, ever."""
    return re.sub("&anon_vma->(mutex|rwsem)", "&anon_vma->lock", class_of(lock))


@pytest.mark.parametrize("kernel", KERNELS)
def test_locks_are_taken_in_the_order_of_the_source(kernel: str) -> None:
    scenario = build(EVERYTHING, KERNELS[kernel])

    pairs = {
        (name_of(held), name_of(taking.lock))
        for taking in taken_in_setup(scenario)
        for held, _ in taking.held
    }

    known = {pair for pair in pairs if set(pair) <= set(ORDER) and pair[0] != pair[1]}
    assert all(ORDER.index(outer) < ORDER.index(inner) for outer, inner in known)
    assert set(pairwise(ORDER)) - known == {("swap.swap_lock", "swap.mmlist_lock")}
