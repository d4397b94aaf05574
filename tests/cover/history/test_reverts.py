"""What v2.6.34 would do without each of the commits that are taken back."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from rmaplab.history import KERNELS
from rmaplab.kernel.contents import fill
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.mm_types import PAGE_SIZE, VM_READ, VM_WRITE
from rmaplab.machine import KernelStateError
from rmaplab.machine.direct import DirectMachine

BASE = 0x200000
NEXT = BASE + PAGE_SIZE
READ_WRITE = VM_READ | VM_WRITE


def booted(name: str) -> Kernel:
    return KERNELS[name](DirectMachine())


def process(kernel: Kernel, address: int, pages: int = 1) -> Any:
    mm = kernel.mm_alloc()
    kernel.sys_mmap(mm, address, pages * PAGE_SIZE, READ_WRITE)
    return mm


def write(kernel: Kernel, mm: Any, address: int) -> None:
    kernel.user_write(mm, address, lambda _: fill(1))


def chain_of(vma: Any) -> list[Any]:
    """The anon_vmas of a VMA, newest first."""
    return [avc.anon_vma for avc in vma.anon_vma_chain.walk(backwards=False)]


def with_and_without(commit: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("name", "cured"), [("v2.6.34", True), (f"before-{commit}", False)]
    )


# 4946d54cb55e


@with_and_without("4946d54cb55e")
@pytest.mark.parametrize("fail_at", [4, 5])
def test_what_a_failed_fork_leaves_on_the_parents_list(
    name: str, cured: bool, fail_at: int
) -> None:
    """The 4th allocation is the child's own anon_vma, the 5th its entry in the chain."""
    kernel = booted(name)
    mm = process(kernel, BASE)
    write(kernel, mm, BASE)
    with kernel.machine.running(cpu=0, task="A") as context:
        context.fail_at = fail_at
        assert kernel.dup_mm(mm) is None

    live = kernel.anon_vma_cachep.live(), kernel.anon_vma_chain_cachep.live()
    assert [len(each) for each in live] == [1, 1 if cured else 2]
    assert len(kernel.vm_area_cachep.live()) == 1


@with_and_without("4946d54cb55e")
def test_a_fork_with_memory_is_the_same(name: str, cured: bool) -> None:
    kernel = booted(name)
    mm = process(kernel, BASE)
    bare = kernel.dup_mm(mm)
    write(kernel, mm, BASE)
    child = kernel.find_vma(kernel.dup_mm(mm), BASE)

    assert kernel.find_vma(bare, BASE).anon_vma is None
    assert chain_of(child) == [child.anon_vma, kernel.find_vma(mm, BASE).anon_vma]


@with_and_without("4946d54cb55e")
def test_a_clone_that_fails_was_undone_before_too(name: str, cured: bool) -> None:
    kernel = booted(name)
    mm = process(kernel, BASE)
    write(kernel, mm, BASE)
    with kernel.machine.running(cpu=0, task="A") as context:
        context.fail_at = 3
        assert kernel.dup_mm(mm) is None

    assert len(kernel.anon_vma_chain_cachep.live()) == 1


# d0e9fe1758f2


@with_and_without("d0e9fe1758f2")
@pytest.mark.parametrize("below", [False, True])
def test_whether_a_neighbour_with_two_anon_vmas_shares_one(
    name: str, cured: bool, below: bool
) -> None:
    """A child's VMA, and a new one of other protection below or above it."""
    kernel = booted(name)
    old, new = (NEXT, BASE) if below else (BASE, NEXT)
    mm = process(kernel, old)
    write(kernel, mm, old)
    child = kernel.dup_mm(mm)
    kernel.sys_mprotect(child, old, PAGE_SIZE, VM_READ)
    kernel.sys_mmap(child, new, PAGE_SIZE, READ_WRITE)
    write(kernel, child, new)

    neighbour, vma = kernel.find_vma(child, old), kernel.find_vma(child, new)
    assert len(chain_of(neighbour)) == 2
    assert (vma.anon_vma == neighbour.anon_vma) is not cured
    assert chain_of(vma) == [vma.anon_vma]


@with_and_without("d0e9fe1758f2")
@pytest.mark.parametrize("below", [False, True])
@pytest.mark.parametrize(
    ("what", "shares"), [("adjacent", True), ("a gap", False), ("another file", False)]
)
def test_a_neighbour_with_one_shares_it_as_before(
    name: str, cured: bool, below: bool, what: str, shares: bool
) -> None:
    kernel = booted(name)
    old = NEXT if below else BASE
    new = {False: NEXT, True: BASE}[below]
    gap = PAGE_SIZE * (-1 if below else 1) * (what == "a gap")
    mm = process(kernel, old)
    write(kernel, mm, old)
    kernel.sys_mprotect(mm, old, PAGE_SIZE, VM_READ)
    kernel.sys_mmap(mm, new + gap, PAGE_SIZE, READ_WRITE)
    if what == "another file":
        kernel.find_vma(mm, old).vm_file = "a file"
    write(kernel, mm, new + gap)

    shared = kernel.find_vma(mm, old).anon_vma == kernel.find_vma(mm, new + gap).anon_vma
    assert shared is shares


# 287d97ac0321


@with_and_without("287d97ac0321")
@pytest.mark.parametrize("pages", [1, 2])
def test_what_a_vma_has_that_grows_over_pages_of_the_next(
    name: str, cured: bool, pages: int
) -> None:
    """Over one of its two (case 5), or over all of it (case 8)."""
    kernel = booted(name)
    mm = process(kernel, BASE, 3)
    kernel.sys_mprotect(mm, BASE, PAGE_SIZE, VM_READ)
    write(kernel, mm, NEXT)
    kernel.sys_mprotect(mm, NEXT, pages * PAGE_SIZE, VM_READ)

    vma = kernel.find_vma(mm, BASE)
    assert vma.vm_end == NEXT + pages * PAGE_SIZE
    assert chain_of(vma) == ([vma.anon_vma] if cured else [])
    assert vma.anon_vma is not None


@with_and_without("287d97ac0321")
def test_a_vma_that_gives_pages_to_the_next_gives_its_chain(name: str, cured: bool) -> None:
    """Case 4."""
    kernel = booted(name)
    mm = process(kernel, BASE, 3)
    kernel.sys_mprotect(mm, BASE + 2 * PAGE_SIZE, PAGE_SIZE, VM_READ)
    write(kernel, mm, BASE)
    kernel.sys_mprotect(mm, NEXT, PAGE_SIZE, VM_READ)

    vma = kernel.find_vma(mm, NEXT)
    assert (vma.vm_start, vma.vm_end) == (NEXT, BASE + 3 * PAGE_SIZE)
    assert chain_of(vma) == [kernel.find_vma(mm, BASE).anon_vma]


@with_and_without("287d97ac0321")
@pytest.mark.parametrize("written", [None, BASE])
def test_a_vma_that_needs_no_chain_gets_none(name: str, cured: bool, written: int | None) -> None:
    kernel = booted(name)
    mm = process(kernel, BASE, 2)
    kernel.sys_mprotect(mm, NEXT, PAGE_SIZE, VM_READ)
    if written is not None:
        write(kernel, mm, written)
    kernel.sys_mprotect(mm, NEXT, PAGE_SIZE, READ_WRITE)

    vma = kernel.find_vma(mm, BASE)
    assert vma.vm_end == BASE + 2 * PAGE_SIZE
    assert chain_of(vma) == ([] if written is None else [vma.anon_vma])


def test_growing_without_memory_fails_where_the_chain_is_copied() -> None:
    """Case 4 copies in both; the new entry is the only allocation."""
    for name in ("v2.6.34", "before-287d97ac0321"):
        kernel = booted(name)
        mm = process(kernel, BASE, 3)
        kernel.sys_mprotect(mm, BASE + 2 * PAGE_SIZE, PAGE_SIZE, VM_READ)
        write(kernel, mm, BASE)
        vma = kernel.find_vma(mm, BASE)
        with kernel.machine.running(cpu=0, task="A") as context:
            context.fail_at = 1
            assert kernel.vma_import_anon_vma(vma.vm_next, vma) < 0
        assert vma.vm_next.anon_vma is None


# 646d87b481da


@with_and_without("646d87b481da")
def test_the_order_of_a_copied_chain(name: str, cured: bool) -> None:
    """A grandchild's, and that of the half split off it: its own, its parent's, the oldest."""
    kernel = booted(name)
    mm = process(kernel, BASE, 2)
    write(kernel, mm, BASE)
    child = kernel.dup_mm(mm)
    grandchild = kernel.dup_mm(child)
    oldest, parents, own = (
        kernel.find_vma(each, BASE).anon_vma for each in (mm, child, grandchild)
    )
    chain = [own, parents, oldest] if cured else [own, oldest, parents]
    assert chain_of(kernel.find_vma(grandchild, BASE)) == chain

    kernel.sys_mprotect(grandchild, BASE, PAGE_SIZE, VM_READ)
    new_half = chain_of(kernel.find_vma(grandchild, NEXT))
    assert new_half == (chain if cured else chain[::-1])


@with_and_without("646d87b481da")
def test_a_copy_without_memory_leaves_nothing(name: str, cured: bool) -> None:
    kernel = booted(name)
    mm = process(kernel, BASE)
    write(kernel, mm, BASE)
    child = kernel.dup_mm(mm)
    before = len(kernel.anon_vma_chain_cachep.live())
    with kernel.machine.running(cpu=0, task="A") as context:
        context.fail_at = 4  # mm, VMA, and one of the two entries that are copied
        assert kernel.dup_mm(child) is None

    assert len(kernel.anon_vma_chain_cachep.live()) == before


@pytest.mark.parametrize(("name", "freed"), [("root-lock", True), ("76545066c852", False)])
def test_the_order_keeps_the_root_until_a_reference_does(name: str, freed: bool) -> None:
    """The last of three generations exits, and the chain is copied in the wrong order."""

    class TurnedRound(KERNELS[name]):  # type: ignore[misc]
        anon_vma_clone = KERNELS["before-646d87b481da"].anon_vma_clone

    kernel = TurnedRound(DirectMachine())
    with kernel.machine.running(cpu=0, task="A"):
        mm = process(kernel, BASE)
        write(kernel, mm, BASE)
        child = kernel.dup_mm(mm)
        grandchild = kernel.dup_mm(child)
        kernel.mmput(mm)
        kernel.mmput(child)
        with pytest.raises(KernelStateError, match="freed") if freed else nullcontext():
            kernel.mmput(grandchild)
    assert freed or not kernel.anon_vma_cachep.live()


# ea90002b0fa7


@with_and_without("ea90002b0fa7")
def test_whose_a_page_is_that_a_child_maps_first(name: str, cured: bool) -> None:
    kernel = booted(name)
    mm = process(kernel, BASE)
    write(kernel, mm, BASE)
    child = kernel.dup_mm(mm)
    page = kernel.alloc_page()
    kernel.lock_page(page)
    kernel.page_add_anon_rmap(page, kernel.find_vma(child, BASE), BASE)

    owner = mm if cured else child
    assert kernel.page_anon_vma(page) == kernel.find_vma(owner, BASE).anon_vma
