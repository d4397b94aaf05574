"""What is too long for tests/quality: the larger scenarios of the bench."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from quotient import count_states

from rmaplab.checker.check import check

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import protocol


@pytest.mark.parametrize("variant", ["MAINLINE", "FIXED"])
def test_three_generations_have_as_many_states_as_in_spin_with_the_same_steps(variant: str) -> None:
    """`spin -a -DFINE -DVARIANT=3 -DSCEN=3`: 323,190 states stored, 71 of them of the set-up."""
    assert count_states(protocol.build("S3", variant)) == 323_190 - 71


@pytest.mark.parametrize(
    ("scenario", "variant", "kinds"),
    [
        ("S2", "BEFORE", {"use-after-free", "double-free"}),
        ("S2", "SEED_V2", {"use-after-free", "refcount-underflow"}),
        ("S2", "MAINLINE", {"use-after-free", "refcount-underflow"}),
        ("S2", "FIXED", set()),
        ("S3", "BEFORE", {"use-after-free"}),
        ("S3", "SEED_V2", {"refcount-underflow"}),
        ("S3", "MAINLINE", set()),
        ("S3", "FIXED", set()),
        ("S5", "FIXED", set()),
    ],
)
def test_the_verdicts_are_spins_and_harmonys(scenario: str, variant: str, kinds: set[str]) -> None:
    outcome = check(protocol.build(scenario, variant))

    assert outcome.complete
    assert {violation.kind for violation in outcome.violations} == kinds
