"""The text report of a violation: what happened, who did it, whose object and reference it was."""

from __future__ import annotations

from collections.abc import Sequence

from rmaplab.checker.verdict import (
    Access,
    Frame,
    LedgerEntry,
    LifeEvent,
    Reference,
    Result,
    Violation,
)
from rmaplab.report.diagram import Keep, diagram
from rmaplab.report.heading import (
    described,
    heading,
    is_recursion,
    leaked,
    title,
    unreferenced,
)
from rmaplab.report.lockdep import cycle, locks_held, recursion, scenario
from rmaplab.report.words import aligned, caller, place, plural, times


def render_violation(
    result: Result, width: int = 100, keep: Keep | None = None, number: int = 1
) -> str:
    """The report of one of the result's violations, fit for a mail; the nearest is number 1.

    `keep` says which steps the diagram shows; by default all but the loads that decide nothing.
    """
    violation = _violation(result, number)
    blocks = [
        [*heading(violation), *_context(result, violation)],
        *(cycle(violation) if violation.dependencies else []),
        drawing(violation, width, keep),
        *(_access(access, violation, result.kernel) for access in violation.accesses),
        *_lives(violation),
        *(_ledger(entry, violation.kind) for entry in violation.ledger),
        _others(result.outcome.violations, number),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def render_diagram(result: Result, width: int = 100, keep: Keep | None = None) -> str:
    """The heading and the diagram alone."""
    violation = _violation(result, 1)
    blocks = [[*heading(violation), *_context(result, violation)], drawing(violation, width, keep)]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _violation(result: Result, number: int) -> Violation:
    found = result.outcome.violations
    if not 1 <= number <= len(found):
        count = plural(len(found), "violation") if found else "no violation"
        raise ValueError(f"{result.title} is {result.verdict}: {count}, not {number}")
    return found[number - 1]


def _others(violations: Sequence[Violation], number: int) -> list[str]:
    """Every other cause in a line."""
    rows = [
        (str(place), each.kind, _length(each), title(each))
        for place, each in enumerate(violations, 1)
        if place != number
    ]
    if not rows:
        return []
    return ["Other causes, the nearest first; --violation N tells one in full:", *_indented(rows)]


def _length(violation: Violation) -> str:
    if violation.dependencies:
        return plural(len(violation.dependencies), "dependency", "dependencies")
    return plural(len(violation.trace), "step")


def drawing(violation: Violation, width: int, keep: Keep | None) -> list[str]:
    """The trace as a table of CPUs, or what lockdep draws where no run needs to have all steps."""
    return scenario(violation) if violation.dependencies else diagram(violation, width, keep)


def _context(result: Result, violation: Violation) -> list[str]:
    lines = [violation.message] if violation.message else []
    wanted = "as expected" if result.as_expected else f"expected {result.expected or 'clean'}"
    others = f"; this is {violation.kind}" if violation.kind != result.verdict else ""
    named = [f"litmus: {result.litmus}", f"kernel: {result.kernel}"]
    return [
        *lines,
        *([f"protocol: {result.title}"] if result.is_protocol else named),
        f"verdict: {result.verdict}, {wanted}{others}",
    ]


def _access(access: Access, violation: Violation, kernel: str) -> list[str]:
    if is_recursion(violation):
        return [*recursion(access), "", *_trace(access, kernel)]
    what = place(access.object, access.field)
    if violation.kind == "deadlock":
        who = f"Task {access.task} on CPU{access.cpu} waits in {access.action}({what}):"
        return [who, *_stack(access.stack), *locks_held(access)]
    if violation.kind == "data-race":
        marked = " (marked)" if access.marked else ""
        who = f"{access.effect}{marked} to {what} by task {access.task} on cpu {access.cpu}"
        return [f"{who} ({access.action}):", *_stack(access.stack), *locks_held(access)]
    if violation.kind in ("use-after-free", "refcount-underflow") and access.action:
        return [f"{described(access)} ({access.action}):", *_trace(access, kernel)]
    return _trace(access, kernel)


def _trace(access: Access, kernel: str) -> list[str]:
    """Who it was and where, as every oops has it; `Not tainted` is what a kernel says of itself."""
    who = f"CPU: {access.cpu} Comm: {access.task} Not tainted {kernel}"
    trace = ["Call Trace:", *_stack(access.stack)] if access.stack else []
    return [*locks_held(access), who, *trace]


def _lives(violation: Violation) -> list[list[str]]:
    if violation.kind != "leak":
        return [_life(event) for event in violation.life]
    left = leaked(violation)
    return [
        [
            f"{unreferenced(event.object)}:",
            f'  comm "{event.task}", cpu {event.cpu}',
            "  backtrace:",
            *(f"  {line}" for line in _stack(event.stack)),
        ]
        for event in violation.life
        if event.what == "allocated" and event.object in left
    ]


def _life(event: LifeEvent) -> list[str]:
    who = f"{event.what.capitalize()} by task {event.task} on CPU{event.cpu} ({event.object}):"
    return [who, *_stack(event.stack)]


def _stack(stack: Sequence[Frame]) -> list[str]:
    return _indented([(frame.function, frame.source) for frame in stack]) if stack else []


def _ledger(entry: LedgerEntry, kind: str) -> list[str]:
    what = place(entry.object, entry.field)
    rows = [_reference("taken", ref) for ref in entry.taken]
    rows += [_reference("dropped", ref) for ref in entry.dropped]
    return [
        f"References on {what}: {len(entry.taken)} taken, {len(entry.dropped)} dropped",
        *_indented(rows),
        f"  final value {entry.final}{_balance(entry, kind)}",
    ]


def _reference(what: str, ref: Reference) -> tuple[str, ...]:
    return (
        what,
        f"{ref.before:>2} -> {ref.after:<2}",
        f"CPU{ref.cpu}",
        ref.task,
        caller(ref),
        ref.source,
    )


def _balance(entry: LedgerEntry, kind: str) -> str:
    """What is wrong with the sum.

    More drops than gets prove nothing alone: a count may be born as 1. A value below zero does,
    also one that a late get has hidden again.
    """
    lowest = min([entry.final, *(ref.after for ref in entry.dropped)])
    if lowest < 0:
        return f": dropped {times(-lowest)} too often"
    if entry.final > 0 and kind == "leak":
        return f": taken {times(entry.final)} too often, or never dropped"
    return ""


def _indented(rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"  {row}" for row in aligned(rows)]
