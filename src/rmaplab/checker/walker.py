"""The walk over all states, breadth first, in plain Python."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from rmaplab.checker.findings import Cause, Finding, cause_of
from rmaplab.checker.options import Limits, Reduction
from rmaplab.checker.races import Races
from rmaplab.checker.reduction.partial_order import Futures, Group, Persistent
from rmaplab.checker.tables import Tables, WidthExceededError
from rmaplab.checker.tries import Node
from rmaplab.machine.faults import KernelStateError

#: Local states of a flow that a state, a string with a character for each flow, has room for.
LOCAL_STATES = 1_000_000

#: Steps between two looks at the limits.
LOOK_EVERY = 5_000

#: Steps in a row after which a state is kept in any case.
KEEP_EVERY = 500


@dataclass
class Walk:
    """What one walk gave; `findings` are in the order in which they were met."""

    states: int = 0
    transitions: int = 0
    depth: int = 0
    findings: dict[Cause, Finding] = field(default_factory=dict)
    limit: str = ""
    terminals: set[str] = field(default_factory=set)

    @property
    def finding(self) -> Finding | None:
        """The first that is no race: the kernel does not go on after it."""
        return next((each for each in self.findings.values() if not each.is_race), None)

    @property
    def race(self) -> Finding | None:
        """The first data race."""
        return next((each for each in self.findings.values() if each.is_race), None)


class Way(NamedTuple):
    """How a state was reached: from a kept state, by these columns, a character each."""

    state: str
    columns: str


class Head(NamedTuple):
    """Where to go on: a kept state, and the one flow to let go; None lets the walk choose."""

    state: str
    column: int | None


#: Told now and then: states, transitions, frontier, depth.
Progress = Callable[[int, int, int, int], None]

#: Asked after each new finding: whether the walk may end.
Enough = Callable[[Walk], bool]


def at_first(walk: Walk) -> bool:
    """Enough is one finding that is no race."""
    return walk.finding is not None


def never(walk: Walk) -> bool:
    """Every cause is wanted."""
    return False


class Walker:
    """Walks from the start, level by level, as often as asked; what the tables learn stays."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.futures = Futures(tables.tries)

    def walk(
        self,
        reductions: frozenset[Reduction],
        limits: Limits,
        progress: Progress | None = None,
        enough: Enough = at_first,
    ) -> Walk:
        """Walk once from the start, until `enough` or a limit."""
        while True:
            try:
                return _Search(self, reductions, limits, progress, enough).run()
            except WidthExceededError:
                continue


class _Search:
    """One walk: its frontier, and where each kept state was first reached from."""

    def __init__(
        self,
        walker: Walker,
        reductions: frozenset[Reduction],
        limits: Limits,
        progress: Progress | None,
        enough: Enough,
    ) -> None:
        self.tables = walker.tables
        self.limits = limits
        self.progress = progress
        self.enough = enough
        self.ended = False
        self.result = Walk()
        self.end = time.monotonic() + limits.seconds
        self.next_look = LOOK_EVERY
        self.origin: dict[str, Way | None] = {}
        self.persistent: Persistent[Head] | None = None
        if Reduction.PARTIAL_ORDER in reductions:
            self.persistent = Persistent(walker.futures, Reduction.LAST_ACCESS in reductions)
        #: How many states in a row are not kept.
        self.unkept = KEEP_EVERY if Reduction.UNSTORED in reductions else 1
        self.races = Races()
        self._causes: dict[tuple[KernelStateError, tuple[Node, ...]], Cause] = {}

    def run(self) -> Walk:
        """Level by level; then again from where other flows turn out to matter."""
        start = self.tables.start()
        self.origin = {start: None}
        level = [Head(start, None)]
        while level:
            self._levels(level)
            level = []
            if self.persistent is not None and not self.ended:
                level = self.persistent.no_longer()
        self.result.states = len(self.origin)
        return self.result

    def _levels(self, level: list[Head]) -> None:
        while level and not self.ended:
            following: list[Head] = []
            for head in level:
                self._expand(head, following)
                if self.ended:
                    break
                if self.result.transitions >= self.next_look:
                    self._look_at_limits(following)
            self.result.depth += 1
            self._look_at_limits(following)
            level = following

    def _look_at_limits(self, following: list[Head]) -> None:
        limit = ""
        if len(self.origin) > self.limits.states:
            limit = f"more than {self.limits.states} states"
        if time.monotonic() > self.end:
            limit = f"more than {self.limits.seconds:.0f} s"
        if any(len(nodes) > LOCAL_STATES for nodes in self.tables.tries.nodes):
            limit = f"more than {LOCAL_STATES} local states of one CPU"
        if limit:
            self.result.limit, self.ended = limit, True
        self.next_look = self.result.transitions + LOOK_EVERY
        if self.progress is not None:
            result = self.result
            self.progress(len(self.origin), result.transitions, len(following), result.depth)

    # Steps

    def _expand(self, head: Head, following: list[Head]) -> None:
        """Let flows go from a kept state: one, some, or all of them; or that of the head."""
        state, column = head
        if column is not None:
            self._try(state, self.tables.node(state, column), following)
            return
        nodes = tuple(self.tables.runnable(state))
        way = Way(state, "")
        if not nodes:
            self._finish(state, way)
        elif not self._wrong_at_once(nodes, way):
            gone = self._alone(state, nodes, way, head)
            if gone is not None:
                self._follow(gone, head, following)
            elif not self._some(state, nodes, following):
                moved = [self._try(state, node, following) for node in nodes]
                if moved == [None] * len(nodes):
                    self._deadlock(nodes, way)

    def _some(self, state: str, nodes: Group, following: list[Head]) -> bool:
        """Let the flows of a persistent set go from a kept state, if that is enough."""
        for group in self._sets(nodes):
            if len(group) == 1:
                continue
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
        way = Way(state, chr(node.column))
        if fault is not None:
            child = self.tables.node(after, node.column)
            self._found(fault, (child if child.fault is fault else node,), way, pending=False)
            return False
        self._follow((after, way), Head(state, node.column), following)
        return True

    def _follow(self, reached: tuple[str, Way], head: Head, following: list[Head]) -> None:
        """From a state just reached, go on while one flow goes alone; keep the state at the end."""
        state, way = reached
        while state not in self.origin:
            gone = None
            if len(way.columns) < self.unkept:
                gone = self._alone(state, tuple(self.tables.runnable(state)), way, head)
            if gone is None:
                self.origin[state] = way
                following.append(Head(state, None))
                return
            state, way = gone

    def _alone(self, state: str, nodes: Group, way: Way, head: Head) -> tuple[str, Way] | None:
        """Let one flow go, if there is one that may go alone.

        Not if it waits or goes wrong, or its loop begins anew: else the others would never go,
        from there.
        """
        if self.persistent is None or not self.persistent.knows(nodes):
            self._look_for_races(nodes, way)
        for group in self._sets(nodes):
            if len(group) > 1:
                break
            column = group[0].column
            stepped = self.tables.step(state, column)
            if stepped is not None and stepped[1] is None and not group[0].turns_back:
                self.result.transitions += 1
                if self.persistent is not None and len(nodes) > 1:
                    self.persistent.note(nodes, group, head)
                return stepped[0], Way(way.state, way.columns + chr(column))
        return None

    def _sets(self, nodes: Group) -> tuple[Group, ...]:
        if len(nodes) > 1:
            return self.persistent.sets(nodes) if self.persistent is not None else ()
        return tuple((node,) for node in nodes if node.action and not node.turns_back)

    # Findings

    def _found(
        self,
        fault: KernelStateError,
        nodes: tuple[Node, ...],
        way: Way,
        pending: bool = True,
    ) -> None:
        """Keep a finding if it is the first of its cause.

        The flows concerned have yet to do it if it is `pending`, else the way ends with it.
        """
        cause = self._causes.get((fault, nodes))
        if cause is None:
            cause = self._causes[fault, nodes] = cause_of(fault, nodes)
        if cause in self.result.findings:
            return
        columns = tuple(node.column for node in nodes) if pending else ()
        finding = Finding(fault, self._path(way), columns, at_end=not nodes)
        self.result.findings[cause] = finding
        self.ended = self.ended or self.enough(self.result)

    def _path(self, way: Way) -> tuple[int, ...]:
        """All columns from the start."""
        parts = []
        last: Way | None = way
        while last is not None:
            parts.append(last.columns)
            last = self.origin[last.state]
        return tuple(map(ord, "".join(reversed(parts))))

    def _finish(self, state: str, way: Way) -> None:
        self.result.terminals.add(state[self.tables.columns :])
        fault = self.tables.check_end(state)
        if fault is not None:
            self._found(fault, (), way)

    def _wrong_at_once(self, nodes: Group, way: Way) -> bool:
        """Whether a flow goes wrong before it touches anything: its first call may."""
        wrong = [node for node in nodes if node.fault is not None]
        for node in wrong:
            assert node.fault is not None
            self._found(node.fault, (node,), way)
        return bool(wrong)

    def _deadlock(self, nodes: Group, way: Way) -> None:
        waits = [f"CPU{node.action.cpu} for {node.action.label()}" for node in nodes if node.action]
        first = nodes[0].action
        assert first is not None
        message = "waiting for ever: " + ", ".join(waits)
        fault = KernelStateError("deadlock", message, first.ref, first.field)
        self._found(fault, nodes, way)

    def _look_for_races(self, nodes: Group, way: Way) -> None:
        for pair in self.races.found(nodes):
            action = pair[0].action
            assert action is not None
            message = f"unlocked accesses to {action.label()}"
            fault = KernelStateError("data-race", message, action.ref, action.field)
            self._found(fault, pair, way)
