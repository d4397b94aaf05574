"""What the reduced walk says is what the full walk says, and what brute force says.

And these tests would see it if the reduction were wrong: it is made wrong here in several ways.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from agreement import (
    by_brute_force,
    hold_native_reduced_walk,
    hold_nearest,
    hold_nearest_to_full_walk,
    hold_reduced_walks,
    hold_to_full_walk,
    walker_of,
)
from bodies import an_object, freeing, storing, taking
from brute import enumerate_all
from hypothesis import HealthCheck, given, settings
from protocols import Protocol, Turn, flows
from random_protocols import equals, lives, protocols

from rmaplab.checker import tries
from rmaplab.checker.native import rules
from rmaplab.checker.native.search import NativeSearch
from rmaplab.checker.nearest import Nearest
from rmaplab.checker.options import Limits
from rmaplab.checker.reduction import held_locks, last_access, partial_order
from rmaplab.checker.reduction.last_access import LastAccess
from rmaplab.checker.reduction.partial_order import Futures, Group, Persistent
from rmaplab.checker.reduction.renaming import Renaming
from rmaplab.checker.reduction.symmetry import Image, Symmetry
from rmaplab.checker.tries import Node
from rmaplab.litmus.shipped import shipped
from rmaplab.machine import BUG_ON


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(protocols())
def test_random_protocols(protocol: Protocol) -> None:
    by_brute_force(protocol)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(lives())
def test_random_lives(protocol: Protocol) -> None:
    by_brute_force(protocol)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(equals())
def test_random_equal_flows(protocol: Protocol) -> None:
    by_brute_force(protocol)


# The shipped collection

NAMES = [litmus.name for litmus in shipped()]


@pytest.mark.parametrize("kernel", ["root-lock", "76545066c852", "v2.6.38"])
@pytest.mark.parametrize("name", NAMES)
def test_shipped_scenarios(name: str, kernel: str) -> None:
    (litmus,) = (litmus for litmus in shipped() if litmus.name == name)
    if not hold_to_full_walk(walker_of(litmus, kernel), Limits(states=20_000)):
        pytest.skip("more than 20,000 states: tests/slow goes on")


@pytest.mark.parametrize("kernel", ["v2.6.34", "76545066c852"])
@pytest.mark.parametrize("name", NAMES)
def test_the_nearest_of_shipped_scenarios(name: str, kernel: str) -> None:
    (litmus,) = (litmus for litmus in shipped() if litmus.name == name)
    if not hold_nearest_to_full_walk(walker_of(litmus, kernel), Limits(states=20_000)):
        pytest.skip("more than 20,000 states: tests/slow goes on")


# Reductions that are wrong


def failing_if_set(name: str) -> Any:
    def body(*_: Any) -> Any:
        BUG_ON((yield "load", name))

    return body


def copying(origin: str, name: str) -> Any:
    def body(*_: Any) -> Any:
        yield "store", name, (yield "load", origin)

    return body


def late(*_: Any) -> Any:
    """That it may yet load x is known only once another has opened the way."""
    if (yield "load", "open"):
        BUG_ON((yield "load", "x") == 0)


def round_and_round(*_: Any) -> Any:
    yield "load", "mine"
    return True


def looking(times: int) -> Any:
    def body(item: Any) -> Any:
        for _ in range(times):
            yield "load", (item, "x")

    return body


def looking_again_if(name: str) -> Any:
    def body(item: Any) -> Any:
        yield "load", (item, "x")
        if (yield "load", name):
            yield "load", (item, "x")

    return body


def keeping_or_freeing(item: Any) -> Any:
    """Who is told that there is more to see can rely on it."""
    if (yield "load", "open"):
        yield "store", "x", 1
    else:
        yield "free", item


def looking_round_a_lock(item: Any) -> Any:
    yield "load", (item, "x")
    yield "lock_bit", "b"
    yield "load", (item, "x")
    yield "unlock_bit", "b"


def freeing_with_a_lock(item: Any) -> Any:
    """Who waits for the lock waits for ever, as the flow then goes round and round."""
    yield "lock_bit", "b"
    yield "free", item


def writing_in_a_section(item: Any) -> Any:
    yield ("rcu_lock",)
    yield "store", "open", 1
    yield "store", (item, "x"), 1
    yield "load", (item, "x")
    yield ("rcu_unlock",)


def looking_in_a_section(item: Any) -> Any:
    yield ("rcu_lock",)
    yield "load", (item, "x")
    yield ("rcu_unlock",)


def freeing_if_open(item: Any) -> Any:
    if (yield "load", "open"):
        yield "free", item


def failing_if_clear_with_a_lock(*_: Any) -> Any:
    yield "lock", "a"
    BUG_ON((yield "load", "x") == 0)
    yield "unlock", "a"


def setting_for_a_while(*_: Any) -> Any:
    yield "lock", "a"
    yield "store", "open", 1
    yield "store", "x", 1
    yield "store", "x", 0
    yield "store", "open", 0
    yield "unlock", "a"


def looking_with_a_lock_or_without(*_: Any) -> Any:
    if (yield "load", "open"):
        BUG_ON((yield "load", "x"))
    else:
        yield "lock", "a"
        yield "load", "x"
        yield "unlock", "a"


def storing_with_a_lock_and_going_on(*_: Any) -> Any:
    yield "lock", "a"
    yield "store", "x", 1
    yield "unlock", "a"
    yield "load", "mine"
    yield "load", "mine"


def failing_if_set_with_a_lock(*_: Any) -> Any:
    yield "lock", "a"
    BUG_ON((yield "load", "x"))


def listed() -> Any:
    item = yield ("alloc",)
    yield "add", "list", item
    return (item,)


def adding_with_a_lock(item: Any) -> Any:
    """It goes wrong, but not where both hold the lock: nowhere."""
    yield "lock", "a"
    yield "add", "list", item
    yield "unlock", "a"


def locked_until_told() -> Any:
    yield "lock_bit", "told"
    yield "lock_bit", "opened"


def telling_who_unlocks(*_: Any) -> Any:
    yield "lock_bit", "b"
    yield "unlock_bit", "told"
    BUG_ON((yield "load", "x"))


def unlocking_when_told(*_: Any) -> Any:
    yield "lock_bit", "told"
    yield "unlock_bit", "b"
    yield "unlock_bit", "opened"


def storing_with_a_bit_lock(*_: Any) -> Any:
    yield "lock_bit", "opened"
    yield "lock_bit", "b"
    yield "store", "x", 1


def two_to_drop() -> Any:
    yield "set", "c", 2
    return (yield ("alloc",)), (yield ("alloc",))


def looking_if_first_and_open(name: str) -> Any:
    def body(*_: Any) -> Any:
        if (yield "dec_unless_one", "c") and (yield "load", "open"):
            yield "load", name

    return body


def opening_and_storing(*_: Any) -> Any:
    yield "store", "open", 1
    yield "store", "x", 1


def telling_if_first(number: int) -> Any:
    def body(*_: Any) -> Any:
        if (yield "dec_unless_one", "c"):
            yield "store", "x", number

    return body


def marking_its_own_if_first(number: int) -> Any:
    def body(*items: Any) -> Any:
        if (yield "dec_unless_one", "c"):
            yield "store", (items[number], "x"), 1

    return body


#: Each loses something as soon as the reduction is too bold.
KNOWN = {
    "two stores": Protocol(flows(storing("x", 1), storing("x", 2)), marked=("x",)),
    "a store and a load": Protocol(flows(failing_if_set("x"), storing("x", 1)), marked=("x",)),
    "a load learnt late": Protocol(
        flows(storing("x", 1), late, storing("open", 1)), marked=("x", "open")
    ),
    "two locks": Protocol(flows(taking("a", "b"), taking("b", "a")), locks=("a", "b")),
    "a loop beside a failure": Protocol(
        ((Turn(round_and_round, repeat=True),), (Turn(storing("x", 1)), Turn(failing_if_set("x")))),
        marked=("x", "mine"),
    ),
    "three in a row": Protocol(
        flows(failing_if_set("x"), copying("y", "x"), storing("y", 1)),
        marked=("x", "y"),
    ),
    "a store without the lock": Protocol(
        flows(storing("x", 1), failing_if_clear_with_a_lock), marked=("x",), locks=("a",)
    ),
    "a look that turns out to be without the lock": Protocol(
        flows(setting_for_a_while, looking_with_a_lock_or_without),
        marked=("x", "open"),
        locks=("a",),
    ),
    "a failure that waits for a lock": Protocol(
        flows(storing_with_a_lock_and_going_on, failing_if_set_with_a_lock),
        marked=("x", "mine"),
        locks=("a",),
    ),
    "what is on the list already": Protocol(
        flows(adding_with_a_lock, adding_with_a_lock), locks=("a",), heads=("list",), setup=listed
    ),
    "a lock that another opens": Protocol(
        flows(telling_who_unlocks, unlocking_when_told, storing_with_a_bit_lock),
        marked=("x",),
        bits=("b", "told", "opened"),
        setup=locked_until_told,
    ),
    "a section and a free": Protocol(
        flows(looking_in_a_section, freeing), setup=an_object, rcu=True
    ),
    "a last look and a free": Protocol(flows(looking(1), freeing), setup=an_object),
    "two looks and a free": Protocol(flows(looking(2), freeing), setup=an_object),
    "a second look if it is kept": Protocol(
        flows(storing("open", 1), keeping_or_freeing, looking_again_if("x")),
        marked=("x", "open"),
        setup=an_object,
    ),
    "a second look that waits for ever": Protocol(
        (
            (Turn(looking_round_a_lock),),
            (Turn(freeing_with_a_lock), Turn(round_and_round, repeat=True)),
        ),
        marked=("mine",),
        bits=("b",),
        setup=an_object,
    ),
    "a second look that RCU allows": Protocol(
        flows(writing_in_a_section, freeing_if_open),
        marked=("open",),
        setup=an_object,
        rcu=True,
    ),
    "one of two that races if it is first": Protocol(
        flows(looking_if_first_and_open("m"), looking_if_first_and_open("x"), opening_and_storing),
        values=("x",),
        marked=("m", "open"),
        counts=("c",),
        setup=two_to_drop,
    ),
    "the first of two tells which it is": Protocol(
        flows(telling_if_first(0), telling_if_first(1)),
        marked=("x",),
        counts=("c",),
        setup=two_to_drop,
    ),
    "the first of two equal ones": Protocol(
        flows(marking_its_own_if_first(0), marking_its_own_if_first(1)),
        counts=("c",),
        setup=two_to_drop,
    ),
}


def losses(hold: Callable[..., None] = hold_reduced_walks) -> set[str]:
    """The known protocols of which a reduced walk loses something."""
    found = set()
    for name, protocol in KNOWN.items():
        try:
            hold(protocol, enumerate_all(protocol))
        except AssertionError:
            found.add(name)
    return found


def test_the_reduction_loses_nothing_known() -> None:
    assert losses() == losses(hold_native_reduced_walk) == losses(hold_nearest) == set()


def always(*_: Any) -> bool:
    return True


def without_writes(reads: int, writes: int, other_reads: int, other_writes: int) -> bool:
    return not writes & other_reads


def without_reads(reads: int, writes: int, other_reads: int, other_writes: int) -> bool:
    return not writes & other_writes


def only_the_next_action(self: Persistent[Any], node: Node, other: Node) -> bool:
    assert node.action is not None
    return other.action is not None and node.action.conflicts(other.action)


def only_the_first(self: Persistent[Any], node: Node, nodes: Any) -> Any:
    """Sets that do not grow by what their own new members depend on."""
    return tuple(each for each in nodes if each is node or self._depends(node, each))


def never_looked_at_again(self: Persistent[Any]) -> list[Any]:
    self.futures.update()
    return []


def all_lives(self: LastAccess, node: Node) -> int:
    assert node.action is not None
    return sum(1 << guard.life.number for guard in node.action.guards)


def of_some_way(self: LastAccess, node: Node) -> bool:
    """The objects that are accessed on some way, not on all."""
    bound = 0
    for child in node.children.values():
        bound |= self._from(node, child)
    changed, node.bound = bound != node.bound, bound
    return changed


def entering_depends_on_nothing(self: Futures, node: Node) -> tuple[int, int]:
    assert node.action is not None
    if node.action.name == "rcu_read_lock":
        return 0, 0
    return node.action.read_mask, node.action.write_mask


def beyond_every_lock(node: Node, other: Node) -> tuple[int, int]:
    reads, writes = other.future_reads, other.future_writes
    for before_reads, before_writes in other.before.values():
        reads, writes = reads & before_reads, writes & before_writes
    return reads, writes


def unnoticed(node: Node, reads: int, writes: int) -> bool:
    held_locks.learn_before(node, reads, writes)
    return False


def nothing(*_: Any) -> None:
    pass


def whatever_they_do(
    self: Symmetry, renaming: Renaming, image: Image, state: str, column: int
) -> None:
    """Pair local states, and do not compare what happened to memory."""
    twin = renaming.columns[column]
    steps = self.tables.step(state, column), self.tables.step(image(state), twin)
    if steps[0] is not None and steps[1] is not None:
        nodes = self.tables.node(steps[0][0], column), self.tables.node(steps[1][0], twin)
        renaming.nodes.setdefault(*nodes)


def of_one_state_only(self: Symmetry, state: str) -> set[str]:
    return {state[self.tables.columns :]}


def never_passes(*_: Any) -> bool:
    return False


@pytest.mark.parametrize(
    ("owner", "name", "wrong", "lost"),
    [
        (
            partial_order,
            "independent",
            always,
            {"two stores", "a store and a load", "a load learnt late", "two locks"},
        ),
        (partial_order, "independent", without_writes, {"two stores", "a store and a load"}),
        (partial_order, "independent", without_reads, {"a store and a load"}),
        (Persistent, "_depends", only_the_next_action, {"a load learnt late"}),
        (Persistent, "_closure", only_the_first, {"three in a row"}),
        (
            Persistent,
            "no_longer",
            never_looked_at_again,
            {"two stores", "a store and a load", "a load learnt late", "two locks"},
        ),
        (
            Node,
            "turns_back",
            property(lambda node: False, lambda node, on: None),
            {"a loop beside a failure"},
        ),
        (
            LastAccess,
            "spared",
            all_lives,
            {"a last look and a free", "a second look if it is kept"},
        ),
        (LastAccess, "learn", of_some_way, {"a second look if it is kept"}),
        (LastAccess, "_may_wait_for_ever", never_passes, {"a second look that waits for ever"}),
        (Futures, "touched", entering_depends_on_nothing, {"a section and a free"}),
        (tries, "_made_progress", always, {"a loop beside a failure"}),
        (partial_order, "future_beside", beyond_every_lock, {"a store without the lock"}),
        (
            partial_order,
            "learn_before",
            unnoticed,
            {"a look that turns out to be without the lock"},
        ),
        (Persistent, "note", nothing, {"a load learnt late", "two locks"}),
        (last_access, "_may_pass", never_passes, {"a second look that RCU allows"}),
        (Renaming, "_hold_action", nothing, {"one of two that races if it is first"}),
        (Symmetry, "_hold", whatever_they_do, {"the first of two tells which it is"}),
        (Symmetry, "ends", of_one_state_only, {"the first of two equal ones"}),
    ],
)
def test_a_wrong_reduction_is_seen(
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    wrong: Callable[..., Any],
    lost: set[str],
) -> None:
    monkeypatch.setattr(owner, name, wrong)

    assert losses() >= lost


def test_a_lock_that_others_release_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_locks, "TAKING", ("spin_lock", "mutex_lock", "lock_page"))
    monkeypatch.setattr(tries, "is_exclusive", always)

    assert losses() >= {"a lock that another opens"}


@pytest.mark.parametrize(
    ("owner", "name", "wrong", "lost"),
    [
        (
            rules,
            "touched",
            lambda node: (0, 0),
            {"two stores", "a store and a load", "a load learnt late", "two locks"},
        ),
        (rules, "touched", lambda node: (0, node.action.write_mask), {"a store and a load"}),
        (
            NativeSearch,
            "_grown",
            property(lambda self: False, lambda self, on: None),
            {"a load learnt late"},
        ),
        (rules, "TURNS_BACK", 0, {"a loop beside a failure"}),
    ],
)
def test_a_wrong_reduction_in_compiled_code_is_seen(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, wrong: Any, lost: set[str]
) -> None:
    monkeypatch.setattr(owner, name, wrong)

    assert losses(hold_native_reduced_walk) >= lost


def put_off_like_any_other(self: Nearest, node: Node, following: Node, others: Group) -> bool:
    return not node.turns_back and self.persistent.alone(node, others)


def put_off_for_ever(self: Nearest, node: Node, following: Node, others: Group) -> bool:
    return not node.turns_back


@pytest.mark.parametrize(
    ("owner", "name", "wrong", "lost"),
    [
        (Nearest, "_can_be_put_off", put_off_like_any_other, {"a failure that waits for a lock"}),
        (Nearest, "_can_be_put_off", put_off_for_ever, {"two locks", "a last look and a free"}),
        (Persistent, "newly_tied", never_looked_at_again, {"two locks", "a section and a free"}),
    ],
)
def test_a_wrong_search_for_the_nearest_is_seen(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, wrong: Any, lost: set[str]
) -> None:
    monkeypatch.setattr(owner, name, wrong)

    assert losses(hold_nearest) >= lost
