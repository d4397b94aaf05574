"""Check a scenario: every interleaving, and what to say about it."""

from __future__ import annotations

import re
import sys
import time
from typing import Any

from rmaplab.checker import lock_order
from rmaplab.checker.coverage import Lines
from rmaplab.checker.explain import explain
from rmaplab.checker.exploration import Enough, Progress, Walk, at_first, never
from rmaplab.checker.findings import Cause, Finding
from rmaplab.checker.frames import stack_of
from rmaplab.checker.interrupt import INTERRUPT
from rmaplab.checker.nearest import Nearest
from rmaplab.checker.options import Limits, Options, Reduction
from rmaplab.checker.program import Scenario, SetupEvent
from rmaplab.checker.sampling import sample
from rmaplab.checker.tables import Tables
from rmaplab.checker.verdict import CLEAN, UNDETERMINED, Outcome, Violation
from rmaplab.checker.walker import Walker
from rmaplab.checker.witness import witness
from rmaplab.machine.cells import Action
from rmaplab.machine.context import RUNNING

#: How far is looked for the nearest violations; for the first one only, not so far.
NEAREST = Limits(states=50_000, seconds=10.0)
NEAREST_FIRST = Limits(states=20_000, seconds=1.0)

#: What a set-up is remembered for, besides its atomics.
RECORDED = frozenset({"alloc", "free"}) | lock_order.BLOCKING | lock_order.TRYING


class SetupRecorder:
    """Keeps the allocations, frees, counts and locks of a set-up, with their stacks."""

    def __init__(self) -> None:
        self.events: list[SetupEvent] = []

    def __call__(self, action: Action, before: list[Any], after: list[Any]) -> None:
        """Note one action that took place."""
        interesting = action.name in RECORDED or action.name.startswith("atomic_")
        if not interesting or not any(action.written):
            return
        stack = stack_of(sys._getframe(2))
        context = RUNNING.context
        held = tuple(context.held)
        for cell, old, new in zip(action.data, before, after, strict=True):
            self.events.append(
                SetupEvent(
                    context.cpu,
                    context.task,
                    action.name,
                    cell.number,
                    action.ref,
                    old,
                    new,
                    stack,
                    action.field,
                    held,
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
    them, and the search for the nearest a shortest trace of each, if they are near enough.
    Where it gives up, the trace is the reduced one's, cut to its causal past.
    Ctrl-C is a limit.
    With `cover` the outcome says which lines of kernel functions were reached.
    """
    with INTERRUPT.awaited():
        return _check(scenario, options or Options(), progress, cover)


def _check(scenario: Scenario, options: Options, progress: Progress | None, cover: bool) -> Outcome:
    begin = time.monotonic()
    scenario.machine.freeze()
    lines = Lines() if cover else None
    tables = Tables(scenario, lines)
    if options.sample is not None:
        return _sampled(tables, options, begin, lines)
    walk, found = _explored(Walker(tables, options.native), options, progress)
    violations = _violations(tables, found, options.first)
    unfinished = UNDETERMINED if walk.limit else CLEAN
    return Outcome(
        verdict=violations[0].kind if violations else unfinished,
        complete=not walk.limit and not (options.first and walk.finding),
        states=walk.states,
        transitions=walk.transitions,
        seconds=time.monotonic() - begin,
        violations=violations,
        reason=walk.limit,
        omission=walk.omission,
        coverage=lines.coverage() if lines is not None else (),
        witness=witness(tables),
    )


def _explored(
    walker: Walker, options: Options, progress: Progress | None
) -> tuple[Walk, dict[Cause, Finding]]:
    """The walk that counts, and of each cause the nearest finding that any walk met."""
    first, reductions, limits = options.first, options.reductions, options.limits
    if options.native.checkpoint and not first:
        reductions -= {Reduction.LAST_ACCESS}  # one walk for all causes is kept in the file
    any_will_do = first or Reduction.LAST_ACCESS in reductions
    walk = walker.walk(reductions, limits, progress, at_first if any_will_do else never)
    found = walk.findings
    if walk.finding and any_will_do and not first:
        walk = walker.walk(reductions - {Reduction.LAST_ACCESS}, limits, progress, never)
        found = {**found, **walk.findings}
    if found and reductions:
        how_far = NEAREST_FIRST if first else NEAREST
        enough = _as_much_as(found, walk, first)
        nearest = Nearest(walker.tables, walker.futures, how_far, progress, enough)
        found = {**found, **nearest.run().findings}
    return walk, found


def _sampled(tables: Tables, options: Options, begin: float, lines: Lines | None) -> Outcome:
    """Nothing found by a sample is nothing proved."""
    assert options.sample is not None
    done = sample(tables, options.sample, options.limits, options.first)
    violations = _violations(tables, done.findings, options.first)
    return Outcome(
        verdict=violations[0].kind if violations else UNDETERMINED,
        complete=False,
        states=0,
        transitions=done.transitions,
        seconds=time.monotonic() - begin,
        violations=violations,
        reason=done.limit or done.caveat,
        coverage=lines.coverage() if lines is not None else (),
        executions=done.executions,
        witness=witness(tables),
    )


def _as_much_as(found: dict[Cause, Finding], walk: Walk, first: bool) -> Enough:
    """When a walk has found all that others found, or the first of it."""
    if not first:
        return lambda near: found.keys() <= near.findings.keys()
    return at_first if walk.finding is not None else lambda near: near.race is not None


def _violations(tables: Tables, found: dict[Cause, Finding], first: bool) -> tuple[Violation, ...]:
    violations = [explain(tables, finding) for finding in _in_order(found)]
    violations += _inversions(tables, violations)
    return tuple(violations[:1] if first else violations)


def _in_order(found: dict[Cause, Finding]) -> list[Finding]:
    """Races last, as the kernel goes on after them; the shortest first."""
    return sorted(found.values(), key=lambda each: (each.is_race, len(each.path)))


def _inversions(tables: Tables, violations: list[Violation]) -> list[Violation]:
    """Locks taken in a cycle, unless it did come to a deadlock on locks of these classes."""
    reached = [
        {_unnumbered(f"{access.object}.{access.field}") for access in violation.accesses}
        for violation in violations
        if violation.kind == "deadlock"
    ]
    return [
        each
        for each in lock_order.inversions(tables)
        if not any(_classes(each) <= waited for waited in reached)
    ]


def _classes(inversion: Violation) -> set[str]:
    return {_unnumbered(each.wanted_lock) for each in inversion.dependencies}


def _unnumbered(lock: str) -> str:
    """`anon_vma.lock` of `anon_vma#1.lock`."""
    return re.sub(r"#\d+(\.\d+)?", "", lock)
