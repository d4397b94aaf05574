"""What commits changed in how mremap and exec move entries, against walks of the reverse map."""

from __future__ import annotations

from typing import Any

import pytest

from rmaplab.history import KERNELS
from rmaplab.kernel.contents import fill
from rmaplab.kernel.exec import STACK_TOP_MAX, LinuxBinprm
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.mm_types import ENOMEM, PAGE_SIZE, VM_READ, VM_WRITE
from rmaplab.kernel.mremap import MREMAP_FIXED, MREMAP_MAYMOVE
from rmaplab.litmus.reader import read_text
from rmaplab.litmus.shipped import shipped
from rmaplab.machine.context import RUNNING, current
from rmaplab.machine.direct import DirectMachine
from rmaplab.runner.run import run

FIRST = 0x200


class Moves:
    """A process with some pages on one kernel, and what its moves did."""

    def __init__(self, name: str, pages: int = 2) -> None:
        self.held: list[list[str]] = []
        self.kernel: Kernel = self._watched(name)(DirectMachine())
        self.mm = self.kernel.mm_alloc()
        self.kernel.sys_mmap(self.mm, FIRST * PAGE_SIZE, pages * PAGE_SIZE, VM_READ | VM_WRITE)
        for page in range(pages):
            self.kernel.user_write(self.mm, (FIRST + page) * PAGE_SIZE, lambda _: fill(1))

    def _watched(self, name: str) -> Any:
        moves = self

        class Watched(KERNELS[name]):  # type: ignore[misc]
            def drop_rmap_locks(self, vma: Any, need_rmap_locks: bool) -> None:
                held = [lock.field for lock in current().held]
                moves.held.append([each for each in held if each in ("lock", "mutex")])
                super().drop_rmap_locks(vma, need_rmap_locks)

        return Watched

    def mremap(self, page: int, to: int) -> int:
        old, new = ((FIRST + each) * PAGE_SIZE for each in (page, to))
        flags = MREMAP_MAYMOVE | MREMAP_FIXED
        return self.kernel.sys_mremap(self.mm, old, PAGE_SIZE, PAGE_SIZE, flags, new)

    def listed(self) -> list[int]:
        """The first pages of the VMAs, in the order in which a walk meets them."""
        anon_vma = self.mm.mmap.anon_vma
        entries = self.kernel.anon_vma_entries(anon_vma)
        return [avc.vma.vm_start // PAGE_SIZE - FIRST for avc in entries]


@pytest.mark.parametrize(
    ("name", "during"),
    [
        ("486cf46f3f9b", [0, 8]),
        ("948f017b0993", [8, 0]),
        ("108d6642ad81", [0, 8]),
        ("38a76013ad80", [0, 8]),
    ],
)
def test_whether_a_vma_that_a_page_comes_back_to_is_met_after_the_source(
    name: str, during: list[int]
) -> None:
    moves, orders = Moves(name), []
    assert moves.mremap(1, 8) == (FIRST + 8) * PAGE_SIZE
    drop_rmap_locks = moves.kernel.drop_rmap_locks
    moves.kernel.drop_rmap_locks = lambda vma, needed: (  # type: ignore[method-assign]
        orders.append(moves.listed()),
        drop_rmap_locks(vma, needed),
    )

    assert moves.mremap(8, 1) == (FIRST + 1) * PAGE_SIZE

    assert orders == [during]
    assert moves.listed() == [0]


@pytest.mark.parametrize(
    ("name", "locks"),
    [
        ("v2.6.38", [0, 0, 0]),
        ("948f017b0993", [0, 0, 0]),
        ("108d6642ad81", [1, 1, 1]),
        ("38a76013ad80", [0, 0, 1]),
    ],
)
def test_when_entries_move_under_the_lock_of_the_anon_vma(name: str, locks: list[int]) -> None:
    """To a new VMA; to one that grows down, still behind the source; and back in front of it."""
    moves = Moves(name, pages=3)
    moves.mremap(2, 9)
    moves.mremap(1, 8)
    moves.mremap(8, 1)

    assert [len(held) for held in moves.held] == locks
    assert current().held == []


@pytest.mark.parametrize(
    ("name", "order", "locks"),
    [
        ("486cf46f3f9b", [0, 8], [0, 0]),
        ("948f017b0993", [8, 0], [0, 0]),
        ("108d6642ad81", [0, 8], [1, 1]),
        ("38a76013ad80", [0, 8], [0, 1]),
    ],
)
def test_what_is_minded_when_entries_have_to_go_back(
    name: str, order: list[int], locks: list[int]
) -> None:
    """Allocations: a VMA, the entry of its chain, one table, and the second, which fails."""
    moves, orders = Moves(name), []
    unmap_moved = moves.kernel.unmap_moved
    moves.kernel.unmap_moved = lambda *arguments: (  # type: ignore[method-assign]
        orders.append(moves.listed()),
        unmap_moved(*arguments),
    )
    context = RUNNING.context
    context.fail_at = context.allocations + 4

    old, new = FIRST * PAGE_SIZE, (FIRST + 8) * PAGE_SIZE
    flags = MREMAP_MAYMOVE | MREMAP_FIXED
    ret = moves.kernel.sys_mremap(moves.mm, old, 2 * PAGE_SIZE, 2 * PAGE_SIZE, flags, new)

    context.fail_at = 0
    assert ret == -ENOMEM
    assert orders == [order]
    assert [len(held) for held in moves.held] == locks


@pytest.mark.parametrize(("name", "locks"), [("108d6642ad81", 1), ("38a76013ad80", 0)])
def test_whether_exec_moves_its_stack_under_the_lock(name: str, locks: int) -> None:
    moves = Moves(name)
    kernel = moves.kernel
    bprm = LinuxBinprm(kernel.mm_alloc())
    assert kernel._bprm_mm_init(bprm) == 0
    kernel.put_page(kernel.get_arg_page(bprm, bprm.p))

    assert kernel.setup_arg_pages(bprm, STACK_TOP_MAX - 8 * PAGE_SIZE) == 0

    assert [len(held) for held in moves.held] == [locks]


@pytest.mark.parametrize(("name", "looks"), [("v2.6.38", 1), ("486cf46f3f9b", 0)])
def test_whether_an_entry_is_looked_at_without_its_lock(name: str, looks: int) -> None:
    seen = []

    class Watched(KERNELS[name]):  # type: ignore[misc]
        def remove_migration_pte_not_at(self, ptep: Any) -> bool:
            there = super().remove_migration_pte_not_at(ptep)
            seen.append(there)
            return there

    text = "litmus x\nprocesses A\nsetup\nA: mmap 0\nA: write 0 = 1\nA: fork B\nB: write 0 = 2\n"
    assert run(read_text(text + "A: migrate 0\n"), Watched).violation is None
    assert sum(seen) == looks  # of the parent's page, the child's VMA has another


def test_the_shipped_scenario_is_cured_by_the_second_of_two_commits() -> None:
    (litmus,) = (each for each in shipped() if each.name == "mremap-against-walk")

    assert [(each.kernels, each.verdict) for each in litmus.expect] == [
        ("*", "missed-mapping"),
        ("948f017b0993..", "clean"),
    ]
