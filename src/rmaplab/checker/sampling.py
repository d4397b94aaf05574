"""Beyond exhaustion: many executions under random schedules, each found again by its seed.

Uniformly random, or PCT (Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees
of Finding Bugs", ASPLOS 2010): flows have random priorities, which fall at d - 1 random steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from rmaplab.checker.exploration import Enough, Exploration, Walk, at_first, never
from rmaplab.checker.findings import Cause
from rmaplab.checker.options import Limits, Sample
from rmaplab.checker.races import Races
from rmaplab.checker.tables import Tables, WidthExceededError
from rmaplab.checker.tries import Node

#: An execution that takes more steps is cut: under an unfair schedule a daemon may go on for ever.
MOST_STEPS = 1_000_000

#: Puts the flows that could go in the order in which they may try; told the number of the step.
Schedule = Callable[[Sequence[Node], int], list[Node]]


@dataclass
class Sampled(Walk):
    """What some executions gave; of each cause the shortest. `cut` are those that had to end."""

    executions: int = 0
    cut: int = 0

    @property
    def caveat(self) -> str:
        """Why it is no proof, though no limit was reached."""
        cut = f"; {self.cut} ended after {MOST_STEPS:,} steps" if self.cut else ""
        return f"a sample proves nothing{cut}"


def sample(tables: Tables, wanted: Sample, limits: Limits, first: bool = False) -> Sampled:
    """As many executions as wanted, or until the first violation, or a limit."""
    return _Sampling(tables, wanted, limits, at_first if first else never).run()


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

    def __call__(self, nodes: Sequence[Node], step: int) -> list[Node]:
        order = sorted(nodes, key=lambda node: -self.priorities[node.column])
        rank = self.falls.get(step)
        if rank is None:
            return order
        self.priorities[order[0].column] = rank
        return self(nodes, 0)


class _Sampling(Exploration):
    """Executions one after the other; a way is the flow that went at each step of one."""

    result: Sampled

    def __init__(self, tables: Tables, wanted: Sample, limits: Limits, enough: Enough) -> None:
        super().__init__(tables, limits, None, enough)
        self.result = Sampled()
        self.wanted = wanted
        self.way: list[int] = []

    def run(self) -> Sampled:
        """As many as wanted, unless something ends them."""
        result, longest = self.result, 1
        while result.executions < self.wanted.executions and not self.ended:
            random = Random(f"{self.wanted.seed}:{result.executions}")
            try:
                self.execute(_schedule(self.wanted, random, self.tables.columns, longest))
            except WidthExceededError:
                continue
            longest = max(longest, len(self.way))
            result.executions += 1
            result.transitions += len(self.way)
            result.cut += len(self.way) > MOST_STEPS
            if not self.ended:
                self.look_at_limits(queued=0)
        return result

    def stored(self) -> int:
        """No state is kept."""
        return 0

    def path(self, way: Any) -> tuple[int, ...]:
        """The way itself."""
        return tuple(way)

    def is_news(self, cause: Cause, way: Any) -> bool:
        """Also a shorter way than the one known."""
        known = self.result.findings.get(cause)
        return known is None or len(way) < len(known.path)

    def execute(self, schedule: Schedule) -> None:
        """One execution, until all have finished, something is wrong, or it is too long."""
        self.way, self.races = [], Races()
        state: str | None = self.tables.start()
        while state is not None and len(self.way) <= MOST_STEPS:
            state = self._step(state, schedule)

    def _step(self, state: str, schedule: Schedule) -> str | None:
        nodes = self.tables.runnable(state)
        if not nodes:
            self.finish(state, self.way)
            return None
        self.look_for_races(nodes, self.way)
        if self.wrong_at_once(nodes, self.way):
            return None
        for node in schedule(nodes, len(self.way) + 1):
            stepped = self.tables.step(state, node.column)
            if stepped is None:
                continue
            self.way.append(node.column)
            after, fault = stepped
            if fault is None:
                return after
            self.wrong_step(node, after, fault, self.way)
            return None
        self.deadlock(nodes, self.way)
        return None
