"""How to explore a scenario: what a user may ask of the checker."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class Reduction(enum.Enum):
    """A way to look at fewer states; docs/how-the-checker-works.md says why each is sound."""

    PARTIAL_ORDER = "partial-order"
    LAST_ACCESS = "last-access"
    UNSTORED = "unstored"
    SYMMETRY = "symmetry"


#: All reductions, and none: the full walk.
EVERY = frozenset(Reduction)
NONE: frozenset[Reduction] = frozenset()


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
    """Within which limits, with which reductions, and whether the first violation is enough.

    And how the walk in compiled code is done.
    """

    limits: Limits = field(default_factory=Limits)
    reductions: frozenset[Reduction] = EVERY
    first: bool = False
    sample: Sample | None = None
    native: Native = field(default_factory=Native)
