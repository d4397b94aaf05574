"""The protocol of the bench on rmaplab against what SPIN says of the same protocol."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from quotient import count_states

from rmaplab.checker.check import check
from rmaplab.checker.options import Options

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import anon_vma
import protocol

#: Steps of the shortest counterexample after the set-up, by a breadth-first search of SPIN.
SHORTEST = {
    ("S1", "BEFORE"): 46,
    ("S1", "SEED_V2"): 50,
    ("S2", "BEFORE"): 22,
    ("S2", "SEED_V2"): 31,
    ("S2", "MAINLINE"): 31,
    ("S4", "BEFORE"): 22,
    ("S4", "MAINLINE"): 25,
    ("S5", "BEFORE"): 22,
    ("S5", "MAINLINE"): 31,
}


@pytest.mark.parametrize("configuration", SHORTEST, ids=" ".join)
def test_the_nearest_violation_is_as_near_as_spins(configuration: tuple[str, str]) -> None:
    violation = check(protocol.build(*configuration)).violation

    assert violation is not None
    asked = [step for step in violation.trace if step.action == "list_entry"]
    # list_del is two steps here: it asks the entry where it is.
    assert len(violation.trace) - len(asked) == SHORTEST[configuration]


@pytest.mark.parametrize(("scenario", "variant"), [("S1", "MAINLINE"), ("S1", "FIXED")])
def test_what_spin_finds_clean_is_clean(scenario: str, variant: str) -> None:
    outcome = check(protocol.build(scenario, variant))

    assert (outcome.verdict, outcome.complete) == ("clean", True)


def test_the_seed_underflows_where_nothing_else_goes_wrong() -> None:
    outcome = check(protocol.build("S1", "SEED_V2"))

    assert {violation.kind for violation in outcome.violations} == {"refcount-underflow"}


def test_what_is_never_dropped_is_a_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mutant, so that a clean verdict means something: what a fork took stays."""

    class NeverDropped(anon_vma.Mainline):
        def put_root(self, _: anon_vma.AnonVma) -> None:
            pass

    monkeypatch.setitem(anon_vma.VARIANTS, "MUTANT", NeverDropped)

    outcome = check(protocol.build("S1", "MUTANT"), Options(first=True))

    assert outcome.verdict == "leak"


def test_the_full_walk_has_as_many_states_as_spin_with_the_same_steps() -> None:
    """`spin -a -DFINE -DVARIANT=3 -DSCEN=1`: 8,867 states stored, 38 of them of the set-up."""
    assert count_states(protocol.build("S1", "FIXED")) == 8867 - 38
