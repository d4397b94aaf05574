"""How often a replay checks the truths."""

from __future__ import annotations

import pytest

from rmaplab.history.v2_6_38 import V2_6_38
from rmaplab.machine import KernelStateError
from rmaplab.machine.direct import DirectMachine
from rmaplab.runner import pace
from rmaplab.runner.pace import PacedChecks
from rmaplab.runner.spaces import ReplaySystem


@pytest.fixture
def system() -> ReplaySystem:
    system = ReplaySystem(V2_6_38, DirectMachine())
    system.space_of(1)
    return system


def test_a_small_state_is_checked_at_every_turn(system) -> None:
    checks = PacedChecks(system)

    for call in range(1, 1000):
        checks.turn(call)

    assert (checks.made, checks.turns) == (999, 999)


def test_a_large_state_is_checked_as_often_as_calls_pay_for(system, monkeypatch) -> None:
    """1000 looks a check, 50 a call: each 20th call has one once what was saved is gone."""
    monkeypatch.setattr(system, "size", lambda: 1000)
    monkeypatch.setattr(pace, "SAVED_AT_FIRST", 10_000)
    checks = PacedChecks(system)

    for call in range(1, 2001):
        checks.turn(call)

    assert checks.made == (10_000 + 2000 * 50) // 1000
    assert checks.turns == 2000


def test_a_late_verdict_tells_the_check_before(system, monkeypatch) -> None:
    monkeypatch.setattr(system, "size", lambda: 10**9)
    checks = PacedChecks(system)
    checks.turn(1)
    checks.turn(2)
    system.kernel.anon_vma_alloc()

    with pytest.raises(KernelStateError, match=r"\(the check before was in step 1\)"):
        checks.check(3)
