"""A film: what every object holds before the first step of a trace and after each.

This passes from the checker to the drawings, as `verdict` does to the reports.
"""

from __future__ import annotations

from dataclasses import dataclass

from rmaplab.checker.verdict import Reference, TraceStep


@dataclass(frozen=True)
class Thing:
    """An object, in one life of its memory: `anon_vma#1.2` lives where `anon_vma#1` lived."""

    name: str
    kind: str
    memory: str
    is_static: bool = False


@dataclass(frozen=True)
class Change:
    """A field of an object holds this from now on; `to` names what it points to.

    Of the field `life` the text is "alive" or "freed".
    """

    thing: str
    field: str
    text: str
    to: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shot:
    """One step, and what it changed."""

    step: TraceStep
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Film:
    """A trace to look at: who takes part, what they hold at first, and each step.

    `counted` has by `object.field` who took and dropped references, each with the number of the
    step, 0 in the set-up; `sources` by file and line the text of kernel code that runs. `base` is
    the address of page 0.
    """

    things: tuple[Thing, ...]
    start: tuple[Change, ...]
    shots: tuple[Shot, ...]
    counted: dict[str, tuple[tuple[int, Reference], ...]]
    sources: dict[str, str]
    base: int = 0
    title: str = ""
    kernel: str = ""
    verdict: str = ""
