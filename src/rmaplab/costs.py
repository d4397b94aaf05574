"""What a load cost on a kernel, as plain data: made by the runner, shown by the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Distribution:
    """How often each value was met."""

    counts: Mapping[int, int]

    @property
    def total(self) -> int:
        """How many values there are."""
        return sum(self.counts.values())

    @property
    def sum(self) -> int:
        """All values together."""
        return sum(each * n for each, n in self.counts.items())

    @property
    def mean(self) -> float:
        """Their mean; 0 of none."""
        return self.sum / max(1, self.total)

    @property
    def worst(self) -> int:
        """The greatest; 0 of none."""
        return max(self.counts, default=0)

    def quantile(self, percent: int) -> int:
        """The least value that so many per cent of all do not exceed; 0 of none."""
        left = -(-self.total * percent // 100)
        for each in sorted(self.counts):
            left -= self.counts[each]
            if left <= 0:
                return each
        return 0


@dataclass(frozen=True)
class Slab:
    """A slab cache: the most objects that were there at once, and the bytes of one."""

    name: str
    objects: int
    size: int

    @property
    def bytes(self) -> int:
        """All objects together."""
        return self.objects * self.size


@dataclass(frozen=True)
class Locking:
    """What was done to the locks of anon_vmas, which since the root's lock are those of roots.

    `taken` and `held` have one value for each lock: how often it was taken, and for how many
    operations it was held in all; `holds` has the length of each hold.
    """

    taken: Distribution
    held: Distribution
    holds: Distribution


@dataclass(frozen=True)
class Moment:
    """What there is after a step; steps count from 1."""

    step: int
    text: str
    vmas: int
    anon_vmas: int
    chains: int


@dataclass(frozen=True)
class Costs:
    """What a load cost on a kernel.

    `walks` has, for each mapped anonymous page, how many VMAs a walk of its reverse map looks at,
    after the step `walked`. `stopped` tells the wrong state of the kernel that ended the run, if
    there was one.
    """

    load: str
    kernel: str
    slabs: tuple[Slab, ...]
    walked: int
    walks: Distribution
    locking: Locking
    moments: tuple[Moment, ...]
    stopped: str = ""
