"""How to explore a scenario: what a user may ask of the checker."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Limits:
    """Where a walk gives up: states stored, seconds, MiB of this process."""

    states: int = 5_000_000
    seconds: float = 600.0
    memory: int = 4096


@dataclass(frozen=True)
class Native:
    """How the walk in compiled code is done, and from how many states on.

    Loading it takes as long as 50,000 states in plain Python.
    With `exact` it keeps whole states, else 64-bit fingerprints.
    It is saved to the file `checkpoint` every `interval` seconds and where a limit ends it, and
    goes on from there if the file is of the same `identity`.
    """

    start: int = 50_000
    exact: bool = False
    cores: int = 2
    checkpoint: str = ""
    interval: float = 60.0
    identity: str = ""


@dataclass(frozen=True)
class Sample:
    """Executions instead of every interleaving; `depth` 0 is uniformly random, else PCT's d."""

    executions: int
    seed: int = 0
    depth: int = 0


@dataclass(frozen=True)
class Options:
    """Within which limits, with or without reduction, and whether the first violation is enough.

    And how the walk in compiled code is done.
    """

    limits: Limits = field(default_factory=Limits)
    reduce: bool = True
    first: bool = False
    sample: Sample | None = None
    native: Native = field(default_factory=Native)
