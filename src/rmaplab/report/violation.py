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
from rmaplab.report.heading import described, heading
from rmaplab.report.words import aligned, caller, place, times


def render_violation(result: Result, width: int = 100, keep: Keep | None = None) -> str:
    """The report of the result's violation, fit for a mail.

    `keep` says which steps the diagram shows; by default all but the loads that decide nothing.
    """
    violation = result.outcome.violation
    if violation is None:
        raise ValueError(f"{result.title} is {result.verdict}: no violation")
    blocks = [
        [*heading(violation), *_context(result, violation)],
        diagram(violation, width, keep),
        *(_access(access, violation.kind) for access in violation.accesses),
        *(_life(event) for event in violation.life),
        *(_ledger(entry, violation.kind) for entry in violation.ledger),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def render_diagram(result: Result, width: int = 100, keep: Keep | None = None) -> str:
    """The heading and the diagram alone."""
    violation = result.outcome.violation
    if violation is None:
        raise ValueError(f"{result.title} is {result.verdict}: no violation")
    blocks = [[*heading(violation), *_context(result, violation)], diagram(violation, width, keep)]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _context(result: Result, violation: Violation) -> list[str]:
    lines = [violation.message] if violation.message else []
    wanted = "as expected" if result.as_expected else f"expected {result.expected or 'clean'}"
    named = [f"litmus: {result.litmus}", f"kernel: {result.kernel}"]
    return [
        *lines,
        *([f"protocol: {result.title}"] if result.is_protocol else named),
        f"verdict: {result.verdict}, {wanted}",
    ]


def _access(access: Access, kind: str) -> list[str]:
    if kind == "deadlock":
        what = place(access.object, access.field)
        who = f"Task {access.task} on CPU{access.cpu} waits in {access.action}({what}):"
    else:
        who = f"{described(access)} ({access.action}):"
    held = f"holding: {', '.join(access.locks)}" if access.locks else "holding no locks"
    return [who, f"  {held}", *_stack(access.stack)]


def _life(event: LifeEvent) -> list[str]:
    who = f"{event.what.capitalize()} by task {event.task} on CPU{event.cpu} ({event.object}):"
    return [who, *_stack(event.stack)]


def _stack(stack: Sequence[Frame]) -> list[str]:
    return _indented([(frame.function, frame.source) for frame in stack])


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
