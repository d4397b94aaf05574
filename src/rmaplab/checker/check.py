"""Check a scenario: every interleaving, and what to say about it."""

from __future__ import annotations

import sys
import time
from typing import Any

from rmaplab.checker.coverage import Lines
from rmaplab.checker.explain import explain
from rmaplab.checker.frames import stack_of
from rmaplab.checker.program import Scenario, SetupEvent
from rmaplab.checker.verdict import CLEAN, UNDETERMINED, Outcome
from rmaplab.checker.walker import Limits, Progress, Walker
from rmaplab.machine.cells import Action
from rmaplab.machine.context import RUNNING

#: How far the full walk looks for the nearest violation.
NEAREST = Limits(states=200_000, seconds=10.0)


class SetupRecorder:
    """Keeps the allocations, frees and counts of a set-up, with their stacks, for reports."""

    def __init__(self) -> None:
        self.events: list[SetupEvent] = []

    def __call__(self, action: Action, before: list[Any], after: list[Any]) -> None:
        """Note one action that took place."""
        interesting = action.name in ("alloc", "free") or action.name.startswith("atomic_")
        if not interesting or not any(action.written):
            return
        stack = stack_of(sys._getframe(2))
        context = RUNNING.context
        for cell, old, new in zip(action.data, before, after, strict=True):
            self.events.append(
                SetupEvent(
                    context.cpu, context.task, action.name, cell.number, action.ref, old, new, stack
                )
            )


def check(
    scenario: Scenario,
    limits: Limits | None = None,
    reduce: bool = True,
    progress: Progress | None = None,
    cover: bool = False,
) -> Outcome:
    """Explore a scenario: its nearest violation, or that it has none, or that a limit was reached.

    The reduced walk finds a violation; the full one then finds the nearest, if it is near enough.
    Where the full one gives up, the trace is the reduced one's, cut to its causal past.
    With `cover` the outcome says which lines of kernel functions were reached.
    """
    begin = time.monotonic()
    scenario.machine.freeze()
    lines = Lines() if cover else None
    walker = Walker(scenario, lines)
    walk = walker.walk(reduce, limits or Limits(), progress)
    finding = walk.finding or walk.race
    if finding is not None and reduce:
        near = walker.walk(False, NEAREST, progress, race_ends=walk.finding is None)
        finding = near.finding or (finding if walk.finding else near.race or finding)
    violation = explain(walker, finding) if finding is not None else None
    unfinished = UNDETERMINED if walk.limit else CLEAN
    return Outcome(
        verdict=violation.kind if violation is not None else unfinished,
        complete=not walk.limit and walk.finding is None,
        states=walk.states,
        transitions=walk.transitions,
        seconds=time.monotonic() - begin,
        violation=violation,
        reason=walk.limit if violation is None else "",
        coverage=lines.coverage() if lines is not None else (),
    )
