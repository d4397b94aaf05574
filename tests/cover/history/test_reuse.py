"""How anon_vmas are counted, so that fork may use them again: from 7a3ef208e662 to 2555283eb40d."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from random_calls import Failure, Run, litmuses

from rmaplab.history import KERNELS
from rmaplab.litmus.model import Litmus
from rmaplab.litmus.reader import read_text
from rmaplab.machine.direct import DirectMachine

WITH_DEGREE = ("7a3ef208e662", "v3.19", "v4.0", "v5.19")
CURED = "v6.0"
ONE = "A: mmap 0\nA: write 0 = 1\n"


def started(name: str, steps: str) -> Run:
    """What is there after some steps, none of which breaks a truth."""
    text = f"litmus t\nprocesses A\nsetup\n{steps}"
    run = Run(read_text(text), KERNELS[name], DirectMachine())
    for step in run.litmus.setup:
        assert run.do(step) is None
    return run


def failure(name: str, steps: str) -> Failure | None:
    text = f"litmus t\nprocesses A\nsetup\n{steps}"
    return Run(read_text(text), KERNELS[name], DirectMachine()).failure()


def census(run: Run) -> tuple[int, int]:
    """How many anon_vmas and chain entries there are."""
    kernel = run.system.kernel
    return len(kernel.anon_vma_cachep.live()), len(kernel.anon_vma_chain_cachep.live())


def vmas(run: Run) -> list[Any]:
    """The VMAs of all processes, in the order of these."""
    found = []
    for _, mm in run.system.processes():
        vma = mm.mmap
        while vma is not None:
            found.append(vma)
            vma = vma.vm_next
    return found


# What slabinfo of a 6.18 counted


def generations(count: int) -> str:
    """Forks one after the other, each by the child of the one before."""
    names = [f"P{number}" for number in range(count + 1)]
    pairs = zip(["A", *names], names, strict=False)
    return "".join(f"{parent}: fork {child}\n" for parent, child in list(pairs)[:count])


@pytest.mark.parametrize("name", ["v2.6.34", "v3.18", "v4.0", CURED])
def test_a_line_of_forks_has_an_anon_vma_each_and_a_triangle_of_entries(name: str) -> None:
    counted = [census(started(name, ONE + generations(depth))) for depth in range(6)]

    assert counted == [(1, 1), (2, 3), (3, 6), (4, 10), (5, 15), (6, 21)]


@pytest.mark.parametrize("name", ["v2.6.34", "v3.18", "v4.0", CURED])
def test_each_sibling_has_an_anon_vma_and_two_entries(name: str) -> None:
    siblings = [f"A: fork P{number}\n" for number in range(4)]
    counted = [census(started(name, ONE + "".join(siblings[:n]))) for n in range(1, 5)]

    assert counted == [(2, 3), (3, 5), (4, 7), (5, 9)]


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        ("v3.18", [(2 + n, 3 + n) for n in range(1, 9)]),
        ("v3.19", [(3, 4)] * 8),
        (CURED, [(3, 4)] * 8),
    ],
)
def test_while_the_root_lives_eight_generations_need_three_anon_vmas(
    name: str, counted: list[tuple[int, int]]
) -> None:
    run = started(name, ONE + "A: fork P0\n")
    steps = "".join(f"P{n}: fork P{n + 1}\nP{n}: exit\n" for n in range(8))
    seen = []
    for step in read_text(f"litmus t\nprocesses P0\nsetup\n{steps}").setup:
        assert run.do(step) is None
        seen.append(census(run))

    assert seen[1::2] == counted


@pytest.mark.parametrize("name", ["v2.6.34", "v4.0", CURED])
def test_a_piece_split_off_costs_an_entry_and_no_anon_vma(name: str) -> None:
    pieces = [f"A: mprotect {page} r\n" for page in (1, 3, 5)]
    steps = "A: mmap 0 7\nA: write 0 7 = 1\n"
    counted = [census(started(name, steps + "".join(pieces[:n]))) for n in range(4)]

    assert counted == [(1, 1), (1, 3), (1, 5), (1, 7)]


# The counts


def counted_by_hand(run: Run) -> dict[Any, tuple[int, int]]:
    """By anon_vma: its children and the VMAs whose own it is, by a look at all there is."""
    there = {avc.anon_vma for avc in run.system.kernel.anon_vma_chain_cachep.live()}
    children = Counter(anon_vma.parent for anon_vma in there)
    own = Counter(vma.anon_vma for vma in vmas(run))
    return {anon_vma: (children[anon_vma], own[anon_vma]) for anon_vma in there}


@pytest.mark.parametrize("name", ["v4.0", "v5.19", CURED])
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(litmus=litmuses())
def test_the_counts_are_those_of_a_look_at_everything(name: str, litmus: Litmus) -> None:
    run = Run(litmus, KERNELS[name], DirectMachine(), lambda failure, run: True)
    for step in litmus.setup:
        assert run.do(step) is None
        for anon_vma, (children, own) in counted_by_hand(run).items():
            if name == CURED:
                assert (anon_vma.num_children, anon_vma.num_active_vmas) == (children, own)
            else:
                assert anon_vma.degree == children + own


@pytest.mark.parametrize("name", [*WITH_DEGREE, CURED])
def test_an_anon_vma_without_vma_and_with_one_child_is_used_again(name: str) -> None:
    run = started(name, ONE + "A: fork B\nB: fork C\n")
    _, second, _ = (vma.anon_vma for vma in vmas(run))
    for step in read_text("litmus t\nprocesses B C\nsetup\nB: exit\nC: fork D\n").setup:
        assert run.do(step) is None

    root, _, fourth = vmas(run)
    assert fourth.anon_vma == second
    assert (second.root, second.parent) == (root.anon_vma, root.anon_vma)
    assert census(run) == (3, 1 + 3 + 3)


@pytest.mark.parametrize("name", [*WITH_DEGREE, CURED])
def test_with_two_children_it_is_not(name: str) -> None:
    steps = ONE + "A: fork B\nB: fork C\nB: fork D\nB: exit\nC: fork E\n"

    assert census(started(name, steps)) == (5, 1 + 3 + 3 + 4)


@pytest.mark.parametrize(("name", "shared"), [("v4.0", True), ("v5.19", True), (CURED, False)])
def test_what_is_a_vmas_own_and_has_no_child_is_used_a_second_time(name: str, shared: bool) -> None:
    """D has B's. So nobody is a child of C's, and E gets it as well."""
    run = started(name, ONE + "A: fork B\nB: fork C\nB: exit\nC: fork D\nD: fork E\n")

    _, third, _, fifth = (vma.anon_vma for vma in vmas(run))
    assert (third == fifth) is shared


# Errors


@pytest.mark.parametrize(
    ("name", "kind"), [("7a3ef208e662", "bug-on"), ("b800c91a0517", None), ("v4.0", None)]
)
def test_whether_a_vma_that_joins_another_is_counted(name: str, kind: str | None) -> None:
    found = failure(name, "A: mmap 0 2\nA: mprotect 0 r\nA: write 1 = 1\nA: mprotect 0 rw\n")

    assert (found and found.kind) == kind


@pytest.mark.parametrize(
    ("name", "fails"), [("7a3ef208e662", False), ("b800c91a0517", True), ("v4.0", False)]
)
def test_a_vma_without_memory_to_join_another_stays_without_anon_vma(
    name: str, fails: bool
) -> None:
    """With the anon_vma set before, what unlinks the VMA counts it off."""
    steps = "A: mmap 0 2\nA: mprotect 0 r\nA: write 1 = 1\n"
    run = started(name, steps)
    (step,) = read_text("litmus t\nprocesses A\nsetup\nfail 1 A: mprotect 0 rw\n").setup
    assert run.do(step) is None

    joined, (_, own) = vmas(run)[0], next(iter(counted_by_hand(run).values()))
    assert (joined.anon_vma, own) == (None, 1)
    assert vmas(run)[1].anon_vma.degree == 2 - fails
    assert (run.failure_of_the_end() is not None) is fails


@pytest.mark.parametrize(
    ("name", "fails"),
    [("v3.18", False), ("7a3ef208e662", True), ("b800c91a0517", True), ("v4.0", False)],
)
def test_whether_a_fork_without_memory_counts_off_what_it_did_not_count(
    name: str, fails: bool
) -> None:
    """The third entry: the VMA has an anon_vma to use again, as it is linked to the second."""
    steps = ONE + "A: fork B\nB: fork C\nB: exit\nfail 5 C: fork D\n"

    assert (failure(name, steps) is not None) is fails


@pytest.mark.parametrize(("name", "stops"), [("v4.0", True), ("e4c5800a3991", False)])
def test_whether_a_wrong_degree_stops_the_kernel(name: str, stops: bool) -> None:
    run = started(name, ONE)
    vmas(run)[0].anon_vma.degree = 5

    found = run.failure_of_the_end()

    assert (found and found.kind) == ("bug-on" if stops else None)


@pytest.mark.parametrize(("name", "reset"), [("e4c5800a3991", False), ("ee8ab1903e3d", True)])
def test_whether_a_vma_knows_that_it_is_unlinked(name: str, reset: bool) -> None:
    run = started(name, ONE)
    (vma,) = vmas(run)
    with run.machine.running(0, "A"):
        run.system.kernel.unlink_anon_vmas(vma)

    assert (vma.anon_vma is None) is reset
    assert census(run) == (0, 0)
