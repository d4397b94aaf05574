"""The nearest violation of each cause: the full walk, without steps that no other flow can tell.

A step that is independent of all that the others may yet do is put off until its flow's next one
that is not: on a shortest way it is either needed for that one, or not taken.
So states have fewer neighbours, farther away: as many steps as were put off, and one.
docs/how-the-checker-works.md has the argument; tests/quality compares with the full walk.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from rmaplab.checker.exploration import (
    LOOK_EVERY,
    Enough,
    Exploration,
    Progress,
    Walk,
    Way,
    columns_along,
    never,
    race_of,
)
from rmaplab.checker.findings import Cause, Finding
from rmaplab.checker.options import Limits
from rmaplab.checker.reduction.partial_order import Futures, Group, Persistent
from rmaplab.checker.tables import Tables
from rmaplab.checker.tries import Node
from rmaplab.machine.faults import KernelStateError


class Ready(NamedTuple):
    """A flow at the next step that others can tell, and the columns of those put off until then."""

    node: Node
    columns: str


class Nearest(Exploration):
    """States by their distance from the start, the nearest first."""

    def __init__(
        self,
        tables: Tables,
        futures: Futures,
        limits: Limits,
        progress: Progress | None,
        enough: Enough,
    ) -> None:
        super().__init__(tables, limits, progress, never)
        self.is_enough = enough
        self.persistent: Persistent[str] = Persistent(futures, last_access=False)
        self.distance: dict[str, int] = {}
        self.origin: dict[str, Way | None] = {}
        self._queues: dict[int, list[str]] = defaultdict(list)
        self._next_look = 0
        self._racing: dict[tuple[Node, Node], KernelStateError] = {}

    def run(self) -> Walk:
        """Search; again where more turns out to depend on each other than was known."""
        self.tables.with_room(self._search)
        while self.persistent.newly_tied() and not self.result.limit:
            self.tables.with_room(self._search)
        self.result.states = self.stored()
        return self.result

    def _search(self) -> None:
        start = self.tables.start()
        self.result, self.ended = Walk(), False
        self.distance, self.origin = {start: 0}, {start: None}
        self._queues = defaultdict(list, {0: [start]})
        self._next_look = LOOK_EVERY
        while self._queues and not self.ended:
            self.result.depth = min(self._queues)
            self._expand_all(self._queues.pop(self.result.depth))
            self._end_if_enough()
        self.result.findings = self._settled()

    def _expand_all(self, states: list[str]) -> None:
        for state in states:
            if self.distance[state] == self.result.depth:
                self._expand(state)
            if self.result.transitions >= self._next_look:
                self.look_at_limits(sum(map(len, self._queues.values())))
                self._next_look = self.result.transitions + LOOK_EVERY
            if self.ended:
                break

    def _end_if_enough(self) -> None:
        if self.result.findings and not self.ended:
            self.ended = self.is_enough(Walk(findings=self._settled()))

    def _settled(self) -> dict[Cause, Finding]:
        """The findings that no other can be nearer than."""
        here = self.result.depth
        so_far = here if self.result.limit else min(self._queues, default=sys.maxsize)
        findings = self.result.findings.items()
        return {cause: each for cause, each in findings if len(each.path) <= so_far}

    def stored(self) -> int:
        """How many states are kept."""
        return len(self.distance)

    # Steps

    def _expand(self, state: str) -> None:
        """Let each flow go as far as the next step that others can tell."""
        nodes = self.tables.runnable(state)
        way = Way(state, "")
        if not nodes:
            self.finish(state, way)
        elif not self.wrong_at_once(nodes, way):
            went = [self._go(state, node, nodes) for node in nodes]
            ready = [flow for flow, _ in went if flow is not None]
            if len(ready) > 1:
                self._look_for_races(state, ready)
            if not any(moved for _, moved in went):
                columns = "".join(flow.columns for flow in ready)
                self.deadlock([flow.node for flow in ready], Way(state, columns))

    def _go(self, before: str, node: Node, nodes: Group) -> tuple[Ready | None, bool]:
        """Where a flow is ready for a step that others can tell, and whether it takes one.

        It may end without.
        """
        others = tuple(each for each in nodes if each is not node)
        state, columns = before, ""
        while not node.finished:
            stepped = self.tables.step(state, node.column)
            if stepped is None:
                return Ready(node, columns), False
            self.result.transitions += 1
            after, fault = stepped
            if fault is not None:
                self.wrong_step(node, after, fault, Way(before, columns + chr(node.column)))
                return Ready(node, columns), True
            following = self.tables.node(after, node.column)
            if not self._can_be_put_off(node, following, others):
                self._reach(after, Way(before, columns + chr(node.column)))
                return Ready(node, columns), True
            state, node = after, following
            columns += chr(node.column)
        self._reach(state, Way(before, columns))
        return None, True

    def _can_be_put_off(self, node: Node, following: Node, others: Group) -> bool:
        """Whether no other flow can tell if a step was taken; who waits for a lock can."""
        if node.turns_back or not self.persistent.alone(node, others):
            return False
        return not node.locks or set(node.locks) <= set(following.locks)

    def _reach(self, state: str, way: Way) -> None:
        distance = self.result.depth + len(way.columns)
        known = self.distance.get(state)
        if known is None or distance < known:
            self.distance[state] = distance
            self.origin[state] = way
            self._queues[distance].append(state)

    def _look_for_races(self, state: str, ready: Sequence[Ready]) -> None:
        for place, one in enumerate(ready):
            for other in ready[place + 1 :]:
                if self.races.race(one.node.action, other.node.action):
                    pair = one.node, other.node
                    if pair not in self._racing:
                        self._racing[pair] = race_of(pair)
                    way = Way(state, one.columns + other.columns)
                    self.found(self._racing[pair], pair, way)

    # Findings

    def is_news(self, cause: Cause, way: Way) -> bool:
        """Whether it is nearer than what is known of this cause."""
        known = self.result.findings.get(cause)
        return known is None or self.distance[way.state] + len(way.columns) < len(known.path)

    def path(self, way: Way) -> tuple[int, ...]:
        """All columns from the start."""
        return columns_along(way, self.origin)
