"""Lock order, as lockdep sees it: classes of locks taken in a cycle, though nobody need deadlock.

A class is a field of a struct; what the set-up takes counts too. As in lockdep (kernel/lockdep.c),
a read of a semaphore counts as a write, a trylock depends on nothing, though others depend on it,
and locks in bits of a page are not seen.
Locks of one class are told apart by the object, in place of the kernel's nesting annotations: they
must be taken in one order, unless a further lock lets only one task do so at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rmaplab.checker.frames import Stack, kernel_frames
from rmaplab.checker.program import Scenario, SetupEvent
from rmaplab.checker.tables import Tables
from rmaplab.checker.tries import Node
from rmaplab.checker.verdict import Dependency, Violation
from rmaplab.machine.cells import Action
from rmaplab.machine.handles import BitLock

BLOCKING = frozenset({"spin_lock", "mutex_lock", "down_read", "down_write"})
TRYING = frozenset({"spin_trylock", "mutex_trylock", "down_read_trylock", "down_write_trylock"})
ACQUIRING = BLOCKING | TRYING | {"lock_page", "trylock_page"}


@dataclass(frozen=True)
class Taking:
    """One lock taken while others are held, each with the stack in which it was taken."""

    lock: Any
    held: tuple[tuple[Any, Stack], ...]
    action: str
    cpu: int
    task: str
    stack: Stack


@dataclass(frozen=True)
class _Edge:
    """`taking.lock` was taken while `held` was; `number` is its place in the order of discovery."""

    number: int
    held: Any
    held_stack: Stack
    taking: Taking


#: By class: the classes taken while a lock of it was held, and the first time.
_Graph = dict[str, dict[str, _Edge]]


def class_of(lock: Any) -> str:
    """`&anon_vma->lock`, as lockdep names a class; a global variable is a class of its own."""
    slot = lock.owner.slot
    if not slot.serial:
        return str(lock.label())
    return f"&{slot.cache.name.removesuffix('_struct')}->{lock.field}"


def inversions(tables: Tables) -> Iterator[Violation]:
    """Each cycle among the local states found so far, the shortest first."""
    graph: _Graph = {}
    alike: dict[tuple[Any, Any], list[_Edge]] = {}
    number = 0
    for taking in _takings(tables):
        for held, stack in taking.held:
            number += 1
            edge = _Edge(number, held, stack, taking)
            if class_of(held) != class_of(taking.lock):
                graph.setdefault(class_of(held), {}).setdefault(class_of(taking.lock), edge)
            elif held is not taking.lock:
                alike.setdefault((held, taking.lock), []).append(edge)
    yield from (_violation(cycle) for cycle in (*_both_ways(alike), *_cycles(graph)))


# Who takes what


def _takings(tables: Tables) -> Iterator[Taking]:
    """What the set-up took, then what the local states are about to; each kind once."""
    yield from taken_in_setup(tables.scenario)
    known: set[tuple[Any, ...]] = set()
    for column, nodes in enumerate(tables.tries.nodes):
        calls = tables.scenario.flows[column].calls
        for node in nodes:
            action = node.action
            if action is None or action.name not in BLOCKING or not node.held:
                continue
            key = (action, node.held)
            if key not in known:
                known.add(key)
                held = tuple((lock, taken_at(node, lock)) for lock in _visible(node.held))
                task = calls[node.call].task
                yield Taking(lock_of(action), held, action.name, action.cpu, task, node.stack)


def lock_of(action: Action | SetupEvent) -> Any:
    """The lock that an action takes."""
    ref: Any = action.ref
    return getattr(ref, action.field)


def _visible(held: Iterable[Any]) -> list[Any]:
    return [lock for lock in held if not isinstance(lock, BitLock)]


def taken_at(node: Node, lock: Any) -> Stack:
    """Where the call took a lock that it holds; empty where an earlier call did."""
    before = node.parent
    while before is not None:
        action = before.action
        if action and action.name in ACQUIRING and lock_of(action) is lock:
            return before.stack
        before = before.parent
    return ()


def taken_in_setup(scenario: Scenario) -> Iterator[Taking]:
    """Each lock that the set-up waited for, with those held then."""
    taken: dict[Any, Stack] = {}
    for event in scenario.setup:
        if event.action in BLOCKING:
            held = tuple((lock, taken.get(lock, ())) for lock in _visible(event.held))
            lock = lock_of(event)
            yield Taking(lock, held, event.action, event.cpu, event.task, event.stack)
        if event.action in BLOCKING | TRYING:
            taken[lock_of(event)] = event.stack


# Cycles


def _both_ways(alike: dict[tuple[Any, Any], list[_Edge]]) -> Iterator[tuple[_Edge, ...]]:
    """Two locks of one class in both orders, with no lock round both; once for each class."""
    told: set[str] = set()
    for (held, lock), edges in alike.items():
        for edge in edges:
            for other in alike.get((lock, held), ()):
                if class_of(lock) not in told and not _guarded(edge, other):
                    told.add(class_of(lock))
                    yield edge, other


def _guarded(edge: _Edge, other: _Edge) -> bool:
    """Whether both are taken under a third lock."""
    round_one, round_other = ({lock for lock, _ in each.taking.held} for each in (edge, other))
    return bool(round_one & round_other - {edge.held, other.held})


def _cycles(graph: _Graph) -> Iterator[tuple[_Edge, ...]]:
    """The shortest cycles, no two with a dependency in common."""
    found = []
    for begin, followers in graph.items():
        for edge in followers.values():
            path = _path(graph, class_of(edge.taking.lock), begin)
            if path is not None:
                found.append((edge, *path))
    told: set[_Edge] = set()
    for cycle in sorted(found, key=len):
        if not told & set(cycle):
            told |= set(cycle)
            yield cycle


def _path(graph: _Graph, begin: str, end: str) -> tuple[_Edge, ...] | None:
    """The shortest chain of dependencies from a class to another."""
    todo: deque[tuple[str, tuple[_Edge, ...]]] = deque([(begin, ())])
    seen = {begin}
    while todo:
        name, path = todo.popleft()
        if name == end:
            return path
        for following, edge in graph.get(name, {}).items():
            if following not in seen:
                seen.add(following)
                todo.append((following, (*path, edge)))
    return None


def _violation(cycle: tuple[_Edge, ...]) -> Violation:
    """The cycle from its last dependency on: it is the one that closes it."""
    place = max(range(len(cycle)), key=lambda each: cycle[each].number)
    edges = (*cycle[place:], *cycle[:place])
    dependencies = tuple(_dependency(edge) for edge in edges)
    chain = " -> ".join([*(each.held for each in dependencies), dependencies[0].held])
    return Violation(
        "lock-order", f"locks are taken in a cycle: {chain}", (), (), (), (), dependencies
    )


def _dependency(edge: _Edge) -> Dependency:
    taking = edge.taking
    return Dependency(
        held=class_of(edge.held),
        wanted=class_of(taking.lock),
        held_lock=edge.held.label(),
        wanted_lock=taking.lock.label(),
        held_stack=kernel_frames(edge.held_stack),
        action=taking.action,
        cpu=taking.cpu,
        task=taking.task,
        locks=tuple(lock.label() for lock, _ in taking.held),
        stack=kernel_frames(taking.stack),
    )
