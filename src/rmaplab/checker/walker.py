"""The walk over all states, breadth first, in plain Python."""

from __future__ import annotations

import os
from typing import NamedTuple

from rmaplab.checker.exploration import (
    LOOK_EVERY,
    Enough,
    Exploration,
    Progress,
    Walk,
    Way,
    at_first,
    columns_along,
)
from rmaplab.checker.native.ready import COMPILER
from rmaplab.checker.options import Limits, Native, Reduction
from rmaplab.checker.reduction.partial_order import Futures, Group, Persistent
from rmaplab.checker.reduction.renaming import AsymmetryError
from rmaplab.checker.reduction.symmetry import Symmetry
from rmaplab.checker.tables import Tables, WidthExceededError
from rmaplab.checker.tries import Node

#: How many times as many steps as a full walk has states a reduced walk takes in plain Python:
#: compiled code reduces less.
REDUCED = 20

#: Steps in a row after which a state is kept in any case: fewer are walked again where ways meet.
KEEP_EVERY = 16


class Head(NamedTuple):
    """Where to go on: a kept state, and the one flow to let go; None lets the walk choose."""

    state: str
    column: int | None


class Walker:
    """Walks from the start, level by level, as often as asked; what the tables learn stays."""

    def __init__(self, tables: Tables, native: Native | None = None) -> None:
        self.tables = tables
        self.native = native or Native()
        self.futures = Futures(tables.tries)
        self.symmetry = Symmetry(tables)

    def walk(
        self,
        reductions: frozenset[Reduction],
        limits: Limits,
        progress: Progress | None = None,
        enough: Enough = at_first,
    ) -> Walk:
        """Walk once from the start, until `enough` or a limit.

        A walk that outgrows plain Python begins anew in compiled code, once there is some.
        """
        while True:
            try:
                search = Search(self, reductions, limits, progress, enough)
                if self._has_checkpoint():
                    return self._natively(search)
                walk = search.run()
                return self._natively(search) if search.outgrown else walk
            except (WidthExceededError, AsymmetryError):
                continue

    def _has_checkpoint(self) -> bool:
        return bool(self.native.checkpoint) and os.path.exists(self.native.checkpoint)

    def _natively(self, search: Search) -> Walk:
        from rmaplab.checker.native.search import NativeSearch

        search.origin.clear()
        futures = self.futures if search.persistent is not None else None
        again = NativeSearch(
            self.tables, self.native, search.limits, search.progress, search.enough, futures
        )
        again.end = search.end
        return again.run()


class Search(Exploration):
    """One walk: its frontier, and where each kept state was first reached from."""

    def __init__(
        self,
        walker: Walker,
        reductions: frozenset[Reduction],
        limits: Limits,
        progress: Progress | None,
        enough: Enough,
    ) -> None:
        super().__init__(walker.tables, limits, progress, enough)
        self.native = walker.native
        self.full = not reductions
        self.outgrown = False
        self.next_look = LOOK_EVERY
        self.origin: dict[str, Way | None] = {}
        self.persistent: Persistent[Head] | None = None
        if Reduction.PARTIAL_ORDER in reductions:
            self.persistent = Persistent(walker.futures, Reduction.LAST_ACCESS in reductions)
        #: How many states in a row are not kept.
        self.unkept = KEEP_EVERY if Reduction.UNSTORED in reductions else 1
        self.symmetry = walker.symmetry if Reduction.SYMMETRY in reductions else None

    def run(self) -> Walk:
        """Level by level; then again from where other flows turn out to matter."""
        start = self.tables.start()
        self.origin = {start: None}
        if self.symmetry is not None and not self.symmetry.begin(start):
            self.symmetry = None
        level = [Head(start, None)]
        while level:
            self._levels(level)
            level = []
            if self.symmetry is not None and not self.ended:
                self.symmetry.learn()
            if self.persistent is not None and not self.ended:
                level = self.persistent.no_longer()
        self.result.states = self.stored()
        return self.result

    def stored(self) -> int:
        """How many states are kept."""
        return len(self.origin)

    def _levels(self, level: list[Head]) -> None:
        while level and not self.ended:
            following: list[Head] = []
            for head in level:
                self._expand(head, following)
                if self.ended:
                    break
                if self.result.transitions >= self.next_look:
                    self._look_around(following)
            self.result.depth += 1
            self.expected.level(len(following), self.stored())
            self._look_around(following)
            level = following

    def _look_around(self, following: list[Head]) -> None:
        self.look_at_limits(len(following))
        self.next_look = self.result.transitions + LOOK_EVERY
        if not self.ended and self._is_large() and COMPILER.ready():
            self.outgrown = self.ended = True

    def _is_large(self) -> bool:
        """Whether compiled code is faster, though it begins anew, and knows fewer reductions.

        Or needed in any case: it alone is kept in a file.
        """
        if self.native.checkpoint:
            return True
        start = self.native.start * (self.symmetry.order if self.symmetry is not None else 1)
        if self.full:
            return self.stored() >= start
        return self.result.transitions >= REDUCED * start

    # Steps

    def _expand(self, head: Head, following: list[Head]) -> None:
        """Let flows go from a kept state: one, some, or all of them; or that of the head."""
        state, column = head
        if column is not None:
            self._try(state, self.tables.node(state, column), following)
            return
        nodes = self.tables.runnable(state)
        way = Way(state, "")
        if not nodes:
            self.finish(state, way)
        elif not self.wrong_at_once(nodes, way):
            self.look_for_races(nodes, way)
            gone = self._alone(state, nodes, head)
            if gone is not None:
                self._follow(*gone, head, following)
            elif not self._some(state, nodes, following):
                moved = [self._try(state, node, following) for node in nodes]
                if moved == [None] * len(nodes):
                    self.deadlock(nodes, way)

    def _some(self, state: str, nodes: Group, following: list[Head]) -> bool:
        """Let the flows of a persistent set go from a kept state, if that is enough."""
        for group in self.persistent.sets(nodes) if self.persistent is not None else ():
            moved = [self._try(state, node, following) for node in group]
            if True in moved:
                if False in moved or any(node.turns_back for node in group):
                    return False
                assert self.persistent is not None
                self.persistent.note(nodes, group, Head(state, None))
                return True
        return False

    def _try(self, state: str, node: Node, following: list[Head]) -> bool | None:
        """Let a flow go from a kept state: whether it did well; None if it waits."""
        stepped = self.tables.step(state, node.column)
        if stepped is None:
            return None
        after, fault = stepped
        self.result.transitions += 1
        if fault is not None:
            self.wrong_step(node, after, fault, Way(state, chr(node.column)))
            return False
        self._follow(after, node.column, Head(state, node.column), following)
        return True

    def _follow(self, state: str, column: int, head: Head, following: list[Head]) -> None:
        """From a state just reached, go on while one flow goes alone; keep the state at the end."""
        columns = chr(column)
        while state not in self.origin:
            gone = None
            if len(columns) < self.unkept:
                nodes = self.tables.runnable(state)
                if not self.races.none(self.tables.node(state, column), nodes):
                    self.look_for_races(nodes, Way(head.state, columns))
                gone = self._alone(state, nodes, head)
            if gone is None:
                if self.symmetry is not None and not self.symmetry.is_new(state):
                    return
                self.origin[state] = Way(head.state, columns)
                following.append(Head(state, None))
                return
            state, column = gone
            columns += chr(column)

    def _alone(self, state: str, nodes: Group, head: Head) -> tuple[str, int] | None:
        """Let one flow go, if there is one that may go alone: the state after it, and which.

        Not if it waits or goes wrong, or its loop begins anew: else the others would never go,
        from there.
        """
        persistent = self.persistent
        if persistent is None and len(nodes) > 1:
            return None
        for node in nodes:
            if node.action is None or node.turns_back:
                continue
            if persistent is not None and not persistent.alone(node, nodes):
                continue
            stepped = self.tables.step(state, node.column)
            if stepped is not None and stepped[1] is None and not node.turns_back:
                self.result.transitions += 1
                if persistent is not None and len(nodes) > 1:
                    persistent.note(nodes, (node,), head)
                return stepped[0], node.column
        return None

    def finish(self, state: str, way: Way) -> None:
        """What must hold now, and in the images of the state?"""
        super().finish(state, way)
        if self.symmetry is not None:
            self.result.terminals |= self.symmetry.ends(state)

    def path(self, way: Way) -> tuple[int, ...]:
        """All columns from the start."""
        return columns_along(way, self.origin)
