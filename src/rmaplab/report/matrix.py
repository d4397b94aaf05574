"""Many verdicts at once: the table of litmus and kernels, and what a clean verdict covered."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rmaplab.checker.verdict import CLEAN, UNDETERMINED, Coverage, Result
from rmaplab.report.words import aligned, plural

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
    UNDETERMINED: "?",
}


def render_matrix(results: Sequence[Result]) -> str:
    """Litmus down, kernels across in the order given, then all that is not as expected."""
    blocks = [
        _table(results) if results else [],
        _legend(results),
        _listed("Not as expected:", [result for result in results if _wrong(result)]),
        _listed("Undetermined:", [result for result in results if _open(result)]),
        [_summary(results)],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def render_clean(result: Result) -> str:
    """What was covered, and what the verdict rests on: a pass must mean something."""
    outcome = result.outcome
    lines = [f"{result.litmus} on {result.kernel}: {result.verdict}{_wanted(result)}"]
    if outcome.reason:
        lines.append(f"  {outcome.reason}")
    extent = "every interleaving" if outcome.complete else "NOT every interleaving"
    lines.append(
        f"  {extent}: {plural(outcome.states, 'state')}, "
        f"{plural(outcome.transitions, 'transition')}, {outcome.seconds:.2f} s"
    )
    if outcome.omission:
        lines.append(
            f"  kept as 64-bit fingerprints: with probability {outcome.omission:.0e} at most, "
            "a state was missed (--exact: never)"
        )
    lines += _covered(outcome.coverage)
    if result.assumptions:
        lines += ["  assuming that", *(f"    {each}" for each in result.assumptions)]
    return "\n".join(lines) + "\n"


def ranges(numbers: Sequence[int]) -> str:
    """Line numbers as people write them: `3, 7-9`."""
    runs = []
    # Neighbours share the difference between number and rank.
    for _, group in groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        runs.append(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}")
    return ", ".join(runs)


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
    mark = "!" if _wrong(result) else ""
    return CODES.get(result.verdict, result.verdict) + mark


def _legend(results: Sequence[Result]) -> list[str]:
    seen = {result.verdict for result in results}
    entries = [f"{code} = {verdict}" for verdict, code in CODES.items() if verdict in seen]
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
