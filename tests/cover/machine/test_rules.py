"""The rule book: pure functions from a value to the next one and a response."""

from __future__ import annotations

import pytest

from rmaplab.machine import KernelStateError, rules
from rmaplab.machine.rules import BLOCKED

FREE = (None, ())


def kind_of(rule, *operands) -> str:
    with pytest.raises(KernelStateError) as caught:
        rule(*operands)
    return caught.value.kind


def test_a_lock_is_taken_by_one_and_blocks_another() -> None:
    assert rules.lock_acquire(None, 1) == (1, None)
    assert rules.lock_acquire(0, 1) is BLOCKED
    assert kind_of(rules.lock_acquire, 1, 1) == "deadlock"


def test_a_try_never_blocks() -> None:
    assert rules.lock_try(None, 1) == (1, True)
    assert rules.lock_try(0, 1) == (0, False)
    assert rules.lock_try(1, 1) == (1, False)


def test_only_the_holder_releases_a_lock() -> None:
    assert rules.lock_release(1, 1) == (None, None)
    assert kind_of(rules.lock_release, 0, 1) == "bad-unlock"
    assert kind_of(rules.lock_release, None, 1) == "bad-unlock"


def test_anybody_releases_a_bit_lock_that_is_held() -> None:
    assert rules.bit_release(0, 1) == (None, None)
    assert kind_of(rules.bit_release, None, 1) == "bad-unlock"


def test_waiting_takes_nothing() -> None:
    assert rules.lock_wait(None, 1) == (None, None)
    assert rules.lock_wait(0, 1) is BLOCKED


def test_readers_share_a_semaphore() -> None:
    assert rules.read_acquire((None, (2,)), 0) == ((None, (0, 2)), None)
    assert rules.read_acquire((None, (0,)), 0) == ((None, (0, 0)), None)
    assert rules.read_release((None, (0, 0, 2)), 0) == ((None, (0, 2)), None)


def test_a_writer_is_alone_with_a_semaphore() -> None:
    assert rules.write_acquire(FREE, 0) == ((0, ()), None)
    assert rules.write_acquire((1, ()), 0) is BLOCKED
    assert rules.write_acquire((None, (1,)), 0) is BLOCKED
    assert rules.read_acquire((1, ()), 0) is BLOCKED
    assert rules.read_try((1, ()), 0) == ((1, ()), False)
    assert rules.read_try(FREE, 0) == ((None, (0,)), True)
    assert rules.write_release((0, ()), 0) == (FREE, None)


@pytest.mark.parametrize(
    ("rule", "held"),
    [
        (rules.read_acquire, (0, ())),
        (rules.write_acquire, (0, ())),
        (rules.write_acquire, (None, (0, 1))),
    ],
)
def test_what_waits_for_oneself_is_a_deadlock(rule, held) -> None:
    assert kind_of(rule, held, 0) == "deadlock"


def test_a_semaphore_is_released_in_the_mode_in_which_it_is_held() -> None:
    assert kind_of(rules.read_release, (0, ()), 0) == "bad-unlock"
    assert kind_of(rules.read_release, (None, (1,)), 0) == "bad-unlock"
    assert kind_of(rules.write_release, (None, (0,)), 0) == "bad-unlock"
    assert kind_of(rules.write_release, (1, ()), 0) == "bad-unlock"


def test_a_count_may_fall_to_its_least_value_and_no_further() -> None:
    assert rules.atomic_add(1, -1, 0) == (0, None)
    assert rules.atomic_add_compare(1, -1, "==", 0, 0) == (0, True)
    assert rules.atomic_add_unless(2, -1, 1, 0) == (1, True)
    assert kind_of(rules.atomic_add, 0, -1, 0) == "refcount-underflow"
    assert kind_of(rules.atomic_add_compare, -1, -1, "<", 0, -1) == "refcount-underflow"
    assert kind_of(rules.atomic_add_unless, 0, -1, 1, 0) == "refcount-underflow"


def test_a_count_that_is_too_low_may_rise() -> None:
    assert rules.atomic_add(-2, 1, 0) == (-1, None)
    assert rules.atomic_add_unless(-2, 1, 0, 0) == (-1, True)


def test_an_atomic_without_a_least_value_is_any_number() -> None:
    assert rules.atomic_add(0, -5, None) == (-5, None)


def test_nothing_is_added_to_the_one_value_excepted() -> None:
    assert rules.atomic_add_unless(0, 1, 0, 0) == (0, False)


def test_a_value_is_exchanged_for_the_one_expected_only() -> None:
    assert rules.atomic_exchange_if(2, 2, 0) == (0, True)
    assert rules.atomic_exchange_if(3, 2, 0) == (3, False)


@pytest.mark.parametrize(
    ("relation", "holds"),
    [("==", False), ("!=", True), ("<", True), ("<=", True), (">", False), (">=", False)],
)
def test_the_relations_are_those_of_c(relation: str, holds: bool) -> None:
    assert rules.RELATIONS[relation](1, 2) is holds


def test_a_list_takes_items_at_both_ends_and_beside_others() -> None:
    assert rules.list_insert(("b",), "a", at_tail=False) == ("a", "b")
    assert rules.list_insert(("b",), "c", at_tail=True) == ("b", "c")
    assert rules.list_insert_beside(("a", "c"), "b", "a", after=True) == ("a", "b", "c")
    assert rules.list_insert_beside(("a", "c"), "b", "c", after=False) == ("a", "b", "c")


def test_only_what_is_on_a_list_is_taken_off() -> None:
    assert rules.list_remove(("a", "b"), "a") == ("b",)
    assert kind_of(rules.list_remove, ("a",), "b") == "bug-on"


def test_nothing_comes_after_the_last_or_after_a_stranger() -> None:
    assert rules.list_after(("a", "b"), "a") == "b"
    assert rules.list_after(("a", "b"), "b") is None
    assert rules.list_after(("a", "b"), "c") is None


def test_each_life_has_the_next_generation() -> None:
    assert rules.life_begin(0) == (1, 1)
    assert rules.life_end(1, 1) == (-1, None)
    assert rules.life_begin(-1) == (2, 2)


def test_only_the_present_life_can_be_ended() -> None:
    assert kind_of(rules.life_end, -1, 1) == "double-free"
    assert kind_of(rules.life_end, 2, 1) == "double-free"


def test_what_blocks_says_so() -> None:
    assert repr(BLOCKED) == "BLOCKED"
