"""KTAP, version 1: what kernel CI reads (Documentation/dev-tools/ktap.rst)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rmaplab.checker.verdict import UNDETERMINED, Result
from rmaplab.report.violation import render_violation

INDENT = "  "


def render_ktap(results: Sequence[Result]) -> str:
    """A test for each litmus, a subtest for each kernel: `ok` is a verdict as expected.

    A limit that was reached is `not ok` with the directive TIMEOUT: never a pass.
    What is not as expected is told in full in diagnostic lines before its result.
    """
    litmuses = [(name, list(group)) for name, group in groupby(results, lambda each: each.litmus)]
    lines = ["KTAP version 1", f"1..{len(litmuses)}"]
    for number, (name, group) in enumerate(litmuses, 1):
        lines += [INDENT + line for line in _subtests(name, group)]
        lines.append(_line(all(map(_passed, group)), number, name))
    return "\n".join(lines) + "\n"


def _subtests(name: str, group: Sequence[Result]) -> list[str]:
    lines = ["KTAP version 1", f"# Subtest: {name}", f"1..{len(group)}"]
    for number, result in enumerate(group, 1):
        lines += _diagnostics(result)
        directive = f"TIMEOUT {result.outcome.reason}" if result.verdict == UNDETERMINED else ""
        lines.append(_line(_passed(result), number, result.kernel, directive))
    return lines


def _passed(result: Result) -> bool:
    return result.as_expected and result.verdict != UNDETERMINED


def _line(passed: bool, number: int, name: str, directive: str = "") -> str:
    line = f"{'ok' if passed else 'not ok'} {number} {name.replace('#', '')}"
    return f"{line} # {directive}" if directive else line


def _diagnostics(result: Result) -> list[str]:
    outcome = result.outcome
    told = [f"{result.verdict}: {outcome.states} states in {outcome.seconds:.2f} s"]
    if not result.as_expected and outcome.violation is not None:
        told += render_violation(result).splitlines()
    return [f"# {line}".rstrip() for line in told]
