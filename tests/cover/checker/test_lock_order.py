"""Locks taken in a cycle though no interleaving deadlocks; what lockdep would and would not say."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import pytest
from bodies import taking
from hypothesis import given, settings
from hypothesis import strategies as st
from protocols import Bench, Protocol, Turn, flows

from rmaplab.checker.check import check
from rmaplab.checker.lock_order import class_of
from rmaplab.checker.options import NONE, Options
from rmaplab.checker.verdict import CLEAN, Outcome


def outcome_of(protocol: Protocol) -> Outcome:
    """What the check says, with and without reduction the same."""
    outcome = check(Bench(protocol).scenario)
    full = check(Bench(protocol).scenario, Options(reductions=NONE))
    assert chains(outcome) == chains(full)
    return outcome


def chains(outcome: Outcome) -> list[list[tuple[str, str]]]:
    """Of each violation: (class held, class taken) all along the cycle."""
    return [[(each.held, each.wanted) for each in v.dependencies] for v in outcome.violations]


def in_order(*bodies: Any) -> tuple[tuple[Turn, ...], ...]:
    """All calls on one CPU: nothing can deadlock."""
    return (tuple(Turn(body) for body in bodies),)


def using(*operations: Any) -> Any:
    def body(*_: Any) -> Any:
        for operation in operations:  # noqa: UP028 - a tuple takes no answers
            yield operation

    return body


class TestTwoClasses:
    def test_both_orders_one_after_the_other_are_an_inversion(self) -> None:
        both = in_order(taking("a", "b"), taking("b", "a"))

        outcome = outcome_of(Protocol(both, locks=("a", "b")))

        assert outcome.verdict == "lock-order"
        assert outcome.complete
        assert chains(outcome) == [[("g.b", "g.a"), ("g.a", "g.b")]]

    def test_the_last_dependency_met_closes_the_cycle_and_each_has_its_stacks(self) -> None:
        both = in_order(taking("a", "b"), taking("b", "a"))

        violation = outcome_of(Protocol(both, locks=("a", "b"))).violation

        assert violation is not None
        closing, existing = violation.dependencies
        assert (closing.task, closing.cpu, closing.action) == ("T0", 0, "spin_lock")
        assert (closing.held_lock, closing.wanted_lock) == ("g.b", "g.a")
        assert closing.locks == ("g.b",)
        assert [frame.function for frame in closing.stack] == ["do", "drive"]
        assert [frame.function for frame in existing.held_stack] == ["do", "drive"]

    def test_one_order_is_fine(self) -> None:
        protocol = Protocol(flows(taking("a", "b"), taking("a", "b")), locks=("a", "b"))

        assert outcome_of(protocol).verdict == CLEAN

    def test_a_lock_round_both_does_not_hide_it_from_lockdep(self) -> None:
        protocol = Protocol(
            flows(taking("g", "a", "b"), taking("g", "b", "a")), locks=("g", "a", "b")
        )

        assert outcome_of(protocol).verdict == "lock-order"

    def test_where_it_comes_to_a_deadlock_that_is_told_alone(self) -> None:
        protocol = Protocol(flows(taking("a", "b"), taking("b", "a")), locks=("a", "b"))

        outcome = outcome_of(protocol)

        assert [violation.kind for violation in outcome.violations] == ["deadlock"]

    def test_who_only_waits_behind_a_deadlock_makes_no_second_cause_of_it(self) -> None:
        protocol = Protocol(
            flows(taking("a", "b"), taking("b", "a"), taking("c", "a")), locks=("a", "b", "c")
        )

        (violation,) = outcome_of(protocol).violations
        assert violation.kind == "deadlock"
        assert [access.task for access in violation.accesses] == ["T0", "T1"]

    def test_it_comes_after_what_is_wrong_in_itself(self) -> None:
        racy = Protocol(
            (
                (Turn(taking("a", "b")), Turn(taking("b", "a")), Turn(using(("store", "x", 1)))),
                (Turn(using(("store", "x", 2))),),
            ),
            locks=("a", "b"),
            values=("x",),
        )

        assert [v.kind for v in outcome_of(racy).violations] == ["data-race", "lock-order"]

    def test_the_set_up_counts(self) -> None:
        protocol = Protocol(flows(taking("b", "a")), locks=("a", "b"), setup=taking("a", "b"))

        violation = outcome_of(protocol).violation

        assert violation is not None
        assert violation.kind == "lock-order"
        assert violation.dependencies[0].task == "T0"
        assert violation.dependencies[1].task == "setup"
        assert violation.dependencies[1].held_stack


def test_globals_of_one_name_in_two_structs_are_two_classes() -> None:
    bench = Bench(Protocol(in_order(taking("lock")), locks=("lock",), setup=two_objects))

    locks = {class_of(bench.globals.lock), *(class_of(each.lock) for each in bench.pointers)}

    assert locks == {"g.lock", "&obj->lock"}


class TestLongerCycles:
    def test_three_classes_in_a_ring(self) -> None:
        ring = in_order(taking("a", "b"), taking("b", "c"), taking("c", "a"))

        outcome = outcome_of(Protocol(ring, locks=("a", "b", "c")))

        assert chains(outcome) == [[("g.c", "g.a"), ("g.a", "g.b"), ("g.b", "g.c")]]

    def test_a_dependency_that_closes_two_cycles_is_told_with_the_shorter_one(self) -> None:
        both = in_order(taking("a", "b"), taking("b", "a"), taking("a", "c"), taking("c", "b"))

        outcome = outcome_of(Protocol(both, locks=("a", "b", "c")))

        assert chains(outcome) == [[("g.b", "g.a"), ("g.a", "g.b")]]

    def test_two_inversions_are_two_violations(self) -> None:
        both = in_order(taking("a", "b"), taking("b", "a"), taking("c", "d"), taking("d", "c"))

        outcome = outcome_of(Protocol(both, locks=("a", "b", "c", "d")))

        assert len(outcome.violations) == 2


ORDERS = st.lists(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True), min_size=1, max_size=5
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(orders=ORDERS)
def test_there_is_a_cycle_where_the_closure_of_all_pairs_has_one(orders: list[list[str]]) -> None:
    pairs = {pair for order in orders for pair in combinations([f"g.{name}" for name in order], 2)}
    closure = set(pairs)
    for middle, begin, end in product(["g.a", "g.b", "g.c", "g.d"], repeat=3):
        if (begin, middle) in closure and (middle, end) in closure:
            closure.add((begin, end))

    outcome = outcome_of(
        Protocol(in_order(*(taking(*order) for order in orders)), locks=tuple("abcd"))
    )

    assert bool(outcome.violations) == any(begin == end for begin, end in closure)
    told = [edge for cycle in chains(outcome) for edge in cycle]
    assert set(told) <= pairs
    assert len(told) == len(set(told))
    for cycle in chains(outcome):
        assert [wanted for _, wanted in cycle] == [held for held, _ in cycle[1:] + cycle[:1]]


class TestKindsOfLocks:
    def test_a_trylock_depends_on_nothing(self) -> None:
        trying = using(("lock", "b"), ("trylock", "a"), ("unlock", "a"), ("unlock", "b"))

        protocol = Protocol(in_order(taking("a", "b"), trying), locks=("a", "b"))

        assert outcome_of(protocol).verdict == CLEAN

    def test_others_depend_on_what_a_trylock_took(self) -> None:
        tried = using(("trylock", "b"), ("lock", "a"), ("unlock", "a"), ("unlock", "b"))

        violation = outcome_of(
            Protocol(in_order(taking("a", "b"), tried), locks=("a", "b"))
        ).violation

        assert violation is not None
        assert violation.dependencies[0].held_stack

    def test_lockdep_does_not_see_bit_locks(self) -> None:
        inside = using(("lock_bit", "p"), ("down_read", "s"), ("up_read", "s"), ("unlock_bit", "p"))
        round_it = using(
            ("down_read", "s"), ("lock_bit", "p"), ("unlock_bit", "p"), ("up_read", "s")
        )

        protocol = Protocol(in_order(inside, round_it), sems=("s",), bits=("p",))

        assert outcome_of(protocol).verdict == CLEAN

    @pytest.mark.parametrize("how", ["read", "write"])
    def test_a_reader_counts_as_a_writer(self, how: str) -> None:
        one = using((f"down_{how}", "s"), ("down_read", "t"), ("up_read", "t"), (f"up_{how}", "s"))
        two = using(("down_read", "t"), ("down_read", "s"), ("up_read", "s"), ("up_read", "t"))

        assert outcome_of(Protocol(in_order(one, two), sems=("s", "t"))).verdict == "lock-order"


def two_objects() -> Any:
    return ((yield ("alloc",)), (yield ("alloc",)))


def nested(first: int, second: int, *gate: str) -> Any:
    """Take the locks of two objects, within a global lock if there is one."""

    def body(*pointers: Any) -> Any:
        for lock in gate:
            yield "lock", lock
        for place in (first, second):
            yield "lock", (pointers[place], "lock")
        for place in (second, first):
            yield "unlock", (pointers[place], "lock")
        for lock in gate:
            yield "unlock", lock

    return body


class TestLocksOfOneClass:
    def test_nested_in_one_order_they_are_as_the_kernel_annotates_them(self) -> None:
        protocol = Protocol(in_order(nested(0, 1), nested(0, 1)), setup=two_objects)

        assert outcome_of(protocol).verdict == CLEAN

    def test_both_orders_are_an_inversion(self) -> None:
        protocol = Protocol(in_order(nested(0, 1), nested(1, 0)), setup=two_objects)

        violation = outcome_of(protocol).violation

        assert violation is not None
        assert [(each.held_lock, each.wanted_lock) for each in violation.dependencies] == [
            ("obj#2.lock", "obj#1.lock"), ("obj#1.lock", "obj#2.lock"),
        ]  # fmt: skip
        assert {each.wanted for each in violation.dependencies} == {"&obj->lock"}

    def test_a_lock_round_both_makes_any_order_right(self) -> None:
        protocol = Protocol(
            in_order(nested(0, 1, "g"), nested(1, 0, "g")), locks=("g",), setup=two_objects
        )

        assert outcome_of(protocol).verdict == CLEAN

    def test_a_lock_round_one_of_them_does_not(self) -> None:
        protocol = Protocol(
            in_order(nested(0, 1, "g"), nested(1, 0)), locks=("g",), setup=two_objects
        )

        assert outcome_of(protocol).verdict == "lock-order"
