"""Beyond exhaustion: many executions under random schedules, each found again by its seed.

Uniformly random, or PCT (Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees
of Finding Bugs", ASPLOS 2010): flows have random priorities, which fall at d - 1 random steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from rmaplab.checker.exploration import LOCAL_STATES, deadlock_of, race_of
from rmaplab.checker.findings import Cause, Finding, cause_of, essential
from rmaplab.checker.options import Limits, Sample
from rmaplab.checker.races import Races
from rmaplab.checker.tables import Tables, WidthExceededError
from rmaplab.checker.tries import Node
from rmaplab.machine.faults import KernelStateError

#: An execution that takes more steps is cut: under an unfair schedule a daemon may go on for ever.
MOST_STEPS = 1_000_000

#: Puts the flows that could go in the order in which they may try; told the number of the step.
Schedule = Callable[[list[Node], int], list[Node]]


@dataclass
class Sampled:
    """What some executions gave; of each cause the shortest."""

    executions: int = 0
    transitions: int = 0
    cut: int = 0
    findings: dict[Cause, Finding] = field(default_factory=dict)
    limit: str = ""


def sample(tables: Tables, wanted: Sample, limits: Limits, first: bool = False) -> Sampled:
    """As many executions as wanted, or until the first violation, or a limit."""
    end = time.monotonic() + limits.seconds
    result = Sampled()
    longest = 1
    while result.executions < wanted.executions and not result.limit:
        random = Random(f"{wanted.seed}:{result.executions}")
        try:
            done = _Execution(tables, _schedule(wanted, random, tables.columns, longest)).run()
        except WidthExceededError:
            continue
        longest = max(longest, len(done.path))
        result.executions += 1
        result.transitions += len(done.path)
        result.cut += done.is_cut
        _keep(result.findings, done.findings)
        if first and any(not each.is_race for each in result.findings.values()):
            break
        result.limit = _limit(tables, limits, end)
    return result


def _keep(shortest: dict[Cause, Finding], found: dict[Cause, Finding]) -> None:
    for cause, finding in found.items():
        known = shortest.get(cause)
        if known is None or len(finding.path) < len(known.path):
            shortest[cause] = finding


def _limit(tables: Tables, limits: Limits, end: float) -> str:
    if time.monotonic() > end:
        return f"more than {limits.seconds:.0f} s"
    if any(len(nodes) > LOCAL_STATES for nodes in tables.tries.nodes):
        return f"more than {LOCAL_STATES} local states of one CPU"
    return ""


def _schedule(wanted: Sample, random: Random, flows: int, length: int) -> Schedule:
    if not wanted.depth:
        return lambda nodes, _: random.sample(nodes, len(nodes))
    priorities = random.sample(range(wanted.depth, wanted.depth + flows), flows)
    falls = {random.randint(1, length): rank for rank in range(1, wanted.depth)}
    return _Priorities(priorities, falls)


class _Priorities:
    """PCT: the flow of the highest priority that can go, goes; at some steps it falls."""

    def __init__(self, priorities: list[int], falls: dict[int, int]) -> None:
        self.priorities = priorities
        self.falls = falls

    def __call__(self, nodes: list[Node], step: int) -> list[Node]:
        order = sorted(nodes, key=lambda node: -self.priorities[node.column])
        rank = self.falls.get(step)
        if rank is None:
            return order
        self.priorities[order[0].column] = rank
        return self(nodes, 0)


class _Execution:
    """One execution: the flow that goes at each step, and what it met."""

    def __init__(self, tables: Tables, schedule: Schedule) -> None:
        self.tables = tables
        self.schedule = schedule
        self.races = Races()
        self.path: list[int] = []
        self.findings: dict[Cause, Finding] = {}
        self.is_cut = False

    def run(self) -> _Execution:
        """Until all have finished, or something is wrong."""
        state: str | None = self.tables.start()
        while state is not None and not self.is_cut:
            state = self._step(state)
            self.is_cut = len(self.path) > MOST_STEPS
        return self

    def _step(self, state: str) -> str | None:
        nodes = self.tables.runnable(state)
        if not nodes:
            self._look_at_end(state)
            return None
        for pair in self.races.found(tuple(nodes)):
            self._found(race_of(pair), pair, pair)
        wrong = next((node for node in nodes if node.fault is not None), None)
        if wrong is not None:
            assert wrong.fault is not None
            self._found(wrong.fault, (wrong,), (wrong,))
            return None
        for node in self.schedule(nodes, len(self.path) + 1):
            stepped = self.tables.step(state, node.column)
            if stepped is None:
                continue
            self.path.append(node.column)
            after, fault = stepped
            if fault is None:
                return after
            child = self.tables.node(after, node.column)
            self._found(fault, (child if child.fault is fault else node,))
            return None
        waiting = tuple(essential(nodes))
        self._found(deadlock_of(waiting), waiting, waiting)
        return None

    def _look_at_end(self, state: str) -> None:
        fault = self.tables.check_end(state)
        if fault is not None:
            self._found(fault, ())

    def _found(
        self, fault: KernelStateError, nodes: tuple[Node, ...], pending: tuple[Node, ...] = ()
    ) -> None:
        cause = cause_of(fault, nodes)
        columns = tuple(node.column for node in pending)
        finding = Finding(fault, tuple(self.path), columns, at_end=not nodes)
        self.findings.setdefault(cause, finding)
