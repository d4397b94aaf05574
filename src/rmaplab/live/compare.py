"""The model and the running kernel, held against each other after each step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from difflib import SequenceMatcher
from itertools import zip_longest
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any

from rmaplab.litmus.model import Litmus
from rmaplab.live.knobs import Knobs
from rmaplab.live.run import check_live, run_live
from rmaplab.live.slab import CACHES, census
from rmaplab.runner.choice import NamedKernel
from rmaplab.runner.run import Difference, RunResult, run, verify
from rmaplab.runner.texts import changes, render_difference, run_document

INDENT = "     "
MARK = ">>   "
GAP = " | "
WIDEST = 160


@dataclass(frozen=True)
class Comparison:
    """Both runs, and the first difference: the running kernel is what is expected."""

    model: RunResult
    live: RunResult
    difference: Difference | None

    @property
    def agrees(self) -> bool:
        """Whether the model went through, and showed what the running kernel did."""
        return self.difference is None and self.model.violation is None


def compare(litmus: Litmus, kernel: NamedKernel, knobs: Knobs, slab: bool = False) -> Comparison:
    """Run a litmus on both; with `slab`, count the objects as well, where they can be counted.

    InputError for a step that one of them does not have.
    """
    check_live(litmus)
    model = run(litmus, kernel.kernel, kernel.name, real=True)
    live = run_live(litmus, knobs)
    if slab:
        for observation, counts in zip(live.observations, census(litmus, knobs), strict=True):
            observation |= {"slab": counts} if len(counts) == len(CACHES) else {}
    shown = replace(litmus, observations=tuple(live.observations))
    return Comparison(model, live, verify(model, shown))


def render_comparison(comparison: Comparison) -> str:
    """Each step with what it changed, the model's on the left; then the first difference."""
    model, live = comparison.model, comparison.live
    width = (min(get_terminal_size().columns, WIDEST) - len(INDENT) - len(GAP)) // 2
    lines = [f"{live.litmus}: {model.kernel} | {live.kernel}"]
    before: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {})
    steps = zip_longest(model.observations, live.observations, fillvalue=None)
    for number, (left, right) in enumerate(steps, 1):
        after = (_only(left or {}, right), right or {})
        lines += ["", f"{number:>3}  {live.texts[number - 1]}"]
        differs = comparison.difference is not None and comparison.difference.step == number
        lines += _beside(_shown(before[0], after[0]), _shown(before[1], after[1]), width, differs)
        before = after
    lines += ["", _verdict(comparison)]
    return "\n".join(lines) + "\n"


def _only(one: Mapping[str, Any], other: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The fields of an observation that another one has as well."""
    return one if other is None else {name: one[name] for name in one if name in other}


def _shown(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    if not after:
        return ["(did not get here)"]
    ret = [f"-> {after['ret']}"] if after["ret"] else []
    return [*ret, *changes(dict(before), dict(after))]


def _beside(left: list[str], right: list[str], width: int, marked: bool) -> list[str]:
    """Two columns; the first row that differs gets the mark, if this is the step to mark."""
    lines = []
    for one, other in _rows(left, right):
        mark = MARK if marked and one != other else INDENT
        marked = marked and one == other
        for row, (cut, rest) in enumerate(
            zip_longest(wrap(one, width), wrap(other, width), fillvalue="")
        ):
            start = mark if row == 0 else INDENT
            lines.append(f"{start}{cut:<{width}}{GAP}{rest}".rstrip())
    return lines


def _rows(left: list[str], right: list[str]) -> Iterator[tuple[str, str]]:
    """Lines about the same thing in one row, and those about what the other does not tell."""
    matcher = SequenceMatcher(None, _subjects(left), _subjects(right), autojunk=False)
    for _, begin, end, other_begin, other_end in matcher.get_opcodes():
        yield from zip_longest(left[begin:end], right[other_begin:other_end], fillvalue="")


def _subjects(lines: list[str]) -> list[tuple[str, str]]:
    """What each line is about: a process and a field, frames, counters."""
    subjects = []
    owner = ""
    for line in lines:
        name, _, rest = line.partition("  ")
        owner = name or owner
        subjects.append((owner, rest.split(maxsplit=1)[0] if owner and rest else ""))
    return subjects


def _verdict(comparison: Comparison) -> str:
    model = comparison.model
    if comparison.difference is not None:
        return render_difference(comparison.difference)
    if model.violation is not None:
        wrong = model.violation
        return f"{wrong.kind} in step {wrong.step} ({wrong.text}) of the model: {wrong.message}"
    return f"{len(model.observations)} steps agree"


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """The comparison as one JSON document: both runs as `rmaplab run` has them."""
    difference = comparison.difference
    return {
        "litmus": comparison.live.litmus,
        "agrees": comparison.agrees,
        "model": run_document(comparison.model),
        "live": run_document(comparison.live),
        "difference": asdict(difference) if difference is not None else None,
    }
