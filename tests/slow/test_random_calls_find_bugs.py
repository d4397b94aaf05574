"""A bug put into a kernel is found by random calls, and shrinks to a litmus of a few steps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from known_bugs import tolerated
from random_calls import Run, litmuses

from rmaplab.history import V2_6_36
from rmaplab.litmus.writer import write_text
from rmaplab.machine import list_for_each_entry, set_pte_at
from rmaplab.machine.direct import DirectMachine


class ForkForgetsTheLinks(V2_6_36):
    def anon_vma_clone(self, dst: Any, src: Any) -> int:
        """4946d54cb55e, 2.6.34: what is linked by then stays linked."""
        for pavc in reversed(list(list_for_each_entry(src.anon_vma_chain))):
            avc = self.anon_vma_chain_alloc()
            if avc is None:
                return -12
            self.anon_vma_chain_link(dst, avc, pavc.anon_vma)
        return 0


class ForkLeavesTheParentWritable(V2_6_36):
    def copy_one_pte(
        self, dst_mm: Any, src_mm: Any, dst_pte: Any, src_pte: Any, vma: Any, address: int
    ) -> None:
        before = src_pte.read()
        super().copy_one_pte(dst_mm, src_mm, dst_pte, src_pte, vma, address)
        set_pte_at(src_pte, before)


class ForkTakesTheParentsAnonVma(V2_6_36):
    def anon_vma_fork_link(self, vma: Any, pvma: Any, avc: Any, anon_vma: Any) -> None:
        super().anon_vma_fork_link(vma, pvma, avc, anon_vma)
        vma.anon_vma_chain.first().same_anon_vma.delete()
        vma.anon_vma_chain.first().anon_vma = None


class MergeHoldsNothing(V2_6_36):
    def hold_anon_vma(self, rmap_item: Any, anon_vma: Any) -> None:
        rmap_item.anon_vma = anon_vma


class SplitMovesNoOffset(V2_6_36):
    def vma_adjust(self, vma: Any, start: int, end: int, pgoff: int, insert: Any) -> int:
        return int(super().vma_adjust(vma, start, end, vma.vm_pgoff, insert))


FOUND = [
    (ForkForgetsTheLinks, {"use-after-free", "leak", "missed-mapping"}),
    (ForkLeavesTheParentWritable, {"wrong-data"}),
    (ForkTakesTheParentsAnonVma, {"missed-mapping"}),
    (MergeHoldsNothing, {"refcount-underflow", "bug-on"}),
    (SplitMovesNoOffset, {"missed-mapping", "bug-on"}),
]


@pytest.mark.parametrize(("kernel", "kinds"), FOUND, ids=lambda each: getattr(each, "__name__", ""))
def test_random_calls_find_a_bug_in_few_steps(kernel: Any, kinds: set[str]) -> None:
    def fails(litmus: Any) -> bool:
        failure = Run(litmus, kernel, DirectMachine(), tolerated("v2.6.36")).failure()
        return failure is not None and failure.kind in kinds

    shortest = find(
        litmuses(1),
        fails,
        settings=settings(
            max_examples=600,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )

    assert len(shortest.setup) <= 6, write_text(shortest)
