"""A toy of the patch this project grew from: a root anon_vma and its children, all exit at once."""

from __future__ import annotations

from typing import Any

import pytest
from brute import enumerate_all
from protocols import PARTIAL_ORDER, Bench, Protocol, flows

from rmaplab.checker.check import check
from rmaplab.checker.options import EVERY, NONE
from rmaplab.checker.verdict import CLEAN


def toy(children: int, fixed: bool) -> Protocol:
    """CPU 0 is the parent. The root's list has an entry of each, a child's list has its own."""

    def setup() -> Any:
        root = yield ("alloc",)
        entries = []
        for _ in range(children + 1):
            entry = yield ("alloc",)
            yield "add", (root, "head"), entry
            entries.append(entry)
        yield "set", (root, "count"), children
        own = []
        for _ in range(children):
            child, entry = (yield ("alloc",)), (yield ("alloc",))
            yield "add", (child, "head"), entry
            own.append((child, entry))
        return root, entries, own

    def unlink(anon_vma: Any, entry: Any, root: Any) -> Any:
        yield "lock", (root, "lock")
        yield "del", entry
        empty = yield "empty", (anon_vma, "head")
        empty = empty and (yield "read", (anon_vma, "count")) == 0
        yield "unlock", (root, "lock")
        if empty:
            if not fixed or anon_vma != root:
                yield from drop(root)
            yield "free", anon_vma

    def drop(root: Any) -> Any:
        if (yield "dec_unless_one", (root, "count")):
            return
        yield "lock", (root, "lock")
        last = yield "dec_and_test", (root, "count")
        empty = last and (yield "empty", (root, "head"))
        yield "unlock", (root, "lock")
        if empty:
            yield "free", root

    def exits(number: int) -> Any:
        def body(root: Any, entries: Any, own: Any) -> Any:
            if number:
                child, entry = own[number - 1]
                yield from unlink(child, entry, root)
                yield "free", entry
            yield from unlink(root, entries[number], root)
            yield "free", entries[number]

        return body

    return Protocol(flows(*map(exits, range(children + 1))), setup=setup, no_leak=True)


@pytest.mark.parametrize("children", [1, 2])
def test_the_fixed_one_is_clean_with_as_many_states_as_brute_force_counts(children: int) -> None:
    protocol = toy(children, fixed=True)
    answer = enumerate_all(protocol)
    walk = Bench(protocol).walk(NONE)

    assert (answer.nearest, answer.race) == ({}, None)
    assert (walk.finding, walk.race, walk.limit) == (None, None, "")
    assert (walk.states, walk.transitions) == (answer.states, answer.steps)
    assert check(Bench(protocol).scenario).verdict == CLEAN


@pytest.mark.parametrize("children", [1, 2])
def test_the_mailed_one_underflows_as_near_as_brute_force_finds(children: int) -> None:
    protocol = toy(children, fixed=False)
    answer = enumerate_all(protocol)
    walk = Bench(protocol).walk(NONE)

    assert answer.nearest == {"refcount-underflow": answer.length()}
    assert walk.finding is not None
    assert (walk.finding.fault.kind, len(walk.finding.path)) == (
        "refcount-underflow",
        answer.length(),
    )
    assert check(Bench(protocol).scenario).verdict == "refcount-underflow"


def test_the_underflow_comes_when_all_but_the_last_free_are_done() -> None:
    """A child makes 16 accesses more; the parent has the others."""
    lengths = []
    for children in (1, 2, 3):
        finding = Bench(toy(children, fixed=False)).walk(NONE).finding
        assert finding is not None
        lengths.append(len(finding.path))

    assert lengths == [27, 43, 59]


def test_states_grow_with_the_children_and_less_so_when_reduced() -> None:
    """The full walk's numbers are those of brute force, run once for three children as well."""
    benches = [toy(children, fixed=True) for children in (1, 2, 3)]

    assert [Bench(one).walk(NONE).states for one in benches] == [163, 2893, 39090]
    assert [Bench(one).walk(PARTIAL_ORDER).states for one in benches] == [83, 636, 2948]
    assert [Bench(one).walk(EVERY).states for one in benches] == [9, 55, 199]
