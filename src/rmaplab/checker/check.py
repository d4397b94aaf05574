"""Check a scenario: every interleaving, and what to say about it."""

from __future__ import annotations

import sys
import time
from typing import Any

from rmaplab.checker.coverage import Lines
from rmaplab.checker.explain import explain
from rmaplab.checker.findings import Cause, Finding
from rmaplab.checker.frames import stack_of
from rmaplab.checker.options import NONE, Limits, Options, Reduction
from rmaplab.checker.program import Scenario, SetupEvent
from rmaplab.checker.tables import Tables
from rmaplab.checker.verdict import CLEAN, UNDETERMINED, Outcome
from rmaplab.checker.walker import Enough, Progress, Walk, Walker, at_first, never
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
    options: Options | None = None,
    progress: Progress | None = None,
    cover: bool = False,
) -> Outcome:
    """Explore a scenario: all its violations, or that it has none, or that a limit was reached.

    The reduced walk finds whether there are violations, one that keeps every cause finds all of
    them, and the full one the nearest of each, if they are near enough.
    Where it gives up, the trace is the reduced one's, cut to its causal past.
    With `cover` the outcome says which lines of kernel functions were reached.
    """
    options = options or Options()
    first, reductions = options.first, options.reductions
    begin = time.monotonic()
    scenario.machine.freeze()
    lines = Lines() if cover else None
    tables = Tables(scenario, lines)
    walker = Walker(tables)
    any_will_do = first or Reduction.LAST_ACCESS in reductions
    walk = walker.walk(reductions, options.limits, progress, at_first if any_will_do else never)
    found = walk.findings
    if walk.finding and any_will_do and not first:
        walk = walker.walk(reductions - {Reduction.LAST_ACCESS}, options.limits, progress, never)
        found = {**found, **walk.findings}
    if found and reductions:
        near = walker.walk(NONE, NEAREST, progress, _as_much_as(found, walk, first))
        found = {**found, **near.findings}
    violations = tuple(explain(tables, finding) for finding in _in_order(found, first))
    unfinished = UNDETERMINED if walk.limit else CLEAN
    return Outcome(
        verdict=violations[0].kind if violations else unfinished,
        complete=not walk.limit and not (first and walk.finding),
        states=walk.states,
        transitions=walk.transitions,
        seconds=time.monotonic() - begin,
        violations=violations,
        reason=walk.limit,
        coverage=lines.coverage() if lines is not None else (),
    )


def _as_much_as(found: dict[Cause, Finding], walk: Walk, first: bool) -> Enough:
    """When a walk has found all that others found, or the first of it."""
    if not first:
        return lambda near: found.keys() <= near.findings.keys()
    return at_first if walk.finding is not None else lambda near: near.race is not None


def _in_order(found: dict[Cause, Finding], first: bool) -> list[Finding]:
    """Races last, as the kernel goes on after them; the shortest first."""
    order = sorted(found.values(), key=lambda each: (each.is_race, len(each.path)))
    return order[:1] if first else order
