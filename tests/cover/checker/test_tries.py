"""Local states: kernel code run anew must ask what it asked before."""

from __future__ import annotations

from typing import Any

import pytest
from protocols import Bench, Protocol, Turn, flows

from rmaplab.checker import tries
from rmaplab.checker.options import NONE, Limits
from rmaplab.checker.program import Call, Flow, Scenario
from rmaplab.checker.tables import Tables
from rmaplab.checker.walker import Walker

LIMITS = Limits()


def busy(*_: Any) -> Any:
    for _ in range(3):
        yield "lock", "l"
        value = yield "load", "x"
        yield "store", "x", value + 1
        yield "unlock", "l"


@pytest.mark.parametrize("parked", [0, 1, 5])
def test_the_walk_is_the_same_however_few_greenlets_are_kept(
    monkeypatch: pytest.MonkeyPatch, parked: int
) -> None:
    protocol = Protocol(flows(busy, busy, busy), values=("x",), locks=("l",))
    with_all = Bench(protocol).walk()
    monkeypatch.setattr(tries, "PARKED", parked)

    with_few = Bench(protocol).walk()

    assert (with_few.states, with_few.transitions) == (with_all.states, with_all.transitions)
    assert with_few.terminals == with_all.terminals


def test_code_that_remembers_outside_of_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tries, "PARKED", 0)
    bench = Bench(Protocol(((), ()), values=("x", "y")))
    seen: list[int] = []

    def run() -> None:
        seen.append(1)
        bench.do("load", "x" if len(seen) % 2 else "y")
        bench.do("load", "x")

    flow = Flow(0, (Call("T", "call", run),))
    bench.machine.freeze()
    walker = Walker(Tables(Scenario(bench.machine, (flow,), lambda: None)))

    with pytest.raises(AssertionError, match="another question"):
        walker.walk(NONE, LIMITS)


def test_only_a_loop_that_begins_anew_turns_back() -> None:
    def turn(*_: Any) -> Any:
        more = yield "load", "x"
        yield "store", "x", 0
        return more == 1

    def one(*_: Any) -> Any:
        yield "store", "x", 1

    bench = Bench(Protocol(((Turn(turn, repeat=True), Turn(turn)), (Turn(one),)), marked=("x",)))
    walker = bench.walker()
    walker.walk(NONE, LIMITS)

    nodes = walker.tables.tries.nodes[0]
    turning = [(node.call, node.action.name) for node in nodes if node.turns_back and node.action]
    assert turning == [(0, "store")]
