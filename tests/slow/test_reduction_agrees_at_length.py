"""The reduced walk against the full one and brute force: many protocols, long walks."""

from __future__ import annotations

import pytest
from agreement import by_brute_force, hold_nearest_to_full_walk, hold_to_full_walk, walker_or_skip
from hypothesis import HealthCheck, given, settings
from protocols import Protocol
from random_protocols import equals, lives, protocols

from rmaplab.checker.options import Limits
from rmaplab.litmus.shipped import shipped


@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(protocols())
def test_random_protocols(protocol: Protocol) -> None:
    by_brute_force(protocol)


@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(lives())
def test_random_lives(protocol: Protocol) -> None:
    by_brute_force(protocol)


@settings(max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(equals())
def test_random_equal_flows(protocol: Protocol) -> None:
    by_brute_force(protocol)


@pytest.mark.parametrize("kernel", ["root-lock", "seed-v2", "76545066c852", "v2.6.38"])
@pytest.mark.parametrize("name", [litmus.name for litmus in shipped()])
def test_shipped_scenarios(name: str, kernel: str) -> None:
    (litmus,) = (litmus for litmus in shipped() if litmus.name == name)
    if not hold_to_full_walk(walker_or_skip(litmus, kernel), Limits(states=1_500_000)):
        pytest.skip("more than 1,500,000 states")


@pytest.mark.parametrize("kernel", ["root-lock", "seed-v2", "76545066c852", "v2.6.38"])
@pytest.mark.parametrize("name", [litmus.name for litmus in shipped()])
def test_the_nearest_of_shipped_scenarios(name: str, kernel: str) -> None:
    (litmus,) = (litmus for litmus in shipped() if litmus.name == name)
    if not hold_nearest_to_full_walk(walker_or_skip(litmus, kernel), Limits(states=1_000_000)):
        pytest.skip("more than 1,000,000 states")
