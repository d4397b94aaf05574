"""What is told about a violation: its object's life, who held which reference, from where."""

from __future__ import annotations

from typing import Any

from protocols import Bench, Protocol, flows

from rmaplab.checker.check import check
from rmaplab.checker.verdict import Violation
from rmaplab.machine import BUG_ON, KernelStateError


def violation_of(bench: Bench, kind: str) -> Violation:
    violation = check(bench.scenario).violation
    assert violation is not None and violation.kind == kind
    return violation


def nothing(*_: Any) -> Any:
    return
    yield


def an_object() -> Any:
    return ((yield ("alloc",)),)


def a_second_life() -> Any:
    """The object of the flows has memory that was another's, with a count of its own."""
    first = yield ("alloc",)
    yield "set", (first, "count"), 2
    yield "dec", (first, "count")
    yield "free", first
    second = yield ("alloc",)
    yield "inc", (second, "count")
    return (second,)


def free(pointer: Any) -> Any:
    yield "free", pointer


def drop(pointer: Any) -> Any:
    yield "dec", (pointer, "count")


def lives(violation: Violation) -> list[tuple[str, str, int, str]]:
    return [(event.what, event.object, event.cpu, event.task) for event in violation.life]


def test_a_failure_right_after_an_allocation_is_explained() -> None:
    """The step of an allocation is about no object yet."""

    def fail(pointer: Any) -> Any:
        yield "store", (pointer, "x"), 1
        yield ("alloc",)
        BUG_ON(True)

    violation = violation_of(Bench(Protocol(flows(fail), setup=an_object)), "bug-on")

    assert [step.action for step in violation.trace] == ["store", "alloc"]
    assert (violation.life, violation.ledger) == ((), ())


def test_a_use_after_free_tells_who_allocated_and_who_freed() -> None:
    def use(pointer: Any) -> Any:
        yield "set", (pointer, "count"), 1

    violation = violation_of(Bench(Protocol(flows(use, free), setup=an_object)), "use-after-free")

    assert lives(violation) == [("allocated", "obj#1", 0, "setup"), ("freed", "obj#1", 1, "T1")]
    assert violation.accesses[0].object == "obj#1"


def test_the_second_free_is_not_taken_for_the_first() -> None:
    violation = violation_of(Bench(Protocol(flows(free, free), setup=an_object)), "double-free")

    assert lives(violation) == [("allocated", "obj#1", 0, "setup"), ("freed", "obj#1", 0, "T0")]


def test_an_object_in_reused_memory_was_not_freed_because_the_one_before_it_was() -> None:
    protocol = Protocol(flows(nothing), setup=a_second_life, no_leak=True)

    violation = violation_of(Bench(protocol), "leak")

    assert lives(violation) == [("allocated", "obj#1.2", 0, "setup")]


def test_the_ledger_leaves_out_the_references_on_what_was_there_before() -> None:
    protocol = Protocol(flows(drop, drop), setup=a_second_life)

    (entry,) = violation_of(Bench(protocol), "refcount-underflow").ledger

    assert (entry.object, entry.field, entry.final) == ("obj#1.2", "count", -1)
    assert [(one.task, one.before, one.after) for one in entry.taken] == [("setup", 0, 1)]
    assert [(one.task, one.before, one.after) for one in entry.dropped] == [
        ("T0", 1, 0),
        ("T1", 0, -1),
    ]


def test_the_last_object_touched_is_not_blamed_for_a_wrong_end() -> None:
    bench = Bench(Protocol(flows(drop), setup=a_second_life))

    def check_end() -> None:
        raise KernelStateError("wrong-data", "somewhere")

    bench.scenario.check_end = check_end

    violation = violation_of(bench, "wrong-data")

    assert len(violation.trace) == 1
    assert (violation.life, violation.ledger) == ((), ())
