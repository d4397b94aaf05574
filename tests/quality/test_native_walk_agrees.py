"""The walk in compiled code gives what the one in plain Python gives, on the shipped collection."""

from __future__ import annotations

import pytest
from agreement import hold_native_to_plain, hold_native_walk, walker_or_skip

from rmaplab.checker.options import Limits
from rmaplab.litmus.model import Litmus
from rmaplab.litmus.shipped import shipped


@pytest.mark.parametrize("kernel", ["seed-v2", "76545066c852", "v2.6.38"])
@pytest.mark.parametrize("litmus", shipped(), ids=lambda litmus: litmus.name)
def test_shipped_scenarios(litmus: Litmus, kernel: str) -> None:
    native, python = hold_native_walk(walker_or_skip(litmus, kernel), Limits(states=20_000))

    if native.limit or python.limit:
        pytest.skip("more than 20,000 states: tests/slow goes on")


@pytest.mark.parametrize("kernel", ["seed-v2", "76545066c852", "v2.6.38"])
@pytest.mark.parametrize("litmus", shipped(), ids=lambda litmus: litmus.name)
def test_reduced_walks_of_shipped_scenarios(litmus: Litmus, kernel: str) -> None:
    native, python = hold_native_to_plain(walker_or_skip(litmus, kernel), Limits(states=20_000))

    if native.limit or python.limit:
        pytest.skip("more than 20,000 states: tests/slow goes on")
