"""How to explore a scenario: what a user may ask of the checker."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class Reduction(enum.Enum):
    """A way to look at fewer states; docs/how-the-checker-works.md says why each is sound."""

    PARTIAL_ORDER = "partial-order"
    LAST_ACCESS = "last-access"
    UNSTORED = "unstored"


#: All reductions, and none: the full walk.
EVERY = frozenset(Reduction)
NONE: frozenset[Reduction] = frozenset()


@dataclass(frozen=True)
class Limits:
    """Where a walk gives up: states stored, seconds."""

    states: int = 5_000_000
    seconds: float = 600.0


@dataclass(frozen=True)
class Options:
    """Within which limits, with which reductions, and whether the first violation is enough."""

    limits: Limits = field(default_factory=Limits)
    reductions: frozenset[Reduction] = EVERY
    first: bool = False
