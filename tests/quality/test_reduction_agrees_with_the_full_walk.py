"""What the reduced walk says is what the full walk says, and what brute force says.

And these tests would see it if the reduction were wrong: it is made wrong here in several ways.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from agreement import (
    by_brute_force,
    hold_native_reduced_walk,
    hold_reduced_walk,
    hold_to_full_walk,
)
from brute import enumerate_all
from hypothesis import HealthCheck, given, settings
from protocols import Protocol, Turn, flows
from random_protocols import protocols

from rmaplab.checker.native import rules
from rmaplab.checker.native.search import NativeSearch
from rmaplab.checker.options import Limits
from rmaplab.checker.reduction import Alone, Futures
from rmaplab.checker.tables import Tables
from rmaplab.checker.tries import Node
from rmaplab.checker.walker import Walker
from rmaplab.history import KERNELS
from rmaplab.litmus.shipped import shipped
from rmaplab.machine import BUG_ON
from rmaplab.runner.scenario import build


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(protocols())
def test_random_protocols(protocol: Protocol) -> None:
    by_brute_force(protocol)


# The shipped collection

NAMES = [litmus.name for litmus in shipped()]


@pytest.mark.parametrize("kernel", ["root-lock", "76545066c852", "v2.6.38"])
@pytest.mark.parametrize("name", NAMES)
def test_shipped_scenarios(name: str, kernel: str) -> None:
    (litmus,) = (litmus for litmus in shipped() if litmus.name == name)
    scenario = build(litmus, KERNELS[kernel])
    scenario.machine.freeze()

    reduced, full = hold_to_full_walk(Walker(Tables(scenario)), Limits(states=60_000))

    if reduced.limit or full.limit:
        pytest.skip("more than 60,000 states: tests/slow goes on")


# Reductions that are wrong


def storing(name: str, number: int) -> Any:
    def body(*_: Any) -> Any:
        yield "store", name, number

    return body


def failing_if_set(name: str) -> Any:
    def body(*_: Any) -> Any:
        BUG_ON((yield "load", name))

    return body


def late(*_: Any) -> Any:
    """That it may yet load x is known only once another has opened the way."""
    if (yield "load", "open"):
        BUG_ON((yield "load", "x") == 0)


def round_and_round(*_: Any) -> Any:
    yield "load", "mine"
    return True


def opposite(*names: str) -> Any:
    def body(*_: Any) -> Any:
        for name in names:
            yield "lock", name
        for name in names:
            yield "unlock", name

    return body


#: Each loses something as soon as the reduction is too bold.
KNOWN = {
    "two stores": Protocol(flows(storing("x", 1), storing("x", 2)), marked=("x",)),
    "a store and a load": Protocol(flows(failing_if_set("x"), storing("x", 1)), marked=("x",)),
    "a load learnt late": Protocol(
        flows(storing("x", 1), late, storing("open", 1)), marked=("x", "open")
    ),
    "two locks": Protocol(flows(opposite("a", "b"), opposite("b", "a")), locks=("a", "b")),
    "a loop beside a failure": Protocol(
        ((Turn(round_and_round, repeat=True),), (Turn(storing("x", 1)), Turn(failing_if_set("x")))),
        marked=("x", "mine"),
    ),
}


def losses(hold: Callable[..., None] = hold_reduced_walk) -> set[str]:
    """The known protocols of which a reduced walk loses something."""
    found = set()
    for name, protocol in KNOWN.items():
        try:
            hold(protocol, enumerate_all(protocol))
        except AssertionError:
            found.add(name)
    return found


def test_the_reduction_loses_nothing_known() -> None:
    assert losses() == losses(hold_native_reduced_walk) == set()


def always(*_: Any) -> bool:
    return True


def without_writes(self: Futures, node: Node, other: Node) -> bool:
    assert node.action is not None
    return not node.action.write_mask & other.future_reads


def without_reads(self: Futures, node: Node, other: Node) -> bool:
    assert node.action is not None
    return not node.action.write_mask & other.future_writes


def only_the_next_action(self: Futures, node: Node, other: Node) -> bool:
    assert node.action is not None
    return other.action is None or not node.action.conflicts(other.action)


def never_looked_at_again(self: Alone) -> list[str]:
    self.futures.update()
    return []


@pytest.mark.parametrize(
    ("owner", "name", "wrong", "lost"),
    [
        (
            Futures,
            "apart",
            always,
            {"two stores", "a store and a load", "a load learnt late", "two locks"},
        ),
        (Futures, "apart", without_writes, {"two stores", "a store and a load"}),
        (Futures, "apart", without_reads, {"a store and a load"}),
        (Futures, "apart", only_the_next_action, {"a load learnt late"}),
        (
            Alone,
            "no_longer",
            never_looked_at_again,
            {"two stores", "a store and a load", "a load learnt late", "two locks"},
        ),
        (
            Node,
            "turns_back",
            property(lambda node: False, lambda node, on: None),
            {"a loop beside a failure"},
        ),
    ],
)
def test_a_wrong_reduction_is_seen(
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    name: str,
    wrong: Callable[..., Any],
    lost: set[str],
) -> None:
    monkeypatch.setattr(owner, name, wrong)

    assert losses() >= lost


@pytest.mark.parametrize(
    ("owner", "name", "wrong", "lost"),
    [
        (
            Futures,
            "touched",
            lambda self, node: (0, 0),
            {"two stores", "a store and a load", "a load learnt late", "two locks"},
        ),
        (
            Futures,
            "touched",
            lambda self, node: (0, node.action.write_mask),
            {"a store and a load"},
        ),
        (
            NativeSearch,
            "_grown",
            property(lambda self: False, lambda self, on: None),
            {"a load learnt late"},
        ),
        (rules, "TURNS_BACK", 0, {"a loop beside a failure"}),
    ],
)
def test_a_wrong_reduction_in_compiled_code_is_seen(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, wrong: Any, lost: set[str]
) -> None:
    monkeypatch.setattr(owner, name, wrong)

    assert losses(hold_native_reduced_walk) >= lost
