"""What is one bug, and what are two."""

from __future__ import annotations

from typing import Any

import pytest
from bodies import a_counted_object, an_object, freeing, storing
from protocols import Bench, Protocol, Turn, flows

from rmaplab.checker.check import check
from rmaplab.checker.findings import cause_of
from rmaplab.checker.options import EVERY
from rmaplab.checker.tries import Node
from rmaplab.machine import BUG_ON
from rmaplab.machine.faults import KernelStateError


def kinds(protocol: Protocol) -> list[str]:
    """The kind of each cause."""
    return [violation.kind for violation in check(Bench(protocol).scenario).violations]


def at(*functions: str) -> Node:
    """A local state in these functions of kernel code, innermost first."""
    node = Node(0, 0, 0)
    node.stack = tuple((name, "/src/mine.py", 10 + number) for number, name in enumerate(functions))
    return node


def moved(node: Node, lines: int) -> Node:
    """The same functions, some lines further down."""
    other = Node(0, 1, 0)
    other.stack = tuple((name, file, line + lines) for name, file, line in node.stack)
    return other


class Thing:
    """Whose field it is."""


THING = Thing()


def cause(kind: str, *nodes: Node, field: str = "x", subject: Any = THING) -> Any:
    return cause_of(KernelStateError(kind, "told", subject, field), nodes)


class TestCauses:
    def test_one_race_of_two_functions_is_met_at_many_lines_and_fields(self) -> None:
        one = cause("data-race", at("reader"), at("writer"))

        assert one == cause("data-race", moved(at("writer"), 5), at("reader"), field="y")
        assert one != cause("data-race", at("reader"), at("other"))

    def test_a_helper_of_two_callers_is_two(self) -> None:
        one = cause("use-after-free", at("get", "migrate"))

        assert one == cause("use-after-free", moved(at("get", "migrate"), 3), field="y")
        assert one != cause("use-after-free", at("get", "reclaim"))

    def test_counts_of_two_fields_are_two(self) -> None:
        assert cause("refcount-underflow", at("put")) != cause(
            "refcount-underflow", at("put"), field="y"
        )

    def test_two_lines_that_say_bug_are_two(self) -> None:
        assert cause("bug-on", at("f")) != cause("bug-on", moved(at("f"), 1))

    def test_which_of_two_frees_comes_second_is_chance(self) -> None:
        assert cause("double-free", at("free", "exit")) == cause("double-free", at("free", "drop"))

    def test_a_wrong_end_is_told_by_the_struct(self) -> None:
        assert cause("leak") == cause("leak", subject=Thing())
        assert cause("leak") != cause("leak", subject=None)


def test_two_calls_that_return_with_one_lock_are_two() -> None:
    def keeping(*_: Any) -> Any:
        yield ("rcu_lock",)

    assert kinds(Protocol(flows(keeping, keeping))) == ["bad-unlock", "bad-unlock"]


def test_races_on_two_structs_and_what_one_leads_to_are_three() -> None:
    def use(pointer: Any) -> Any:
        yield "store", (pointer, "x"), 1

    protocol = Protocol(
        ((Turn(storing("g")), Turn(use)), (Turn(storing("g")), Turn(freeing))),
        values=("g",),
        setup=an_object,
    )

    # KCSAN, too, takes a free for a write.
    assert kinds(protocol) == ["use-after-free", "data-race", "data-race"]


def test_an_object_freed_twice_and_used_is_two_causes() -> None:
    def use(pointer: Any) -> Any:
        yield "inc", (pointer, "count")

    protocol = Protocol(flows(use, freeing, freeing), setup=a_counted_object)

    assert sorted(kinds(protocol)) == ["double-free", "use-after-free"]


@pytest.mark.parametrize("wrong", ["free", "bug"])
def test_a_fault_does_not_hold_the_walk_that_met_it(wrong: str) -> None:
    """Frames of a traceback, or of an exception that was handled then, would."""

    def body(pointer: Any) -> Any:
        if wrong == "free":
            yield "free", pointer
            yield "free", pointer
        else:
            BUG_ON((yield "load", (pointer, "x")) == 0)

    found = Bench(Protocol(flows(body), setup=an_object)).walk(EVERY).finding

    assert found is not None
    assert found.fault.__traceback__ is None
    assert found.fault.__context__ is None
