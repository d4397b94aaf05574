"""What goes wrong in small protocols, and how near; each held against brute force."""

from __future__ import annotations

from typing import Any

import pytest
from agreement import LIMITS, by_brute_force
from bodies import (
    a_counted_object,
    an_object,
    dropping,
    freeing,
    nothing,
    steps_of,
    storing,
    taking,
    verdict_of,
)
from protocols import Bench, Protocol, Turn, flows

from rmaplab.checker.check import check
from rmaplab.checker.options import NONE
from rmaplab.checker.verdict import CLEAN
from rmaplab.machine import BUG_ON


class TestDeadlock:
    def test_two_locks_in_opposite_orders(self) -> None:
        protocol = Protocol(flows(taking("a", "b"), taking("b", "a")), locks=("a", "b"))
        answer = by_brute_force(protocol)

        assert answer.nearest == {"deadlock": 2}
        assert verdict_of(protocol) == "deadlock"
        # Two steps, then what both wait for.
        assert steps_of(protocol) == [(0, "spin_lock"), (1, "spin_lock")] * 2

    def test_two_locks_in_one_order_are_fine(self) -> None:
        protocol = Protocol(flows(taking("a", "b"), taking("a", "b")), locks=("a", "b"))

        assert by_brute_force(protocol).nearest == {}
        assert verdict_of(protocol) == CLEAN

    def test_three_locks_in_a_ring_need_three_steps(self) -> None:
        protocol = Protocol(
            flows(taking("a", "b"), taking("b", "c"), taking("c", "a")), locks=("a", "b", "c")
        )

        assert by_brute_force(protocol).nearest == {"deadlock": 3}
        assert len(steps_of(protocol)) == 6

    def test_taking_ones_own_lock_again(self) -> None:
        protocol = Protocol(flows(taking("a", "a")), locks=("a",))

        assert by_brute_force(protocol).nearest == {"deadlock": 2}
        assert verdict_of(protocol) == "deadlock"

    def test_a_trylock_does_not_wait(self) -> None:
        def trying(*_: Any) -> Any:
            yield "lock", "b"
            if (yield "trylock", "a"):
                yield "unlock", "a"
            yield "unlock", "b"

        protocol = Protocol(flows(taking("a", "b"), trying), locks=("a", "b"))

        assert by_brute_force(protocol).nearest == {}

    def test_a_bit_that_nobody_releases_is_waited_for_in_vain(self) -> None:
        def keep(*_: Any) -> Any:
            yield "lock_bit", "b"

        def wait(*_: Any) -> Any:
            yield "wait_bit", "b"

        protocol = Protocol(flows(keep, wait), bits=("b",))

        assert by_brute_force(protocol).nearest == {"deadlock": 1}
        assert verdict_of(protocol) == "deadlock"

    def test_a_wait_ends_when_another_releases_the_bit(self) -> None:
        def hold() -> Any:
            yield "lock_bit", "b"

        def release(*_: Any) -> Any:
            yield "store", "x", 1
            yield "unlock_bit", "b"

        def wait(*_: Any) -> Any:
            yield "wait_bit", "b"
            yield "load", "x"

        protocol = Protocol(flows(release, wait), bits=("b",), values=("x",), setup=hold)
        answer = by_brute_force(protocol)

        assert (answer.states, answer.race) == (5, None)
        assert verdict_of(protocol) == CLEAN

    def test_readers_of_a_semaphore_share_and_writers_do_not(self) -> None:
        def read(*_: Any) -> Any:
            yield "down_read", "s"
            yield "load", "x"
            yield "up_read", "s"

        def write(*_: Any) -> Any:
            yield "down_write", "s"
            yield "store", "x", 1
            yield "up_write", "s"

        protocol = Protocol(flows(read, read, write), sems=("s",), values=("x",))

        assert by_brute_force(protocol).race is None
        assert verdict_of(protocol) == CLEAN


class TestObjects:
    def test_the_last_of_two_references_frees(self) -> None:
        protocol = Protocol(flows(dropping, dropping), setup=a_counted_object, no_leak=True)

        assert by_brute_force(protocol).nearest == {}
        assert verdict_of(protocol) == CLEAN

    def test_one_reference_too_many_dropped_uses_what_is_freed(self) -> None:
        protocol = Protocol(flows(dropping, dropping, dropping), setup=a_counted_object)
        answer = by_brute_force(protocol)

        # Two drops, then a third; the free may come before it.
        assert answer.nearest == {"refcount-underflow": 3, "use-after-free": 4}
        assert verdict_of(protocol) == "refcount-underflow"
        assert steps_of(protocol) == [(0, "atomic_dec_and_test")] + [
            (cpu, "atomic_dec_and_test") for cpu in (1, 2)
        ]

    def test_use_after_free(self) -> None:
        def use(pointer: Any) -> Any:
            yield "lock", "l"
            yield "store", (pointer, "x"), 1
            yield "unlock", "l"

        def free(pointer: Any) -> Any:
            yield "lock", "l"
            yield "free", pointer
            yield "unlock", "l"

        protocol = Protocol(flows(use, free), locks=("l",), setup=an_object)

        # lock, free, its push, unlock; lock, store.
        assert by_brute_force(protocol).nearest == {"use-after-free": 6}
        assert [name for _, name in steps_of(protocol)] == [
            "spin_lock",
            "free",
            "spin_unlock",
            "spin_lock",
            "store",
        ]

    def test_a_second_free(self) -> None:
        protocol = Protocol(flows(freeing, freeing), setup=an_object)

        assert by_brute_force(protocol).nearest == {"double-free": 2}
        assert steps_of(protocol) == [(0, "free"), (1, "free")]

    def test_an_object_left_at_the_end_leaks(self) -> None:
        def forget(*_: Any) -> Any:
            yield ("alloc",)

        protocol = Protocol(flows(forget), no_leak=True)

        assert by_brute_force(protocol).nearest == {"leak": 2}
        assert verdict_of(protocol) == "leak"

    def test_memory_is_reused_on_the_cpu_that_freed_it(self) -> None:
        def swap(pointer: Any) -> Any:
            yield "free", pointer
            yield from an_object()

        protocol = Protocol(flows(swap, nothing), setup=an_object)
        (final,) = by_brute_force(protocol).finals

        assert final == {((0, "life"), 2)}

    def test_an_allocation_fails_where_it_is_told_to(self) -> None:
        def two(*_: Any) -> Any:
            first = yield ("alloc",)
            second = yield ("alloc",)
            assert first is not None
            return second is None

        def failing(number: int) -> Protocol:
            return Protocol(((Turn(two, fail=number),),))

        lives = [len(next(iter(by_brute_force(failing(number)).finals))) for number in (0, 2, 3)]

        assert lives == [2, 1, 2]

    def test_lists_in_objects_are_kept(self) -> None:
        def two() -> Any:
            head = yield ("alloc",)
            item = yield ("alloc",)
            return head, item

        def insert(head: Any, item: Any) -> Any:
            yield "lock", (head, "lock")
            yield "add", (head, "head"), item
            yield "unlock", (head, "lock")

        def remove(head: Any, item: Any) -> Any:
            yield "lock", (head, "lock")
            if not (yield "empty", (head, "head")):
                yield "del", item
            yield "unlock", (head, "lock")

        answer = by_brute_force(Protocol(flows(insert, remove), setup=two))

        assert (len(answer.finals), answer.nearest, answer.race) == (2, {}, None)

    def test_taking_off_a_list_twice_is_a_bug(self) -> None:
        def on_list() -> Any:
            item = yield ("alloc",)
            yield "add", "list", item
            return (item,)

        def remove(item: Any) -> Any:
            yield "del", item

        answer = by_brute_force(Protocol(flows(remove, remove), heads=("list",), setup=on_list))

        # Both look, both take off; or the second one looks later, and finds it on no list.
        assert answer.nearest == {"bug-on": 3}


class TestRcu:
    def readers(self, after: Any) -> Protocol:
        def read(pointer: Any) -> Any:
            yield ("rcu_lock",)
            if (yield "load", "published"):
                yield from after(pointer)
            yield ("rcu_unlock",)

        def free(pointer: Any) -> Any:
            yield "store", "published", 0
            yield "free", pointer

        def publish() -> Any:
            pointer = yield ("alloc",)
            yield "store", "published", 1
            return (pointer,)

        return Protocol(flows(read, free), marked=("published",), setup=publish, rcu=True)

    def test_a_reader_may_lock_what_is_freed_under_it(self) -> None:
        def lock(pointer: Any) -> Any:
            yield "lock", (pointer, "lock")
            yield "unlock", (pointer, "lock")

        protocol = self.readers(lock)

        assert by_brute_force(protocol).nearest == {}
        assert verdict_of(protocol) == CLEAN

    def test_a_reader_must_not_write_what_is_freed_under_it(self) -> None:
        def write(pointer: Any) -> Any:
            yield "store", (pointer, "x"), 1

        # rcu_read_lock, load; the other's store and free; store.
        assert by_brute_force(self.readers(write)).nearest == {"use-after-free": 5}

    def test_without_the_section_looking_is_an_error(self) -> None:
        def look(pointer: Any) -> Any:
            yield "lock", (pointer, "lock")
            yield "unlock", (pointer, "lock")

        protocol = Protocol(flows(look, freeing), setup=an_object, rcu=True)

        assert by_brute_force(protocol).nearest == {"use-after-free": 2}


class TestKernelCode:
    def test_unlocking_what_is_not_held(self) -> None:
        def unlock(*_: Any) -> Any:
            yield "unlock", "l"

        protocol = Protocol(flows(unlock, taking("l")), locks=("l",))

        assert by_brute_force(protocol).nearest == {"bad-unlock": 1}

    def test_bug_on(self) -> None:
        def suspicious(*_: Any) -> Any:
            BUG_ON((yield "load", "x"), "x is set")

        protocol = Protocol(flows(storing("x"), suspicious), marked=("x",))
        violation = check(Bench(protocol).scenario).violation

        assert by_brute_force(protocol).nearest == {"bug-on": 2}
        assert violation is not None and violation.message == "x is set"

    def test_code_that_raises_is_a_bug_with_its_place(self) -> None:
        def broken(*_: Any) -> Any:
            value = yield "load", "x"
            return len(value)

        protocol = Protocol(flows(storing("y"), broken), values=("x", "y"))
        violation = check(Bench(protocol).scenario).violation

        assert by_brute_force(protocol).nearest == {"bug-on": 1}
        assert violation is not None
        place = f"test_violations.py:{broken.__code__.co_firstlineno + 2}"
        assert violation.message == f"TypeError: object of type 'int' has no len() at {place}"
        assert violation.accesses[0].stack[0].source == place

    @pytest.mark.parametrize("column", [0, 1])
    def test_code_may_go_wrong_before_it_touches_anything(self, column: int) -> None:
        def broken(*_: Any) -> Any:
            BUG_ON(True)
            yield

        bodies = [storing("x")]
        bodies.insert(column, broken)
        protocol = Protocol(flows(*bodies), values=("x",))

        assert by_brute_force(protocol).nearest == {"bug-on": 0}
        assert verdict_of(protocol) == "bug-on"
        assert steps_of(protocol) == []

    def test_sleeping_under_a_spinlock(self) -> None:
        def allocate(*_: Any) -> Any:
            yield "lock", "l"
            yield ("alloc",)
            yield "unlock", "l"

        protocol = Protocol(flows(allocate), locks=("l",))

        assert by_brute_force(protocol).nearest == {"sleep-in-atomic": 1}
        assert verdict_of(protocol) == "sleep-in-atomic"

    def test_where_the_code_itself_goes_wrong_the_locks_held_then_are_told(self) -> None:
        def allocate(*_: Any) -> Any:
            yield "lock", "l"
            yield ("alloc",)

        violation = check(Bench(Protocol(flows(allocate), locks=("l",))).scenario).violation

        assert violation is not None
        (access,) = violation.accesses
        assert (access.action, access.object, access.locks) == ("", "", ("g.l",))
        assert access.taken_at[0].function == "do"
        assert "preempt_count: 1, RCU nest depth: 0" in violation.message

    @pytest.mark.parametrize("op", [("lock", "l"), ("down_read", "s"), ("rcu_lock",)])
    def test_returning_with_a_lock_is_a_bad_unlock(self, op: Any) -> None:
        def forget(*_: Any) -> Any:
            yield op

        protocol = Protocol(flows(forget), locks=("l",), sems=("s",))

        assert by_brute_force(protocol).nearest == {"bad-unlock": 1}
        assert verdict_of(protocol) == "bad-unlock"
        assert len(steps_of(protocol)) == 1

    def test_true_is_not_one_even_in_a_tuple(self) -> None:
        def tell(*_: Any) -> Any:
            (held,) = yield "load", "x"
            yield "store", "y", "truth" if held is True else "number"

        protocol = Protocol(
            (
                (Turn(storing("x", (1,))), Turn(storing("x", (True,)))),
                (Turn(tell),),
            ),
            marked=("x", "y"),
            setup=lambda: storing("x", (2,))(),
        )
        bench = Bench(protocol)
        walker = bench.walker()
        finals = bench.finals(walker, walker.walk(NONE, LIMITS))

        assert {dict(final)["g", "y"] for final in finals} == {"truth", "number"}
