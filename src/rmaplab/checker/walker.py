"""The walk over all states, breadth first, in plain Python."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rmaplab.checker.findings import Cause, Finding, cause_of
from rmaplab.checker.memory import resident
from rmaplab.checker.native.ready import COMPILER
from rmaplab.checker.options import Limits, Native
from rmaplab.checker.races import Races
from rmaplab.checker.reduction import Alone, Futures
from rmaplab.checker.tables import Tables, WidthExceededError
from rmaplab.checker.tries import Node
from rmaplab.machine.faults import KernelStateError

#: Local states of a flow that a state, a string with a character for each flow, has room for.
LOCAL_STATES = 1_000_000

#: States expanded between two looks at the limits.
LOOK_EVERY = 2_000


@dataclass
class Walk:
    """What one walk gave; `findings` are in the order in which they were met."""

    states: int = 0
    transitions: int = 0
    depth: int = 0
    findings: dict[Cause, Finding] = field(default_factory=dict)
    limit: str = ""
    #: How probable it is, at most, that a state was taken for another one.
    omission: float = 0.0
    terminals: set[str] = field(default_factory=set)

    @property
    def finding(self) -> Finding | None:
        """The first that is no race: the kernel does not go on after it."""
        return next((each for each in self.findings.values() if not each.is_race), None)

    @property
    def race(self) -> Finding | None:
        """The first data race."""
        return next((each for each in self.findings.values() if each.is_race), None)


#: Told now and then: states, transitions, frontier, depth, bytes of memory, and how many states
#: there may be in all, 0 while nothing can be said.
Progress = Callable[[int, int, int, int, int, int], None]

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

    def __init__(self, tables: Tables, native: Native | None = None) -> None:
        self.tables = tables
        self.native = native or Native()
        self.futures = Futures(tables.tries)

    def walk(
        self,
        reduce: bool,
        limits: Limits,
        progress: Progress | None = None,
        enough: Enough = at_first,
    ) -> Walk:
        """Walk once from the start, until `enough` or a limit.

        A walk that outgrows plain Python begins anew in compiled code, once there is some.
        """
        while True:
            try:
                search = Search(self, reduce, limits, progress, enough)
                if self._has_checkpoint() and not reduce:
                    return self._natively(search)
                walk = search.run()
                return self._natively(search) if search.outgrown else walk
            except WidthExceededError:
                continue

    def _has_checkpoint(self) -> bool:
        return bool(self.native.checkpoint) and os.path.exists(self.native.checkpoint)

    def _natively(self, search: Search) -> Walk:
        from rmaplab.checker.native.search import NativeSearch

        search.origin.clear()
        again = NativeSearch(self, search.reduce, search.limits, search.progress, search.enough)
        again.end = search.end
        return again.run()


class Expected:
    """How many states there may be in all: as many after the largest level as before it.

    Said only when levels have become clearly smaller again.
    """

    def __init__(self) -> None:
        self.total = 0
        self._largest = 0
        self._half = 0

    def level(self, size: int, stored: int) -> None:
        """Take note of a level that was found."""
        if size > self._largest:
            self._largest, self._half = size, stored
        falling = size < 0.8 * self._largest
        self.total = max(2 * self._half, stored) if falling else 0


class Search:
    """One walk: its frontier, and where each state was first reached from."""

    def __init__(
        self,
        walker: Walker,
        reduce: bool,
        limits: Limits,
        progress: Progress | None,
        enough: Enough,
    ) -> None:
        self.tables = walker.tables
        self.native = walker.native
        self.reduce = reduce
        self.limits = limits
        self.progress = progress
        self.enough = enough
        self.ended = False
        self.outgrown = False
        self.expected = Expected()
        self.result = Walk()
        self.end = time.monotonic() + limits.seconds
        self.origin: dict[str, tuple[str, int] | None] = {}
        self.futures = walker.futures
        self.alone = Alone(walker.futures)
        self.races = Races()
        self._causes: dict[tuple[KernelStateError, tuple[Node, ...]], Cause] = {}

    def run(self) -> Walk:
        """Level by level; then again from where a flow turns out not to have been alone."""
        start = self.tables.start()
        self.origin = {start: None}
        level = [start]
        while level:
            self._levels(level)
            level = self.alone.no_longer() if self.reduce and not self.ended else []
        self.result.states = self._stored()
        return self.result

    def _stored(self) -> int:
        return len(self.origin)

    def _levels(self, level: list[str]) -> None:
        while level and not self.ended:
            following: list[str] = []
            for number, state in enumerate(level):
                self._expand(state, following)
                if self.ended:
                    break
                if number % LOOK_EVERY == LOOK_EVERY - 1:
                    self._look_at_limits(len(following))
            self.result.depth += 1
            self.expected.level(len(following), self._stored())
            self._look_at_limits(len(following))
            level = following

    def _look_at_limits(self, queued: int) -> None:
        limit = ""
        if self._stored() > self.limits.states:
            limit = f"more than {self.limits.states} states"
        if time.monotonic() > self.end:
            limit = f"more than {self.limits.seconds:.0f} s"
        memory = self._memory()
        if memory > self.limits.memory << 20:
            limit = f"more than {self.limits.memory} MiB of memory"
        if any(len(nodes) > LOCAL_STATES for nodes in self.tables.tries.nodes):
            limit = f"more than {LOCAL_STATES} local states of one CPU"
        if limit:
            self.result.limit, self.ended = limit + self._but_for(), True
        elif self._outgrows():
            self.outgrown = self.ended = True
        if self.progress is not None:
            result = self.result
            stored, expected = self._stored(), self.expected.total
            self.progress(stored, result.transitions, queued, result.depth, memory, expected)

    def _memory(self) -> int:
        return resident()

    def _outgrows(self) -> bool:
        """Whether compiled code is to take over."""
        if self._stored() < self.native.start:
            return False
        return COMPILER.ready()

    def _but_for(self) -> str:
        """Why the walk was not faster."""
        return f" ({COMPILER.missing})" if COMPILER.missing else ""

    def _expand(self, state: str, following: list[str]) -> None:
        nodes = self.tables.runnable(state)
        if not nodes:
            self._finish(state)
            return
        if self._wrong_at_once(state, nodes):
            return
        self._look_for_races(state, nodes)
        if self.reduce and len(nodes) > 1:
            together = tuple(nodes)
            alone = self.alone.candidate(together)
            if alone is not None and self._went_alone(state, alone, following):
                self.alone.note(together, state)
                return
        moved = False
        for node in nodes:
            moved = self._try(state, node, following) is not None or moved
        if not moved:
            self._deadlock(state, nodes)

    def _went_alone(self, state: str, node: Node, following: list[str]) -> bool:
        """Let one flow go; the others too where it goes wrong, or its loop begins anew.

        Else they would never go, from there.
        """
        return self._try(state, node, following) is True and not node.turns_back

    def _try(self, state: str, node: Node, following: list[str]) -> bool | None:
        """Let a flow go: whether it came to another state, or to a wrong one; None if it waits."""
        stepped = self.tables.step(state, node.column)
        if stepped is None:
            return None
        after, fault = stepped
        self.result.transitions += 1
        if fault is not None:
            self._wrong_step(state, node, after, fault)
            return False
        if after not in self.origin:
            self.origin[after] = (state, node.column)
            following.append(after)
        return True

    # Findings

    def _found(
        self,
        state: str,
        fault: KernelStateError,
        nodes: tuple[Node, ...] = (),
        step: int | None = None,
    ) -> None:
        """Keep a finding if it is the first of its cause; `step` is the flow that went wrong."""
        cause = self._causes.get((fault, nodes))
        if cause is None:
            cause = self._causes[fault, nodes] = cause_of(fault, nodes)
        if cause in self.result.findings:
            return
        path = self._path(state)
        if step is not None:
            finding = Finding(fault, (*path, step))
        else:
            finding = Finding(fault, path, tuple(node.column for node in nodes), at_end=not nodes)
        self.result.findings[cause] = finding
        self.ended = self.ended or self.enough(self.result)

    def _wrong_step(self, state: str, node: Node, after: str, fault: KernelStateError) -> None:
        child = self.tables.node(after, node.column)
        self._found(state, fault, (child if child.fault is fault else node,), node.column)

    def _path(self, state: str) -> tuple[int, ...]:
        columns = []
        origin = self.origin[state]
        while origin is not None:
            state, column = origin
            columns.append(column)
            origin = self.origin[state]
        return tuple(reversed(columns))

    def _finish(self, state: str) -> None:
        self.result.terminals.add(state[self.tables.columns :])
        fault = self.tables.check_end(state)
        if fault is not None:
            self._found(state, fault)

    def _wrong_at_once(self, state: str, nodes: list[Node]) -> bool:
        """Whether a flow goes wrong before it touches anything: its first call may."""
        wrong = [node for node in nodes if node.fault is not None]
        for node in wrong:
            assert node.fault is not None
            self._found(state, node.fault, (node,))
        return bool(wrong)

    def _deadlock(self, state: str, nodes: list[Node]) -> None:
        waits = [f"CPU{node.action.cpu} for {node.action.label()}" for node in nodes if node.action]
        first = nodes[0].action
        assert first is not None
        message = "waiting for ever: " + ", ".join(waits)
        fault = KernelStateError("deadlock", message, first.ref, first.field)
        self._found(state, fault, tuple(nodes))

    def _look_for_races(self, state: str, nodes: list[Node]) -> None:
        for pair in self.races.found(nodes):
            self._race(state, pair)

    def _race(self, state: str, pair: tuple[Node, Node]) -> None:
        action = pair[0].action
        assert action is not None
        message = f"unlocked accesses to {action.label()}"
        fault = KernelStateError("data-race", message, action.ref, action.field)
        self._found(state, fault, pair)
