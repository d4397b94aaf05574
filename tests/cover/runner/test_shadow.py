"""The two ways to keep what a process must find in its memory."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rmaplab.history import V2_6_38
from rmaplab.machine.direct import DirectMachine
from rmaplab.machine.traced import TracedMachine
from rmaplab.runner.shadow import DictShadows, FrozenShadows
from rmaplab.runner.system import System

STORE = st.tuples(st.just("stored"), st.integers(0, 1), st.integers(0, 5))
UNMAP = st.tuples(st.just("without"), st.integers(0, 1), st.integers(0, 5))
COPY = st.tuples(st.just("copied"), st.integers(0, 1), st.just(0))


@given(st.lists(STORE | UNMAP | COPY, max_size=30))
def test_both_ways_keep_the_same(steps: list[tuple[str, int, int]]) -> None:
    ways: list[Any] = [FrozenShadows(), DictShadows()]
    memories: list[list[Any]] = [[(), ()] for _ in ways]
    for number, (what, who, where) in enumerate(steps):
        for way, memory in zip(ways, memories, strict=True):
            if what == "stored":
                memory[who] = way.stored(memory[who], where, lambda old, n=number: (old, n))
            elif what == "without":
                memory[who] = way.without(memory[who], where, where + 2)
            else:
                memory[1 - who] = way.copied(memory[who])
        frozen, plain = memories
        assert [dict(each) for each in frozen] == [dict(each) for each in plain]
        assert all(list(each) == sorted(each) for each in frozen)


def test_only_the_machine_that_goes_back_needs_values_that_never_change() -> None:
    for machine, kind in ((TracedMachine(), tuple), (DirectMachine(), dict)):
        with machine.running(0, "A"):
            system = System(V2_6_38, machine, ("A",))
            assert system.mmap("A", 0, 2) == 0
            assert system.write("A", 0, 2, c=5) == 0
            assert system.fork("A", "B") == 0
            assert system.write("B", 0, c=6) == 0
            assert isinstance(system.tasks["A"].shadow, kind)
        assert [str(held) for held in system.shadow("A").values()] == ["5", "5"]
        assert [str(held) for held in system.shadow("B").values()] == ["6", "5"]
