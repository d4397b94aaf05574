"""A toy of the patch this project grew from: a root anon_vma and its children, all exit at once."""

from __future__ import annotations

import pytest
from brute import enumerate_all
from protocols import PARTIAL_ORDER, Bench
from seed_toy import toy

from rmaplab.checker.check import check
from rmaplab.checker.options import EVERY, NONE, Reduction
from rmaplab.checker.verdict import CLEAN

ALL_BUT_SYMMETRY = EVERY - {Reduction.SYMMETRY}


@pytest.mark.parametrize("children", [1, 2])
def test_the_fixed_one_is_clean_with_as_many_states_as_brute_force_counts(children: int) -> None:
    protocol = toy(children, fixed=True)
    answer = enumerate_all(protocol)
    walk = Bench(protocol).walk(NONE)

    assert (answer.nearest, answer.race) == ({}, None)
    assert (walk.finding, walk.race, walk.limit) == (None, None, "")
    assert (walk.states, walk.transitions) == (answer.states, answer.steps)
    assert check(Bench(protocol).scenario).verdict == CLEAN


@pytest.mark.parametrize("children", [1, 2])
def test_the_mailed_one_underflows_as_near_as_brute_force_finds(children: int) -> None:
    protocol = toy(children, fixed=False)
    answer = enumerate_all(protocol)
    walk = Bench(protocol).walk(NONE)

    assert answer.nearest == {"refcount-underflow": answer.length()}
    assert walk.finding is not None
    assert (walk.finding.fault.kind, len(walk.finding.path)) == (
        "refcount-underflow",
        answer.length(),
    )
    assert check(Bench(protocol).scenario).verdict == "refcount-underflow"


def test_the_underflow_comes_when_all_but_the_last_free_are_done() -> None:
    """A child makes 16 accesses more; the parent has the others."""
    lengths = []
    for children in (1, 2, 3):
        finding = Bench(toy(children, fixed=False)).walk(NONE).finding
        assert finding is not None
        lengths.append(len(finding.path))

    assert lengths == [27, 43, 59]


def test_states_grow_with_the_children_and_less_so_when_reduced() -> None:
    """The full walk's numbers are those of brute force, run once for three children as well."""
    benches = [toy(children, fixed=True) for children in (1, 2, 3)]

    assert [Bench(one).walk(NONE).states for one in benches] == [163, 2893, 39090]
    assert [Bench(one).walk(PARTIAL_ORDER).states for one in benches] == [83, 636, 2948]
    assert [Bench(one).walk(ALL_BUT_SYMMETRY).states for one in benches] == [9, 55, 199]


def test_equal_children_add_few_states_when_those_that_are_images_are_left_out() -> None:
    """One by one the number of images grows as n!; tests/slow has those of five and six."""
    walks = [Bench(toy(children, fixed=True)).walk(EVERY) for children in (1, 2, 3, 4)]

    assert [walk.states for walk in walks] == [9, 28, 56, 91]
    assert [len(walk.terminals) for walk in walks] == [2, 3, 4, 5], "who frees the root"
