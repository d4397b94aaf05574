"""Of states that are images of each other one is kept; flows are equal only if they prove so."""

from __future__ import annotations

from math import comb
from typing import Any, ClassVar

import pytest
from agreement import by_brute_force, ends, walker_of
from protocols import Bench, Protocol, flows

from rmaplab.checker import protocol as own
from rmaplab.checker.options import EVERY, NONE, Limits, Options, Reduction
from rmaplab.checker.protocol import check_protocol
from rmaplab.checker.reduction.symmetry import Symmetry
from rmaplab.checker.trace import replay
from rmaplab.litmus.reader import read_text
from rmaplab.machine import KernelStateError, Struct, atomic_set, kmem_cache_alloc, refcount, value

ALONE = frozenset({Reduction.SYMMETRY})
ALL_BUT_SYMMETRY = EVERY - ALONE


def objects(count: int, listed: bool = False) -> Any:
    def setup() -> Any:
        items = []
        for _ in range(count):
            items.append((yield ("alloc",)))
            if listed:
                yield "add", "list", items[-1]
        return tuple(items)

    return setup


def storing_thrice(number: int) -> Any:
    def body(*items: Any) -> Any:
        for each in (1, 2, 3):
            yield "store", (items[number], "x"), each

    return body


def leaving_the_list(number: int) -> Any:
    def body(*items: Any) -> Any:
        yield "del", items[number]

    return body


def looking_at_the_first(*_: Any) -> Any:
    yield "first", "list"


def waiting_to_differ(number: int) -> Any:
    def body(*items: Any) -> Any:
        if (yield "load", "open"):
            yield "store", (items[number], "x"), number

    return body


def opening(*_: Any) -> Any:
    yield "store", "open", 1


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6])
def test_flows_in_the_same_local_state_are_not_told_apart(count: int) -> None:
    """Each is in one of four local states: how many are in each, instead of which."""
    protocol = Protocol(flows(*map(storing_thrice, range(count))), setup=objects(count))

    assert Bench(protocol).walk(NONE).states == 4**count
    assert Bench(protocol).walk(ALONE).states == comb(count + 3, 3)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_order_of_a_list_that_nobody_looks_at_does_not_matter(count: int) -> None:
    """Leaving a list is two accesses."""
    leaving = [leaving_the_list(number) for number in range(count)]
    protocol = Protocol(flows(*leaving), heads=("list",), setup=objects(count, listed=True))

    assert Bench(protocol).walk(NONE).states == 3**count
    assert Bench(protocol).walk(ALONE).states == comb(count + 2, 2)


def test_the_order_of_a_list_matters_as_soon_as_somebody_looks_at_it() -> None:
    leaving = [leaving_the_list(number) for number in range(2)]
    protocol = Protocol(
        flows(*leaving, looking_at_the_first), heads=("list",), setup=objects(2, listed=True)
    )

    full, reduced = Bench(protocol).walk(NONE), Bench(protocol).walk(ALONE)
    assert (reduced.states, ends(reduced)) == (full.states, ends(full))


def test_the_order_of_a_list_matters_at_the_end_if_two_are_still_on_it() -> None:
    protocol = Protocol(
        flows(*map(storing_twice_listed, range(2))), heads=("list",), setup=objects(2, listed=True)
    )

    full, reduced = Bench(protocol).walk(NONE), Bench(protocol).walk(ALONE)
    assert (reduced.states, ends(reduced)) == (full.states, ends(full))


def storing_twice_listed(number: int) -> Any:
    def body(*items: Any) -> Any:
        yield "del", items[number]
        yield "add", "list", items[number]

    return body


def test_flows_that_differ_only_once_another_has_gone_are_found_to_differ() -> None:
    """Alone, each ends at once."""
    protocol = Protocol(
        flows(waiting_to_differ(0), waiting_to_differ(1), opening),
        marked=("open",),
        setup=objects(2),
    )

    answer = by_brute_force(protocol)
    assert Bench(protocol).walk(ALONE).states == answer.states


class Item(Struct):
    count = refcount(0)


class Shelf(Struct):
    first = refcount(0)
    item = value(None, marked="on purpose")


class Choosy(own.Protocol):
    """Equal flows; only the end tells them apart."""

    cpus: ClassVar[tuple[str, ...]] = ("put", "put")

    def setup(self) -> None:
        self.items = self.kmem_cache_create("item", Item)
        self.shelf = self.static(Shelf, "shelf")
        atomic_set(self.shelf.first, 2)

    def put(self) -> None:
        item = kmem_cache_alloc(self.items)
        if self.shelf.first.add_unless(-1, 1):
            self.shelf.item = item

    def check_end(self) -> None:
        if self.items.index(self.shelf.item) != 0:
            raise KernelStateError("bug-on", "the wrong one")


def test_an_end_must_be_as_right_or_wrong_as_its_images() -> None:
    assert check_protocol(Choosy, Options(reductions=ALONE)).verdict == "bug-on"


def test_it_would_be_missed_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Symmetry, "_wrong", lambda *_: None)

    assert check_protocol(Choosy, Options(reductions=ALONE)).verdict == "clean"


# The kernel

CHILDREN = "BCD"


def exits(children: int) -> str:
    """A parent and its children, which exit at once."""
    names = CHILDREN[:children]
    forks = [f"    A: fork {name}" for name in names]
    flows = [f"CPU{cpu}\n    {name}: exit" for cpu, name in enumerate(f"A{names}")]
    setup = ["setup", "    A: mmap 0", "    A: write 0 = 1", *forks]
    return "\n".join(
        ["litmus exits", '"""All exit."""', *setup, *flows, "expect", "    * clean", ""]
    )


def walks(count: int) -> str:
    """Some look at the mappings of a page, while one of two that have it exits."""
    setup = ["setup", "    A: mmap 0", "    A: write 0 = 1", "    A: fork B"]
    flows = ["CPU0", "    B: exit", *(f"CPU{cpu + 1}\n    A: walk 0" for cpu in range(count))]
    last = ["finally", "    A: exit", "expect", "    * clean", ""]
    return "\n".join(["litmus walks", '"""They walk."""', *setup, *flows, *last])


@pytest.mark.parametrize(
    ("text", "kernel", "without", "states"),
    [
        (exits(2), "76545066c852", 323, 173),
        (exits(3), "76545066c852", 1601, 386),
        (walks(2), "76545066c852", 443, 233),
        (walks(3), "76545066c852", 3676, 767),
    ],
)
def test_equal_children_and_equal_walkers_of_a_kernel(
    text: str, kernel: str, without: int, states: int
) -> None:
    """The numbers are those of the walks; that they end alike is what is checked."""
    walker = walker_of(read_text(text), kernel)
    reduced = walker_of(read_text(text), kernel).walk(EVERY, Limits())
    other = walker.walk(ALL_BUT_SYMMETRY, Limits())
    again = walker.walk(EVERY, Limits())

    assert (other.states, reduced.states) == (without, states)
    assert (other.finding, reduced.finding) == (None, None)
    assert (other.race is None) == (reduced.race is None)
    assert ends(other) == ends(again)


def test_a_way_to_a_violation_is_one_execution() -> None:
    walker = walker_of(read_text(exits(2)), "seed-v2")
    finding = walker.walk(EVERY, Limits()).finding

    assert finding is not None
    seen = replay(walker.tables, finding.path)
    assert seen is not None and seen.fault is not None
    assert seen.fault.kind == finding.fault.kind == "refcount-underflow"
