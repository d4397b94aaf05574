"""What the commits of v2.6.36 changed at swapin, each beside the kernel before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from rmaplab.history import KERNELS
from rmaplab.kernel.contents import fill
from rmaplab.kernel.memory_swap import SwapFault
from rmaplab.kernel.pgtable import SwapEntry
from rmaplab.machine import pte_get, pte_offset_map
from rmaplab.machine.direct import DirectMachine
from rmaplab.runner.places import address_of
from rmaplab.runner.system import System

ENTRY = SwapEntry(1)


@pytest.fixture
def swapped() -> Iterator[Callable[[str], System]]:
    """A function from a kernel to a system where A and its child B have page 0 in swap only."""
    with ExitStack() as stack:

        def start(name: str) -> System:
            machine = DirectMachine()
            stack.enter_context(machine.running(0, "A"))
            system = System(KERNELS[name], machine, ("A",), {"CONFIG_SWAP": True})
            steps = (system.mmap("A", 0), system.write("A", 0, c=7), system.fork("A", "B"))
            assert (*steps, system.swap_out("A", 0)) == (0, 0, 0, 0)
            return system

        yield start


@pytest.mark.parametrize(("name", "shared"), [("26ba0cb63cb8", False), ("ba6f0ff3981e", True)])
def test_a_child_maps_the_page_of_its_parent(swapped: Any, name: str, shared: bool) -> None:
    system = swapped(name)
    system.swap_in("A", 0)
    system.swap_in("B", 0)

    assert (system.page_at("A", 0) is system.page_at("B", 0)) == shared


@pytest.mark.parametrize(("name", "own"), [("44ab57a06ded", False), ("ad8c2ee801ad", True)])
def test_the_page_of_a_child_alone_gets_its_own_anon_vma(
    swapped: Any, name: str, own: bool
) -> None:
    system = swapped(name)
    system.exit("A")
    assert system.write("B", 0, c=8) == 0

    page, vma = system.page_at("B", 0), system.tasks["B"].mm.mmap
    assert system.kernel.page_anon_vma(page) is (vma.anon_vma if own else vma.anon_vma.root)


def late_fault(system: System, take_away: Any) -> tuple[int, Any]:
    """A fault that found the page in the swap cache, but was late to lock it."""
    kernel, mm = system.kernel, system.tasks["A"].mm
    system.swap_in("B", 0)
    pte = pte_offset_map(mm.pgd, address_of(0))
    fault = SwapFault(mm, mm.mmap, address_of(0), pte, ENTRY, False)
    page = kernel.lookup_swap_cache(ENTRY)
    kernel.lock_page(page)
    take_away(page)
    return kernel.swapin_locked(fault, page), pte_get(pte)


@pytest.mark.parametrize(("name", "mapped"), [("f18194275c39", True), ("4969c1192d15", False)])
def test_a_page_that_left_the_swap_cache_is_not_mapped(
    swapped: Any, name: str, mapped: bool
) -> None:
    system = swapped(name)

    ret, entry = late_fault(system, system.kernel.delete_from_swap_cache)

    assert ret == 0
    assert (entry != ENTRY) == mapped
    assert system.read("A", 0) == 0 and system.contents_of(
        pte_get(pte_offset_map(system.tasks["A"].mm.pgd, address_of(0)))
    ) == fill(7)


@pytest.mark.parametrize(("name", "mapped"), [("4969c1192d15", True), ("31c4a3d3a0f8", False)])
def test_a_page_that_came_back_under_another_slot_is_not_mapped(
    swapped: Any, name: str, mapped: bool
) -> None:
    system = swapped(name)

    def move(page: Any) -> None:
        system.kernel.delete_from_swap_cache(page)
        system.kernel.get_swap_page()  # somebody else's
        assert system.kernel.add_to_swap(page)

    _, entry = late_fault(system, move)

    assert (entry != ENTRY) == mapped


def test_without_memory_for_the_copy_nothing_stays_locked(swapped: Any) -> None:
    system = swapped("v2.6.36")

    def is_merged_elsewhere(page: Any) -> None:
        page.index += 1
        system.kernel.alloc_page = lambda: None

    ret, entry = late_fault(system, is_merged_elsewhere)

    assert (ret, entry) == (1, ENTRY)
    assert not system.page_at("B", 0).locked.is_locked()
