"""What all checks of a kernel reached together: of each kernel function its lines."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rmaplab.checker.verdict import Coverage, Result
from rmaplab.report.words import aligned, plural, ranges


def render_coverage(kernel: str, results: Sequence[Result], coverage: Sequence[Coverage]) -> str:
    """The sums, each function that was not reached in full, and those never entered.

    The set-up of a scenario does not count: only what is interleaved does.
    """
    states = sum(result.outcome.states for result in results)
    transitions = sum(result.outcome.transitions for result in results)
    entered = [each for each in coverage if each.reached]
    reached = sum(len(each.reached) for each in coverage)
    total = reached + sum(len(each.missed) for each in coverage)
    lines = [
        f"Coverage of {kernel} by {plural(len(results), 'check')}, set-up apart: "
        f"{plural(states, 'state')}, {plural(transitions, 'transition')}",
        f"  {len(entered):,} of {plural(len(coverage), 'function')} entered, "
        f"{reached:,} of {plural(total, 'line')} reached ({_percent(reached, total)})",
    ]
    partly = [_row(each) for each in entered if each.missed]
    if partly:
        rows = aligned([("function", "lines", "reached", "never reached"), *partly])
        lines += [f"  {row}" for row in rows]
    full = [each.function for each in entered if not each.missed]
    never = [each.function for each in coverage if not each.reached and each.missed]
    return (
        "\n".join([*lines, *_names("reached in full", full), *_names("never entered", never)])
        + "\n"
    )


def _row(each: Coverage) -> tuple[str, ...]:
    reached, total = len(each.reached), len(each.reached) + len(each.missed)
    missed = f"{each.file}:{ranges(each.missed)}"
    return each.function, f"{reached} of {total}", _percent(reached, total), missed


def _names(what: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    text = f"{len(names):,} {what}: {', '.join(names)}"
    return textwrap.wrap(text, 100, initial_indent="  ", subsequent_indent="    ")


def _percent(part: int, whole: int) -> str:
    return f"{100 * part // whole} %" if whole else "100 %"
