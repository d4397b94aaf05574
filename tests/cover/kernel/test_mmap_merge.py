"""The cases of vma_merge, and who shares an anon_vma with whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rmaplab.kernel.contents import fill
from rmaplab.machine import KernelStateError

NONE, R, RW = 0, 1, 3

# The cases of vma_merge by their numbers: what is there, the call, what there is then.

Call = Callable[[Any, Any], int]
P, A, N, X = 0, 2, 4, 6  # each area has two pages

MERGES: dict[str, tuple[list[tuple[int, int, int]], Call, list[tuple[int, int, int]]]] = {
    "case 1": (
        [(P, 2, RW), (N, 2, RW)],
        lambda lab, mm: lab.mmap(mm, A, 2),
        [(P, 6, RW)],
    ),
    "case 2": (
        [(P, 2, RW), (N, 2, R)],
        lambda lab, mm: lab.mmap(mm, A, 2),
        [(P, 4, RW), (N, 2, R)],
    ),
    "case 3": (
        [(P, 2, R), (N, 2, RW)],
        lambda lab, mm: lab.mmap(mm, A, 2),
        [(P, 2, R), (A, 4, RW)],
    ),
    "case 4": (
        [(P, 4, R), (N, 2, RW)],
        lambda lab, mm: lab.mprotect(mm, A, 2, RW),
        [(P, 2, R), (A, 4, RW)],
    ),
    "case 5": (
        [(P, 2, RW), (A, 4, R)],
        lambda lab, mm: lab.mprotect(mm, A, 2, RW),
        [(P, 4, RW), (N, 2, R)],
    ),
    "case 6": (
        [(P, 2, RW), (A, 2, R), (N, 2, RW)],
        lambda lab, mm: lab.mprotect(mm, A, 2, RW),
        [(P, 6, RW)],
    ),
    "case 7": (
        [(P, 2, RW), (A, 2, R), (N, 2, NONE)],
        lambda lab, mm: lab.mprotect(mm, A, 2, RW),
        [(P, 4, RW), (N, 2, NONE)],
    ),
    "case 8": (
        [(P, 2, NONE), (A, 2, R), (N, 2, RW)],
        lambda lab, mm: lab.mprotect(mm, A, 2, RW),
        [(P, 2, NONE), (A, 4, RW)],
    ),
    "neither": (
        [(P, 2, NONE), (A, 2, R), (N, 2, NONE)],
        lambda lab, mm: lab.mprotect(mm, A, 2, RW),
        [(P, 2, NONE), (A, 2, RW), (N, 2, NONE)],
    ),
    "split": (
        [(P, 6, R)],
        lambda lab, mm: lab.mprotect(mm, A, 2, RW),
        [(P, 2, R), (A, 2, RW), (N, 2, R)],
    ),
}


def laid_out(lab: Any, areas: list[tuple[int, int, int]], faulted: frozenset[int]) -> Any:
    """An mm with these areas, the first page of those in `faulted` written to.

    Each is mapped writable, so that VM_ACCOUNT is the same everywhere.
    """
    mm = lab.kernel.mm_alloc()
    for start, count, prot in areas:
        lab.mmap(mm, start, count, 6)  # no area has this prot in the end: no merging
        if start in faulted:
            assert lab.write(mm, start, start + 1) == 0
        lab.mprotect(mm, start, count, prot)
    assert lab.layout(mm) == areas
    return mm


@pytest.mark.parametrize("case", MERGES)
@pytest.mark.parametrize("faulted", [(), (P,), (A,), (N,), (P, A), (P, N), (A, N), (P, A, N)])
def test_every_case_of_vma_merge(lab: Any, case: str, faulted: tuple[int, ...]) -> None:
    areas, call, expected = MERGES[case]
    mm = laid_out(lab, areas, frozenset(faulted))
    owners = {lab.pages(vma).start: vma.anon_vma for vma in lab.vmas(mm)}

    assert call(lab, mm) in (0, lab.address(A))

    apart = None not in (owners.get(P), owners.get(N)) and owners[P] is not owners[N]
    if apart and expected == [(P, 6, RW)]:
        expected = [(P, 4, RW), (N, 2, RW)]  # P is asked first
    assert lab.layout(mm) == expected
    written = [start for start, _, _ in areas if start in faulted]
    for page in written:
        lab.mprotect(mm, page, 1, R)
        assert lab.kernel.user_read(mm, lab.address(page)) == fill(page + 1)
    lab.check_rmap(mm)
    lab.check_exit(mm)


def test_areas_with_anon_vmas_of_their_own_are_not_merged(lab: Any) -> None:
    mm = laid_out(lab, MERGES["case 1"][0], frozenset({P, N}))

    lab.mmap(mm, A, 2)

    assert lab.layout(mm) == [(P, 4, RW), (N, 2, RW)]
    first, second = lab.vmas(mm)
    assert first.anon_vma is not second.anon_vma
    lab.check_rmap(mm)


def test_a_neighbour_that_differs_only_in_protection_lends_its_anon_vma(lab: Any) -> None:
    mm = laid_out(lab, [(P, 2, RW), (A, 2, R), (N, 2, RW)], frozenset({A}))
    for page in (N, P):
        assert lab.write(mm, page, 9) == 0

    assert len({vma.anon_vma for vma in lab.vmas(mm)}) == 1
    assert len(lab.kernel.anon_vma_cachep.live()) == 1


def test_a_neighbour_that_was_forked_lends_nothing(lab: Any) -> None:
    mm = laid_out(lab, [(P, 2, R), (A, 2, RW)], frozenset({P}))
    child = lab.kernel.dup_mm(mm)

    assert lab.write(child, A, 9) == 0
    assert lab.write(mm, A, 9) == 0

    first, second = lab.vmas(child)
    assert first.anon_vma is not second.anon_vma
    first, second = lab.vmas(mm)
    assert first.anon_vma is second.anon_vma  # the parent's chain is still a single link
    lab.check_rmap(mm, child)
    lab.check_exit(mm, child)


def test_what_was_never_writable_does_not_merge_with_what_was(lab: Any) -> None:
    mm = lab.kernel.mm_alloc()
    lab.mmap(mm, P, 2, RW)
    lab.mprotect(mm, P, 2, R)
    lab.mmap(mm, A, 2, R)

    assert lab.layout(mm) == [(P, 2, R), (A, 2, R)]


def test_a_merge_that_fails_for_want_of_memory_becomes_a_split_or_nothing(lab: Any) -> None:
    """Case 5 with the anon_vma on the side that gives pages away: the other must clone it."""
    mm = laid_out(lab, [(P, 2, RW), (A, 4, R)], frozenset({A}))

    ret, _ = lab.failing(1, lambda: lab.mprotect(mm, A, 2, RW))

    assert ret == 0  # no merging, so mprotect splits instead
    assert lab.layout(mm) == [(P, 2, RW), (A, 2, RW), (N, 2, R)]
    lab.check_rmap(mm)
    lab.check_exit(mm)


def test_case_6_frees_the_vma_that_mprotect_goes_on_with_if_memory_runs_out(
    lab: Any,
) -> None:
    """A hole of Linux from 2.6.34 on: the first of its two rounds is done and not undone.

    P and A have no anon_vma and N has one, so only the second round must allocate.
    """
    mm = laid_out(lab, MERGES["case 6"][0], frozenset({N}))

    with pytest.raises(KernelStateError) as caught:
        lab.failing(1, lambda: lab.mprotect(mm, A, 2, RW))

    assert caught.value.kind == "use-after-free"
