"""What a walk could have shown: a kind is possible where what it is about happens."""

from __future__ import annotations

from typing import Any

import pytest
from bodies import a_counted_object, adding, an_object, dropping, freeing, storing, taking
from protocols import Bench, Protocol, Turn, flows

from rmaplab.checker.check import check
from rmaplab.checker.verdict import Witness


def witness_of(protocol: Protocol) -> Witness:
    seen = check(Bench(protocol).scenario).witness
    assert seen is not None
    return seen


def reading(name: str) -> Any:
    def body(*_: Any) -> Any:
        yield "load", name

    return body


class TestMeeting:
    def test_two_cpus_on_two_fields_never_meet(self) -> None:
        seen = witness_of(Protocol(flows(storing("x"), storing("y")), values=("x", "y")))

        assert not seen.met
        assert "data-race" not in seen.possible

    def test_two_that_only_read_do_not_meet(self) -> None:
        assert not witness_of(Protocol(flows(reading("x"), reading("x")), values=("x",))).met

    def test_a_reader_and_a_writer_do_and_may_race(self) -> None:
        seen = witness_of(Protocol(flows(reading("x"), storing("x")), values=("x",)))

        assert seen.met
        assert "data-race" in seen.possible

    def test_a_race_is_possible_on_a_field_that_a_lock_guards(self) -> None:
        protocol = Protocol(flows(adding("x", "l"), adding("x", "l")), values=("x",), locks=("l",))

        assert "data-race" in witness_of(protocol).possible

    def test_on_marked_fields_alone_no_race_is_possible(self) -> None:
        seen = witness_of(Protocol(flows(reading("x"), storing("x")), marked=("x",)))

        assert seen.met
        assert "data-race" not in seen.possible

    def test_one_cpu_need_not_meet_anybody(self) -> None:
        assert witness_of(Protocol(flows(storing("x")), values=("x",))).met

    def test_who_begins_when_all_have_finished_meets_nobody(self) -> None:
        protocol = Protocol(
            flows(storing("x"), storing("y"), storing("x")),
            values=("x", "y"),
            last=frozenset({2}),
        )

        assert not witness_of(protocol).met


@pytest.mark.parametrize(
    ("protocol", "possible"),
    [
        (Protocol(flows(storing("x")), values=("x",)), set()),
        (
            Protocol(flows(freeing), setup=an_object),
            {"use-after-free", "double-free", "leak"},
        ),
        (Protocol(flows(dropping), setup=a_counted_object), {"refcount-underflow"}),
        (
            Protocol(flows(taking("a")), locks=("a",)),
            {"deadlock", "bad-unlock", "sleep-in-atomic"},
        ),
        (
            Protocol(flows(taking("a", "b")), locks=("a", "b")),
            {"deadlock", "bad-unlock", "sleep-in-atomic", "lock-order"},
        ),
        (Protocol(flows(taking()), values=("x",)), set()),
    ],
    ids=["store", "free", "drop", "lock", "nested locks", "nothing"],
)
def test_a_kind_is_possible_where_its_matter_happens(
    protocol: Protocol, possible: set[str]
) -> None:
    assert set(witness_of(protocol).possible) - {"bug-on"} == possible


def test_what_only_the_set_up_does_makes_nothing_possible() -> None:
    def setup() -> Any:
        pointer = yield ("alloc",)
        yield "free", pointer

    seen = witness_of(Protocol(flows(storing("x")), values=("x",), setup=setup))

    assert "double-free" not in seen.possible


def test_a_call_after_a_lock_of_a_bit_nests_nothing() -> None:
    def body(*_: Any) -> Any:
        yield "lock_bit", "p"
        yield "lock", "a"
        yield "unlock", "a"
        yield "unlock_bit", "p"

    protocol = Protocol(((Turn(body),),), locks=("a",), bits=("p",))

    assert "lock-order" not in witness_of(protocol).possible
