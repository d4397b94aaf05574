"""Ctrl-C ends a walk as a limit does."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest

from rmaplab.checker.check import check
from rmaplab.checker.options import NONE, Options
from rmaplab.checker.program import Scenario
from rmaplab.history import KERNELS
from rmaplab.litmus.shipped import shipped
from rmaplab.runner.scenario import build


def scenario(name: str = "exit-of-three-generations") -> Scenario:
    (litmus,) = (litmus for litmus in shipped() if litmus.name == name)
    return build(litmus, KERNELS["seed-v2"])


@pytest.fixture(autouse=True)
def listening() -> Iterator[None]:
    """As on a terminal: a shell's background jobs ignore Ctrl-C."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


class Pressed:
    """Presses Ctrl-C, so many times at once, when a walk has come to a depth."""

    def __init__(self, depth: int, times: int = 1) -> None:
        self.depth = depth
        self.times = times

    def __call__(self, *numbers: int) -> None:
        if numbers[3] >= self.depth:
            self.depth = sys.maxsize
            for _time in range(self.times):
                signal.raise_signal(signal.SIGINT)


def test_what_is_known_is_told() -> None:
    outcome = check(scenario(), Options(reductions=NONE), Pressed(depth=150))

    assert outcome.is_interrupted and not outcome.complete
    assert outcome.verdict == "refcount-underflow"


def test_nothing_known_is_undetermined() -> None:
    outcome = check(scenario(), Options(reductions=NONE), Pressed(depth=10))

    assert (outcome.verdict, outcome.reason) == ("undetermined", "interrupted")
    assert 0 < outcome.states < 10_000


def test_the_second_ctrl_c_ends_everything() -> None:
    usual = signal.getsignal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        check(scenario(), Options(reductions=NONE), Pressed(depth=10, times=2))

    assert signal.getsignal(signal.SIGINT) is usual


def test_the_next_check_knows_nothing_of_it() -> None:
    check(scenario(), Options(reductions=NONE), Pressed(depth=10))

    assert check(scenario("cow-both-write")).complete


def test_where_it_is_ignored_it_stays_so() -> None:
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        outcome = check(scenario("cow-both-write"), progress=Pressed(depth=1))
    finally:
        signal.signal(signal.SIGINT, usual)

    assert outcome.complete
