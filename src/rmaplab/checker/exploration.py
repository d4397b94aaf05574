"""What every walk keeps and looks at: findings, limits, progress; whoever walks adds how."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rmaplab.checker.findings import Cause, Finding, cause_of, essential
from rmaplab.checker.interrupt import INTERRUPT
from rmaplab.checker.memory import resident
from rmaplab.checker.native.ready import COMPILER
from rmaplab.checker.options import Limits
from rmaplab.checker.races import Races
from rmaplab.checker.tables import Tables
from rmaplab.checker.tries import Node
from rmaplab.checker.verdict import INTERRUPTED
from rmaplab.machine.faults import KernelStateError

#: Steps in plain Python between two looks at the limits.
LOOK_EVERY = 5_000

#: Local states of a flow that a state, a string with a character for each flow, has room for.
LOCAL_STATES = 1_000_000


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


class Way(NamedTuple):
    """How a state was reached: from a kept state, by these columns, a character each."""

    state: str
    columns: str


def columns_along(way: Way, origin: Mapping[str, Way | None]) -> tuple[int, ...]:
    """All columns of a way from the start, which has no origin."""
    parts = []
    last: Way | None = way
    while last is not None:
        parts.append(last.columns)
        last = origin[last.state]
    return tuple(map(ord, "".join(reversed(parts))))


class Exploration:
    """One walk. A `way` is how whoever walks knows the way to a state, or a step beyond it."""

    def __init__(
        self, tables: Tables, limits: Limits, progress: Progress | None, enough: Enough
    ) -> None:
        self.tables = tables
        self.limits = limits
        self.progress = progress
        self.enough = enough
        self.ended = False
        self.expected = Expected()
        self.result = Walk()
        self.end = time.monotonic() + limits.seconds
        self.races = Races()
        self._causes: dict[tuple[KernelStateError, tuple[Node, ...]], Cause] = {}

    def stored(self) -> int:
        """How many states are kept."""
        raise NotImplementedError

    def path(self, way: Any) -> tuple[int, ...]:
        """The columns of all steps of a way, from the start."""
        raise NotImplementedError

    # Limits

    def look_at_limits(self, queued: int) -> None:
        """End at a limit; tell how far it is."""
        limit = self._limit()
        if limit:
            because = f" ({COMPILER.missing})" if COMPILER.missing and not INTERRUPT.asked else ""
            self.result.limit, self.ended = limit + because, True
        if self.progress is not None:
            result, stored, expected = self.result, self.stored(), self.expected.total
            memory = self.memory()
            self.progress(stored, result.transitions, queued, result.depth, memory, expected)

    def memory(self) -> int:
        """Bytes in use."""
        return resident()

    def _limit(self) -> str:
        if INTERRUPT.asked:
            return INTERRUPTED
        if self.stored() > self.limits.states:
            return f"more than {self.limits.states} states"
        if time.monotonic() > self.end:
            return f"more than {self.limits.seconds:.0f} s"
        if self.memory() > self.limits.memory << 20:
            return f"more than {self.limits.memory} MiB of memory"
        if any(len(nodes) > LOCAL_STATES for nodes in self.tables.tries.nodes):
            return f"more than {LOCAL_STATES} local states of one CPU"
        return ""

    # Findings

    def found(
        self, fault: KernelStateError, nodes: tuple[Node, ...], way: Any, pending: bool = True
    ) -> None:
        """Keep a finding if it is news.

        The flows concerned have yet to do it if it is `pending`, else the way ends with it.
        """
        cause = self._causes.get((fault, nodes))
        if cause is None:
            cause = self._causes[fault, nodes] = cause_of(fault, nodes)
        if not self.is_news(cause, way):
            return
        columns = tuple(node.column for node in nodes) if pending else ()
        finding = Finding(fault, self.path(way), columns, at_end=not nodes)
        self.result.findings[cause] = finding
        self.ended = self.ended or self.enough(self.result)

    def is_news(self, cause: Cause, way: Any) -> bool:
        """Whether a finding is to be kept: the first of its cause."""
        return cause not in self.result.findings

    def wrong_step(self, node: Node, after: str, fault: KernelStateError, way: Any) -> None:
        """A step goes wrong: itself, or what kernel code makes of its answer."""
        child = self.tables.node(after, node.column)
        self.found(fault, (child if child.fault is fault else node,), way, pending=False)

    def finish(self, state: str, way: Any) -> None:
        """All have finished: what must hold now?"""
        self.result.terminals.add(state[self.tables.columns :])
        fault = self.tables.check_end(state)
        if fault is not None:
            self.found(fault, (), way)

    def wrong_at_once(self, nodes: Sequence[Node], way: Any) -> bool:
        """Whether a flow goes wrong before it touches anything: its first call may."""
        wrong = [node for node in nodes if node.fault is not None]
        for node in wrong:
            assert node.fault is not None
            self.found(node.fault, (node,), way)
        return bool(wrong)

    def deadlock(self, nodes: Sequence[Node], way: Any) -> None:
        """All that have not finished wait."""
        waiting = tuple(essential(list(nodes)))
        self.found(deadlock_of(waiting), waiting, way)

    def look_for_races(self, nodes: tuple[Node, ...], way: Any) -> None:
        """Two flows are about to touch the same."""
        for pair in self.races.found(nodes):
            self.race(pair, way)

    def race(self, pair: tuple[Node, Node], way: Any) -> None:
        """Keep a race."""
        self.found(race_of(pair), pair, way)


def deadlock_of(nodes: Sequence[Node]) -> KernelStateError:
    """What is wrong where none can go: those who wait for one another."""
    waits = [f"CPU{node.action.cpu} for {node.action.label()}" for node in nodes if node.action]
    first = nodes[0].action
    assert first is not None
    message = "waiting for ever: " + ", ".join(waits)
    return KernelStateError("deadlock", message, first.ref, first.field)


def race_of(pair: tuple[Node, Node]) -> KernelStateError:
    """What is wrong where the next actions of two flows race."""
    action = pair[0].action
    assert action is not None
    message = f"unlocked accesses to {action.label()}"
    return KernelStateError("data-race", message, action.ref, action.field)
