"""The trace as kernel people draw it: one column per CPU, time running down, in lockdep's shape.

Only one column speaks in a row, so a line may run on to the right of its column: with many CPUs
the columns stand closer together than their text is wide, and become stairs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rmaplab.checker.verdict import TraceStep, Violation
from rmaplab.report.words import (
    CHAIN,
    clip,
    functions,
    is_load,
    is_locking,
    only_reads,
    place,
    plural,
)

Keep = Callable[[TraceStep], bool]
Chain = tuple[str, ...]

INDENT = 2
ELLIPSIS = "..."
#: Text narrower than this tears every second line.
MIN_TEXT = 46
#: Text is rather too wide for the page than cut shorter than this.
LEAST_TEXT = 24
#: What belongs to all CPUs ends the table at the left margin, as lockdep's DEADLOCK does.
_WHOLE_MACHINE = frozenset({"deadlock", "lock-order", "leak"})


@dataclass
class _Column:
    """One CPU: where its text starts, how wide it may be, and the functions now open in it."""

    start: int
    width: int
    label: str
    tasks: tuple[str, ...]
    task: str = ""
    calls: Chain = ()
    drawn: list[tuple[str, Chain]] = field(default_factory=list)

    @property
    def shared(self) -> bool:
        """Whether several tasks run here, so that each call must say whose it is."""
        return len(self.tasks) > 1

    @property
    def limit(self) -> int:
        """The deepest chain drawn in full; a third of the width may be indentation."""
        return max(self.width // 3 // INDENT, 4)


def diagram(violation: Violation, width: int, keep: Keep | None) -> list[str]:
    """The whole table, with the steps that `keep` refuses folded away."""
    trace, waiting = _with_waits(violation)
    if not trace:
        return []
    wanted = keep or interesting(trace[-1])
    last = len(trace)
    shown = {
        number: step
        for number, step in enumerate(trace, 1)
        if number == last or number in waiting or wanted(step)
    }
    gutter = len(str(last)) + 4
    columns = _columns(trace, gutter, width)
    lines = _header(columns, gutter)
    for number, step in shown.items():
        column = columns[step.cpu]
        lines += [_row("", gutter, column, text) for text in _entered(column, step)]
        first, *rest = _action(column, step, number in waiting)
        lines.append(_row(str(number), gutter, column, first))
        lines += [_row("", gutter, column, text) for text in rest]
    lines += _marker(violation.kind, gutter, columns[trace[-1].cpu])
    return lines + _folded(trace, list(shown.values()))


def _with_waits(violation: Violation) -> tuple[list[TraceStep], set[int]]:
    """The trace, and the numbers of the steps at which a deadlocked CPU is stuck.

    A blocked action never happens, so the trace may lack it: then it follows at the end.
    """
    trace = list(violation.trace)
    waiting: set[int] = set()
    if violation.kind != "deadlock":
        return trace, waiting
    for access in violation.accesses:
        where = (access.action, access.object, access.field)
        own = [number for number, step in enumerate(trace, 1) if step.cpu == access.cpu]
        last = trace[own[-1] - 1] if own else None
        if last is None or (last.action, last.object, last.field) != where:
            call = CHAIN.join(frame.function for frame in reversed(access.stack))
            source = access.stack[0].source if access.stack else ""
            trace.append(TraceStep(access.cpu, access.task, call, *where, "", "", source))
            own.append(len(trace))
        waiting.add(own[-1])
    return trace, waiting


def interesting(last: TraceStep) -> Keep:
    """Keep all but plain loads; of those, keep what touches or yields what the last step names."""
    text = f"{last.object} {last.before} {last.after}"
    named = {last.object, *re.findall(r"[\w.]+#\d+", text)} - {""}

    def keep(step: TraceStep) -> bool:
        if not is_load(step.action) or step.before != step.after:
            return True
        return step.object in named or step.before in named

    return keep


def _columns(trace: Sequence[TraceStep], gutter: int, width: int) -> dict[int, _Column]:
    cpus = sorted({step.cpu for step in trace})
    room = width - gutter
    stride = room // len(cpus)
    if len(cpus) > 1:
        stride = max(min(stride, (room - MIN_TEXT) // (len(cpus) - 1)), 8)
    columns = {}
    for index, cpu in enumerate(cpus):
        tasks = tuple(dict.fromkeys(step.task for step in trace if step.cpu == cpu))
        start = index * stride
        text = max(stride - 1, min(MIN_TEXT, room - start)) if len(cpus) > 1 else room
        columns[cpu] = _Column(start, text, f"CPU{cpu}", tasks)
    return columns


def _header(columns: dict[int, _Column], gutter: int) -> list[str]:
    cells = list(columns.values())
    stride = cells[1].start if len(cells) > 1 else 0
    tasks = [", ".join(cell.tasks) for cell in cells]
    labels = [f"{cell.label} ({task})" for cell, task in zip(cells, tasks, strict=True)]
    rows = [labels]
    if stride and any(len(label) >= stride for label in labels):
        # Too tight for one line: the task stands under its CPU.
        rows = [[cell.label for cell in cells], [clip(task, stride - 1) for task in tasks]]
    rows.append(["----"] * len(cells))
    lines = ["".join(text.ljust(stride) for text in row) for row in rows]
    return [" " * gutter + line.rstrip() for line in lines]


def _row(number: str, gutter: int, column: _Column, text: str) -> str:
    return (number.rjust(gutter - 2) + "  " + " " * column.start + text).rstrip()


def _entered(column: _Column, step: TraceStep) -> list[str]:
    """The functions entered since this CPU's last row, each under its caller."""
    if step.task != column.task:
        column.task, column.calls, column.drawn = step.task, (), []
    calls = functions(step.call)
    drawn = _drawn(calls, column.limit)
    common = 0
    while common < min(len(drawn), len(column.drawn)) and drawn[common] == column.drawn[common]:
        common += 1
    lines = []
    for depth, (name, prefix) in enumerate(drawn[common:], common):
        # A function that a shortened chain left out may have been open all along.
        resumed = name != ELLIPSIS and prefix == column.calls[: len(prefix)]
        task = f"  [{step.task}]" if depth == 0 and column.shared else ""
        lines.append(" " * (INDENT * depth) + name + (" (cont.)" if resumed else "") + task)
    column.calls, column.drawn = calls, drawn
    return lines


def _action(column: _Column, step: TraceStep, waits: bool) -> list[str]:
    indent = INDENT * len(column.drawn)
    lines = action_lines(step, max(column.width - indent, LEAST_TEXT))
    if waits:
        lines[-1] += "  <-- waits"
    return [" " * indent + text for text in lines]


def _drawn(calls: Chain, limit: int) -> list[tuple[str, Chain]]:
    """A row for each function, with the calls that led to it.

    Of a chain too deep to draw: its system call, and the two functions that matter.
    """
    rows = [(f"{name}()", calls[: depth + 1]) for depth, name in enumerate(calls)]
    return rows if len(rows) <= limit else [rows[0], (ELLIPSIS, calls[:-2]), *rows[-2:]]


def action_lines(step: TraceStep, width: int) -> list[str]:
    """An action in one line if it fits; else the action, and under it what it read or changed."""
    where = place(step.object, step.field)
    full = f"{step.action}({where})"
    values = _values(step)
    if len(full) + len(values) + 1 <= width:
        return [f"{full} {values}".rstrip()]
    if len(full) <= width:
        return [full, *_under("", step, values, width)]
    if values:
        return [
            clip(f"{step.action}({step.object})", width),
            *_under(step.field, step, values, width),
        ]
    return [clip(f"{step.action}(", width), "    " + clip(f"{where})", width - 4)]


def _values(step: TraceStep) -> str:
    """What the step read, or how it changed its field, unless its name says so."""
    if is_locking(step.action) or not (step.before or step.after):
        return ""
    if step.before != step.after:
        # A step that went wrong may have no value after it.
        return f"{step.before} -> {step.after}".lstrip() if step.after else f"(was {step.before})"
    return f"= {step.before}" if only_reads(step.action) else ""


def _under(field_: str, step: TraceStep, values: str, width: int) -> list[str]:
    text = f"{field_} {values}".lstrip()
    lines = [text]
    if len(text) + INDENT > width and step.before and step.after and step.before != step.after:
        lines = [f"{field_} {step.before} ->".lstrip(), f"  {step.after}"]
    return [" " * INDENT + clip(line, width - INDENT) for line in lines]


def _marker(kind: str, gutter: int, column: _Column) -> list[str]:
    mark = f"*** {kind.upper()} ***"
    if kind in _WHOLE_MACHINE:
        return ["", f" {mark}"]
    return [_row("", gutter, column, mark)]


def _folded(trace: Sequence[TraceStep], shown: Sequence[TraceStep]) -> list[str]:
    hidden = len(trace) - len(shown)
    if not hidden:
        return []
    loads = sum(is_load(step.action) for step in trace)
    loads -= sum(is_load(step.action) for step in shown)
    return ["", f"({plural(hidden, 'load' if loads == hidden else 'step')} not shown)"]
