"""Which states there are: interleavings, calls, the last flow, limits, data races."""

from __future__ import annotations

from typing import Any

import pytest
from agreement import by_brute_force
from bodies import (
    adding,
    an_object,
    nothing,
    steps_of,
    storing,
    taking,
    verdict_of,
)
from protocols import PARTIAL_ORDER, Bench, Protocol, Turn, flows

from rmaplab.checker import exploration
from rmaplab.checker import walker as walker_module
from rmaplab.checker.check import check
from rmaplab.checker.options import NONE, Limits, Options, Reduction
from rmaplab.checker.verdict import CLEAN, UNDETERMINED
from rmaplab.machine import BUG_ON


class TestInterleavings:
    def test_two_lone_stores_make_four_states(self) -> None:
        answer = by_brute_force(Protocol(flows(storing("x"), storing("y")), marked=("x", "y")))

        assert (answer.states, answer.steps) == (4, 4)

    def test_n_flows_of_one_step_each_make_two_to_the_n_states(self) -> None:
        names = ("a", "b", "c", "d")
        answer = by_brute_force(Protocol(flows(*map(storing, names)), values=names))

        assert (answer.states, len(answer.finals)) == (16, 1)

    def test_flows_that_share_nothing_go_one_after_the_other_when_reduced(self) -> None:
        names = ("a", "b", "c", "d")
        walk = Bench(Protocol(flows(*map(storing, names)), values=names)).walk(PARTIAL_ORDER)

        # Nothing is walked again: what is learnt later touches nothing of another flow.
        assert (walk.states, walk.transitions) == (5, 4)

    def test_the_last_of_two_stores_stays(self) -> None:
        protocol = Protocol(flows(storing("x", 1), storing("x", 2)), marked=("x",))
        answer = by_brute_force(protocol)

        assert answer.finals == {frozenset({(("g", "x"), 1)}), frozenset({(("g", "x"), 2)})}
        assert verdict_of(protocol) == CLEAN

    def test_a_store_of_what_was_there_at_the_start_is_a_store(self) -> None:
        answer = by_brute_force(Protocol(flows(storing("x", 0), storing("x", 1)), marked=("x",)))

        assert answer.finals == {frozenset(), frozenset({(("g", "x"), 1)})}

    def test_locked_additions_are_not_lost(self) -> None:
        body = adding("x", lock="l")
        answer = by_brute_force(Protocol(flows(body, body, body), values=("x",), locks=("l",)))

        assert answer.finals == {frozenset({(("g", "x"), 3)})}
        assert (answer.race, answer.nearest) == (None, {})


class TestCalls:
    def test_calls_of_a_flow_come_in_order_and_forget_what_they_saw(self) -> None:
        """Two loads of x, each of 0 or 1, lead to one state where the call ended."""

        def look(*_: Any) -> Any:
            yield "load", "x"

        one = by_brute_force(Protocol(((Turn(look),), (Turn(storing("x")),)), marked=("x",)))
        two = by_brute_force(Protocol(((Turn(look),) * 2, (Turn(storing("x")),)), marked=("x",)))

        assert (one.states, two.states) == (4, 6)

    def test_a_daemon_goes_round_until_it_is_told_to_stop(self) -> None:
        def turn(*_: Any) -> Any:
            yield "inc", "turns"
            return not (yield "load", "stop")

        daemon, stop = (Turn(turn, repeat=True),), (Turn(storing("stop")),)
        protocol = Protocol((daemon, stop), marked=("stop",), counts=("turns",), setup=None)
        walk = Bench(protocol).walk(NONE, limits=Limits(states=1000))

        assert walk.limit == "more than 1000 states"

    def test_a_loop_without_progress_is_one_state_and_not_one_for_ever(self) -> None:
        def turn(*_: Any) -> Any:
            return not (yield "load", "stop")

        protocol = Protocol(
            ((Turn(turn, repeat=True),), (Turn(storing("stop")),)), marked=("stop",)
        )

        # Running or ended, stopped or not, but not ended and not stopped.
        assert by_brute_force(protocol).states == 3

    def test_skip_leaves_calls_out(self) -> None:
        def decide(*_: Any) -> Any:
            return (yield "load", "x") != 0

        turns = (Turn(decide, skip=2), Turn(storing("a")), Turn(storing("b")), Turn(storing("c")))
        protocol = Protocol((turns, (Turn(storing("x")),)), values=("a", "b", "c"), marked=("x",))
        finals = [dict(final) for final in by_brute_force(protocol).finals]

        written = {tuple(name for _, name in sorted(final)) for final in finals}
        assert written == {("c", "x"), ("a", "b", "c", "x")}

    def test_calls_that_touch_nothing_are_passed_over(self) -> None:
        turns = (Turn(nothing), Turn(nothing), Turn(storing("x")), Turn(nothing))

        assert by_brute_force(Protocol((turns,), values=("x",))).states == 2

    def test_flows_without_calls_have_finished(self) -> None:
        assert by_brute_force(Protocol(((), ()))).states == 1


class TestLast:
    def test_the_last_flow_runs_when_all_others_have_finished(self) -> None:
        def look(*_: Any) -> Any:
            a = yield "load", "a"
            b = yield "load", "b"
            BUG_ON((a, b) != (1, 1))

        protocol = Protocol(
            flows(storing("a"), storing("b"), look), values=("a", "b"), last=frozenset({2})
        )
        answer = by_brute_force(protocol)

        # Four states of the two stores, then two more.
        assert (answer.states, answer.nearest, answer.race) == (6, {}, None)

    def test_the_trace_of_its_failure_begins_with_all_the_others(self) -> None:
        def fail(*_: Any) -> Any:
            yield "load", "x"
            BUG_ON(True)

        protocol = Protocol(
            flows(storing("a"), storing("b"), fail), values=("a", "b", "x"), last=frozenset({2})
        )

        assert by_brute_force(protocol).nearest == {"bug-on": 3}
        assert steps_of(protocol) == [(0, "store"), (1, "store"), (2, "load")]

    def test_it_may_go_wrong_at_once(self) -> None:
        def fail(*_: Any) -> Any:
            BUG_ON(True)
            yield

        protocol = Protocol(flows(storing("a"), fail), values=("a",), last=frozenset({1}))

        assert by_brute_force(protocol).nearest == {"bug-on": 1}
        assert steps_of(protocol) == [(0, "store")]

    def test_a_deadlock_of_the_others_keeps_it_from_running(self) -> None:
        protocol = Protocol(
            flows(taking("a", "b"), taking("b", "a"), storing("x")),
            locks=("a", "b"),
            values=("x",),
            last=frozenset({2}),
        )

        assert by_brute_force(protocol).nearest == {"deadlock": 2}
        assert len(steps_of(protocol)) == 4


class TestLimits:
    def long(self) -> Protocol:
        names = tuple("abcdef")
        return Protocol(flows(*(adding(name) for name in names)), values=names)

    @pytest.mark.parametrize(
        ("limits", "reason"),
        [
            (Limits(states=10), "more than 10 states"),
            (Limits(seconds=0.0), "more than 0 s"),
        ],
    )
    @pytest.mark.parametrize("reductions", [NONE, PARTIAL_ORDER])
    def test_a_limit_that_is_reached_is_never_clean(
        self, limits: Limits, reason: str, reductions: frozenset[Reduction]
    ) -> None:
        outcome = check(Bench(self.long()).scenario, Options(limits, reductions))

        assert (outcome.verdict, outcome.reason, outcome.complete) == (UNDETERMINED, reason, False)

    def test_too_many_local_states_are_never_clean(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exploration, "LOCAL_STATES", 2)

        outcome = check(Bench(self.long()).scenario, Options(reductions=NONE))

        assert outcome.verdict == UNDETERMINED
        assert outcome.reason == "more than 2 local states of one CPU"

    def test_a_limit_is_looked_at_within_a_level(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(walker_module, "LOOK_EVERY", 1)

        outcome = check(Bench(self.long()).scenario, Options(Limits(states=3), NONE))

        # The start has six successors; the walk stops after expanding it, not a level later.
        assert (outcome.verdict, outcome.states) == (UNDETERMINED, 7)

    def test_without_limits_it_is_clean(self) -> None:
        outcome = check(Bench(self.long()).scenario, Options(reductions=NONE))

        # Each of six flows has begun, loaded or stored.
        assert (outcome.verdict, outcome.states, outcome.complete) == (CLEAN, 3**6, True)

    def test_an_interrupt_comes_through_and_the_scenario_can_be_checked_again(self) -> None:
        scenario = Bench(self.long()).scenario

        def interrupt(*_: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            check(scenario, Options(reductions=NONE), interrupt)
        assert check(scenario, Options(reductions=NONE)).states == 3**6


class TestAgain:
    def test_a_scenario_can_be_checked_twice(self) -> None:
        bench = Bench(Protocol(flows(adding("x"), storing("y")), values=("x", "y"), no_leak=True))
        first, second = (check(bench.scenario, Options(reductions=NONE)) for _ in range(2))

        assert (first.states, first.transitions) == (6, 7)
        assert (second.states, second.transitions) == (6, 7)

    def test_more_cells_may_vary_than_the_first_walk_had_room_for(self) -> None:
        def fill(*_: Any) -> Any:
            for _ in range(40):
                pointer = yield ("alloc",)
                yield "store", (pointer, "x"), 1

        for reductions, states in ((NONE, 242), (PARTIAL_ORDER, 122)):
            bench = Bench(Protocol(flows(fill, storing("y")), values=("y",)))
            walk = bench.walk(reductions)

            # 40 times pop, alloc, store; each with and without the other's store.
            assert walk.states == states


class TestDataRace:
    def test_a_lost_update_is_a_data_race(self) -> None:
        protocol = Protocol(flows(adding("x"), adding("x")), values=("x",))
        answer = by_brute_force(protocol)

        # One CPU has loaded and is about to store, the other one is about to load.
        assert answer.race == 1
        assert answer.finals == {frozenset({(("g", "x"), 1)}), frozenset({(("g", "x"), 2)})}
        assert verdict_of(protocol) == "data-race"
        assert steps_of(protocol) == [(0, "load"), (0, "store"), (1, "load")]

    def test_a_marked_field_has_none(self) -> None:
        assert verdict_of(Protocol(flows(adding("x"), adding("x")), marked=("x",))) == CLEAN

    def test_the_nearest_race_is_shown_even_if_the_reduced_walk_meets_another_first(self) -> None:
        def long_way(*_: Any) -> Any:
            for _ in range(3):
                yield "store", "mine", 1
            yield "store", "x", 1

        def short_way(*_: Any) -> Any:
            yield "store", "y", 1
            yield "load", "x"

        protocol = Protocol(flows(long_way, short_way, storing("y")), values=("x", "y", "mine"))

        assert by_brute_force(protocol).race == 0
        assert steps_of(protocol) == [(1, "store"), (2, "store")]

    def test_reading_beside_a_list_change_is_one(self) -> None:
        def insert(pointer: Any) -> Any:
            yield "add", "list", pointer

        def look(_: Any) -> Any:
            yield "empty", "list"

        protocol = Protocol(flows(insert, look), heads=("list",), setup=an_object)

        assert by_brute_force(protocol).race == 0
        assert verdict_of(protocol) == "data-race"
