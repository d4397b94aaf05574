"""Unmapping, and calls that run out of memory on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rmaplab.kernel.contents import ZERO, fill
from rmaplab.kernel.madvise import MADV_DONTFORK, MADV_DONTNEED, MADV_MERGEABLE
from rmaplab.kernel.mm_types import EFAULT, EINVAL, VM_LOCKED

R, RW = 1, 3
Call = Callable[[Any, Any], int]


@pytest.mark.parametrize(
    ("start", "count", "left"),
    [
        (0, 6, []),
        (0, 2, [(2, 4)]),
        (4, 2, [(0, 4)]),
        (2, 2, [(0, 2), (4, 2)]),
        (-2, 3, [(1, 5)]),
        (5, 9, [(0, 5)]),
        (-4, 4, [(0, 6)]),
        (6, 4, [(0, 6)]),
        (-4, 99, []),
    ],
)
def test_munmap_leaves_what_is_outside_its_range(
    lab: Any, start: int, count: int, left: list[tuple[int, int]]
) -> None:
    mm = lab.kernel.mm_alloc()
    lab.mmap(mm, 0, 6)
    for page in range(6):
        lab.write(mm, page, page + 1)

    assert lab.munmap(mm, start, count) == 0

    assert lab.layout(mm) == [(first, length, RW) for first, length in left]
    kept = [page for first, length in left for page in range(first, first + length)]
    for page in kept:
        assert lab.kernel.user_read(mm, lab.address(page)) == fill(page + 1)
    assert len(lab.kernel.page_cachep.live()) == len(kept)
    lab.check_rmap(mm)
    lab.check_exit(mm)


def test_munmap_of_several_vmas_with_holes_between_takes_them_all(lab: Any) -> None:
    mm = lab.kernel.mm_alloc()
    for page, prot in ((0, RW), (2, RW), (3, R), (5000, RW), (9000, RW)):
        lab.mmap(mm, page, 1, prot)
        lab.write(mm, page, 1)

    assert lab.munmap(mm, 2, 8000) == 0

    assert lab.layout(mm) == [(0, 1, RW), (9000, 1, RW)]
    lab.check_rmap(mm)
    assert lab.munmap(mm, 0, 8000) == 0
    assert lab.munmap(mm, 0, 9001) == 0
    assert mm.mmap is None
    lab.check_exit(mm)


def test_dontneed_throws_away_the_pages_of_its_range_only(lab: Any) -> None:
    mm = lab.process(4)
    for number in range(4):
        lab.write(mm, number, number + 1)

    assert lab.madvise(mm, 1, 2, MADV_DONTNEED) == 0

    assert [lab.read(mm, number) for number in range(4)] == [
        fill(1),
        ZERO,
        ZERO,
        fill(4),
    ]
    assert len(lab.kernel.page_cachep.live()) == 2


def test_dontneed_refuses_what_it_cannot_drop(lab: Any) -> None:
    mm = lab.process()
    mm.mmap.vm_flags |= VM_LOCKED

    assert lab.madvise(mm, 0, 1, MADV_DONTNEED) == -EINVAL


OUT_OF_MEMORY: dict[str, Call] = {
    "munmap a hole": lambda lab, mm: lab.munmap(mm, 2, 2),
    "munmap the middles of two": lambda lab, mm: lab.munmap(mm, 4, 4),
    "mmap over a hole": lambda lab, mm: lab.mmap(mm, 2, 2, R),
    "mmap elsewhere": lambda lab, mm: lab.mmap(mm, 20, 2),
    "mprotect the middle": lambda lab, mm: lab.mprotect(mm, 2, 2, R),
    "mprotect over both": lambda lab, mm: lab.mprotect(mm, 4, 4, R),
    "madvise the middle": lambda lab, mm: lab.madvise(mm, 2, 2, MADV_DONTFORK),
    "mergeable": lambda lab, mm: lab.madvise(mm, 2, 2, MADV_MERGEABLE),
    "merge with a new neighbour": lambda lab, mm: lab.mprotect(mm, 6, 6, RW),
}


@pytest.mark.parametrize("name", OUT_OF_MEMORY)
def test_a_call_without_memory_leaves_a_sound_mm(lab: Any, name: str) -> None:
    call = OUT_OF_MEMORY[name]
    for number in range(1, 30):
        mm = lab.kernel.mm_alloc()
        lab.mmap(mm, 0, 6, RW)
        lab.write(mm, 2, 3)
        lab.write(mm, 5, 6)
        lab.mmap(mm, 6, 6, R)

        ret, failed = lab.failing(number, lambda mm=mm: call(lab, mm))

        assert (ret < 0) == failed, (ret, number)
        lab.vmas(mm)
        lab.check_rmap(mm)
        if failed:
            assert lab.kernel.user_read(mm, lab.address(5)) == fill(6)
            left = lab.kernel.user_read(mm, lab.address(2))
            assert left == fill(3) or (left == -EFAULT and name.startswith("mmap over"))
        lab.check_exit(mm)
        if not failed:
            break
    assert not failed
