"""Many verdicts at once: the table of litmus and kernels, and what a clean verdict covered."""

from __future__ import annotations

from collections.abc import Sequence

from rmaplab.checker.verdict import CLEAN, UNDETERMINED, Coverage, Outcome, Result
from rmaplab.report.words import aligned, plural, ranges

CODES = {
    CLEAN: ".",
    "use-after-free": "uaf",
    "double-free": "dbl",
    "refcount-underflow": "under",
    "leak": "leak",
    "deadlock": "hang",
    "bad-unlock": "unlock",
    "data-race": "race",
    "lock-order": "order",
    "missed-mapping": "miss",
    "wrong-data": "data",
    "bug-on": "BUG",
    "sleep-in-atomic": "atomic",
    "growth": "grow",
    UNDETERMINED: "?",
}


def render_matrix(results: Sequence[Result]) -> str:
    """Litmus down, kernels across in the order given, then all that is not as expected."""
    blocks = [
        _table(results) if results else [],
        _legend(results),
        _listed("Not as expected:", [result for result in results if _wrong(result)]),
        _listed("Undetermined:", [result for result in results if _open(result)]),
        _vacuous(results),
        [_summary(results)],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def render_clean(result: Result) -> str:
    """What was covered, and what the verdict rests on: a pass must mean something."""
    outcome = result.outcome
    lines = [f"{result.title}: {result.verdict}{_wanted(result)}"]
    if outcome.reason:
        lines.append(f"  {outcome.reason}")
    lines.append(f"  {_extent(outcome)}, {outcome.seconds:.2f} s")
    if outcome.omission:
        lines.append(
            f"  kept as 64-bit fingerprints: with probability {outcome.omission:.0e} at most, "
            "a state was missed (--exact: never)"
        )
    lines += _covered(outcome.coverage)
    lines += [f"  warning: {each}" for each in result.warnings]
    if result.assumptions:
        lines += ["  assuming that", *(f"    {each}" for each in result.assumptions)]
    return "\n".join(lines) + "\n"


def _extent(outcome: Outcome) -> str:
    steps = plural(outcome.transitions, "transition")
    if outcome.executions:
        rate = outcome.executions / max(outcome.seconds, 0.001)
        return f"{plural(outcome.executions, 'execution')}, {steps}, {rate:,.0f} executions/s"
    extent = "every interleaving" if outcome.complete else "NOT every interleaving"
    return f"{extent}: {plural(outcome.states, 'state')}, {steps}"


def _wanted(result: Result) -> str:
    return "" if result.as_expected else f" (expected {result.expected or CLEAN})"


def _covered(coverage: Sequence[Coverage]) -> list[str]:
    if not coverage:
        return ["  lines reached: not recorded"]
    reached = sum(len(each.reached) for each in coverage)
    total = reached + sum(len(each.missed) for each in coverage)
    lines = [f"  {plural(len(coverage), 'function')}, {reached:,} of {total:,} lines reached"]
    partly = [each for each in coverage if each.missed and each.reached]
    if partly:
        lines.append("  never reached:")
        rows = [[each.function, f"{each.file}:{ranges(each.missed)}"] for each in partly]
        lines += [f"    {row}" for row in aligned(rows)]
    never = [each.function for each in coverage if each.missed and not each.reached]
    if never:
        lines.append(f"  never entered: {', '.join(never)}")
    return lines


def _table(results: Sequence[Result]) -> list[str]:
    kernels = list(dict.fromkeys(result.kernel for result in results))
    names = list(dict.fromkeys(result.litmus for result in results))
    cells = {(result.litmus, result.kernel): _cell(result) for result in results}
    first = max(len(name) for name in names) + 2
    rows = [[cells.get((name, kernel), "") for kernel in kernels] for name in names]
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    lines = _stairs(kernels, widths, first)
    for name, row in zip(names, rows, strict=True):
        text = "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append((name.ljust(first) + text).rstrip())
    return lines


def _stairs(kernels: Sequence[str], widths: Sequence[int], first: int) -> list[str]:
    """Each kernel's name above its column, one a line, with a post for those already named."""
    lines = []
    for index, kernel in enumerate(kernels):
        posts = "".join("|".ljust(width) for width in widths[:index])
        lines.append(" " * first + posts + kernel)
    posts = "".join("|".ljust(width) for width in widths)
    return [*lines, (" " * first + posts).rstrip()]


def _cell(result: Result) -> str:
    mark = "+" if len(result.outcome.violations) > 1 else ""
    mark += "!" if _wrong(result) else ""
    return CODES.get(result.verdict, result.verdict) + mark


def _legend(results: Sequence[Result]) -> list[str]:
    seen = {result.verdict for result in results}
    entries = [f"{code} = {verdict}" for verdict, code in CODES.items() if verdict in seen]
    if any(len(result.outcome.violations) > 1 for result in results):
        entries.append("+ = and other causes")
    if any(_wrong(result) for result in results):
        entries.append("! = not as expected")
    lines: list[str] = []
    for entry in entries:
        if lines and len(lines[-1]) + len(entry) + 3 <= 100:
            lines[-1] += f"   {entry}"
        else:
            lines.append(entry)
    return lines


def _listed(title: str, results: Sequence[Result]) -> list[str]:
    if not results:
        return []
    rows = [["litmus", "kernel", "expected", "got"]]
    lines = []
    for result in results:
        rows.append([result.litmus, result.kernel, result.expected or CLEAN, result.verdict])
    for row, why in zip(aligned(rows), ["", *map(_why, results)], strict=True):
        lines.append(f"  {row}")
        if why:
            lines.append(f"    {why}")
    return [title, *lines]


def _vacuous(results: Sequence[Result]) -> list[str]:
    """Clean verdicts that say nothing: each warning with the kernels that it is about."""
    kernels: dict[tuple[str, str], list[str]] = {}
    for result in results:
        for warning in result.warnings:
            kernels.setdefault((result.litmus, warning), []).append(result.kernel)
    if not kernels:
        return []
    lines = ["Clean, but it says nothing:"]
    for (litmus, warning), names in kernels.items():
        lines += [f"  {litmus}: {warning}", f"    on {', '.join(names)}"]
    return lines


def _why(result: Result) -> str:
    violation = result.outcome.violation
    return violation.message if violation else result.outcome.reason


def _summary(results: Sequence[Result]) -> str:
    wrong = sum(_wrong(result) for result in results)
    undetermined = sum(_open(result) for result in results)
    good = len(results) - wrong - undetermined
    checks = plural(len(results), "check")
    return f"{checks}, {good:,} as expected, {wrong:,} not, {undetermined:,} undetermined"


def _open(result: Result) -> bool:
    """A limit was reached: never a pass, whatever was expected."""
    return result.verdict == UNDETERMINED


def _wrong(result: Result) -> bool:
    return not result.as_expected and not _open(result)
