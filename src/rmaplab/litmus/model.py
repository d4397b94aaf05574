"""A litmus: a scenario for the kernel, as plain data.

Every reader (text, JSON case, strace log, Python) builds these objects, and nothing here executes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rmaplab.errors import Place


@dataclass(frozen=True)
class Step:
    """One step: an operation, the process that does it, its operands, and where it is written."""

    op: str
    process: str | None
    args: Mapping[str, Any]
    place: Place

    def __str__(self) -> str:
        operands = " ".join(f"{key}={value}" for key, value in self.args.items())
        who = f"{self.process}: " if self.process else ""
        return f"{who}{self.op} {operands}".rstrip()


@dataclass(frozen=True)
class Expectation:
    """`kernels` is a name, a range FIRST..LAST (an end may be missing), `*` or `before-*`."""

    kernels: str
    verdict: str
    place: Place


@dataclass(frozen=True)
class Litmus:
    """A scenario: set-up in order, one block per CPU concurrently, a last block in order."""

    name: str
    about: str = ""
    processes: tuple[str, ...] = ("A",)
    config: Mapping[str, bool] = field(default_factory=dict)
    ksm: Mapping[str, int] = field(default_factory=dict)
    bound: Mapping[str, int] = field(default_factory=dict)
    pageblock: int | None = None
    setup: tuple[Step, ...] = ()
    cpus: Mapping[int, tuple[Step, ...]] = field(default_factory=dict)
    finally_: tuple[Step, ...] = ()
    alive: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    expect: tuple[Expectation, ...] = ()
    observations: tuple[Mapping[str, Any], ...] = ()
    unstable: tuple[tuple[int, str, tuple[str, ...]], ...] = ()
    drop: tuple[str, ...] = ()
    path: str = ""
