"""How to explore a scenario: what a user may ask of the checker."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Limits:
    """Where a walk gives up: states stored, seconds."""

    states: int = 5_000_000
    seconds: float = 600.0


@dataclass(frozen=True)
class Sample:
    """Executions instead of every interleaving; `depth` 0 is uniformly random, else PCT's d."""

    executions: int
    seed: int = 0
    depth: int = 0


@dataclass(frozen=True)
class Options:
    """Within which limits, with or without reduction, and whether the first violation is enough."""

    limits: Limits = field(default_factory=Limits)
    reduce: bool = True
    first: bool = False
    sample: Sample | None = None
