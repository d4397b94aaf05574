"""v6.0: CVE-2022-42703.

Left out: 4e4a9eb92133 "mm/rmap.c: reuse mergeable anon_vma as parent when fork", v5.5, which was
reverted before v5.10: in between a child's VMA got its parent's own anon_vma where that is also the
one of the VMA before. 47b390d23bf8 "mm/rmap.c: don't reuse anon_vma if we just want a copy", v5.5,
changes nothing without it: who wants a copy has an anon_vma, or there is none to copy.
"""

from __future__ import annotations

from typing import Any, ClassVar

from rmaplab.history.v3_19 import AnonVmaWithDegree
from rmaplab.history.v6_0_pages import Commit5535be309971
from rmaplab.machine import Struct, removed, value


class AnonVmaWithTwoCounts(AnonVmaWithDegree):
    """struct anon_vma that tells its children from the VMAs whose own it is."""

    degree: Any = removed()
    num_children: int = value(0)
    num_active_vmas: int = value(0)


class Commit2555283eb40d(Commit5535be309971):
    """2555283eb40d "mm/rmap: Fix anon_vma->degree ambiguity leading to double-reuse".

    2022-08-31, v6.0. CVE-2022-42703: of an anon_vma that two forks used, one VMA may be merged into
    another whose chain is not the same, and its pages be lost to the reverse map.
    """

    AnonVma: ClassVar[type[Struct]] = AnonVmaWithTwoCounts

    def anon_vma_count_none(self, anon_vma: Any) -> None:
        """Begin at nothing."""
        anon_vma.num_children = 0
        anon_vma.num_active_vmas = 0

    def anon_vma_alloc_root(self) -> Any:
        """A root is its own child."""
        anon_vma = super().anon_vma_alloc_root()
        if anon_vma is not None:
            anon_vma.num_children += 1
        return anon_vma

    def anon_vma_alloc_own(self) -> Any:
        """A child's anon_vma has a VMA from the beginning."""
        anon_vma = super().anon_vma_alloc_own()
        if anon_vma is not None:
            anon_vma.num_active_vmas += 1
        return anon_vma

    def anon_vma_count_vma(self, anon_vma: Any, change: int) -> None:
        """VMAs have a count of their own."""
        anon_vma.num_active_vmas += change

    def anon_vma_count_child(self, anon_vma: Any, change: int) -> None:
        """So have children."""
        anon_vma.num_children += change

    def anon_vma_reusable(self, anon_vma: Any, src: Any) -> bool:
        """If it is no VMA's own, and has at most one child."""
        return bool(anon_vma.num_children < 2 and anon_vma.num_active_vmas == 0)
