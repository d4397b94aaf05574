"""What a recorded trace does on a kernel: the same, or where it first differs."""

from __future__ import annotations

from collections.abc import Sequence

from rmaplab.checker.verdict import TraceStep
from rmaplab.report.words import aligned, in_a_line, innermost, plural

#: Steps that are shown before a difference.
SHOWN = 6


def render_same(litmus: str, kernel: str, verdict: str, steps: int) -> str:
    """The trace holds."""
    return f"{litmus} on {kernel}: {verdict} after the same {plural(steps, 'step')}\n"


def render_other(
    heading: str, taken: Sequence[TraceStep], rows: Sequence[tuple[str, TraceStep | None]]
) -> str:
    """A heading, the last steps that were the same, then each row's label and step."""
    first = max(len(taken) - SHOWN, 0)
    shown = [_row(str(number), step) for number, step in enumerate(taken[first:], first + 1)]
    shown += [_row(label, step) for label, step in rows if step is not None]
    return "\n".join([heading, *(f"  {line}" for line in aligned(shown))]) + "\n"


def _row(label: str, step: TraceStep) -> tuple[str, ...]:
    who = label, f"CPU{step.cpu}", step.task
    return *who, in_a_line(step), innermost(step.call), step.source
