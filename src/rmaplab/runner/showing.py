"""What there is to look at: a violation's trace, a saved one, or a run in order, as films."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rmaplab.checker.check import check
from rmaplab.checker.film import Film
from rmaplab.checker.filming import film, in_order
from rmaplab.checker.follow import follow
from rmaplab.checker.options import Limits, Options
from rmaplab.checker.program import Scenario
from rmaplab.checker.tables import Tables
from rmaplab.checker.verdict import CLEAN, Violation
from rmaplab.kernel.pgtable import MigrationEntry, Pte
from rmaplab.litmus.model import Litmus
from rmaplab.runner.choice import NamedKernel
from rmaplab.runner.places import BASE
from rmaplab.runner.saved import SavedTrace, pending_of
from rmaplab.runner.scenario import build

#: How far a violation is looked for; `check --save-trace` looks as far as one likes.
LOOK = Options(Limits(seconds=10.0), first=True)


def film_of(litmus: Litmus, kernel: NamedKernel) -> Film:
    """A violation of a litmus that is soon found, the nearest; or all CPUs one after the other.

    KernelStateError if the set-up goes wrong.
    """
    outcome = check(build(litmus, kernel.kernel), LOOK)
    scenario = build(litmus, kernel.kernel)
    if outcome.violation is not None and outcome.violation.trace:
        found = outcome.violation
        path = follow(scenario, found.trace, pending_of(found)).path
        return _film(scenario, path, litmus.name, kernel.name, _told(found))
    tables = _tables(scenario)
    said = f"{outcome.verdict}; here the CPUs go one after the other"
    return _film(scenario, in_order(tables), litmus.name, kernel.name, said)


def film_of_trace(trace: SavedTrace, kernel: NamedKernel) -> Film:
    """A saved trace on a kernel, as far as it goes there."""
    scenario = build(trace.litmus, kernel.kernel)
    followed = follow(scenario, trace.steps, trace.pending)
    if followed.difference is not None:
        number, why = followed.difference.number, followed.difference.why
        said = f"differs from {trace.kernel} at step {number}: {why}"
    else:
        said = followed.fault.kind if followed.fault is not None else CLEAN
        said = trace.verdict if trace.pending else said
    return _film(scenario, followed.path, trace.litmus.name, kernel.name, said)


def _told(violation: Violation) -> str:
    return f"{violation.kind}: {violation.message}"


def _tables(scenario: Scenario) -> Tables:
    scenario.machine.freeze()
    return Tables(scenario)


def _film(scenario: Scenario, path: tuple[int, ...], title: str, kernel: str, verdict: str) -> Film:
    (pages,) = (cache for cache in scenario.machine.caches if cache.name == "page")

    def targets(value: Any) -> Iterator[str]:
        """The struct page of an entry's frame."""
        if isinstance(value, Pte | MigrationEntry) and value.pfn >= 0:
            yield scenario.machine.name_of(pages.at(value.pfn))

    made = film(_tables(scenario), path, targets)
    return replace(made, base=BASE, title=title, kernel=kernel, verdict=verdict)
