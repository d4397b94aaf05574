"""The reverse map of 2.6.34, in order: chains, lifetimes, and the walks over a page's mappings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rmaplab.kernel.contents import fill
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.madvise import MADV_MERGEABLE
from rmaplab.kernel.mm_types import (
    EFAULT,
    PAGE_MAPPING_ANON,
    PAGE_MAPPING_KSM,
    PAGE_SIZE,
    VM_LOCKED,
    VM_READ,
    VM_SEQ_READ,
    VM_WRITE,
)
from rmaplab.kernel.pgtable import MigrationEntry
from rmaplab.kernel.rmap import (
    SWAP_AGAIN,
    SWAP_FAIL,
    SWAP_MLOCK,
    SWAP_SUCCESS,
    TTU_IGNORE_ACCESS,
    TTU_IGNORE_MLOCK,
    TTU_MIGRATION,
    TTU_UNMAP,
)
from rmaplab.machine import BugOn, KernelStateError
from rmaplab.machine.context import Context
from rmaplab.machine.direct import DirectMachine

BASE = 0x200000
MIGRATE = TTU_MIGRATION | TTU_IGNORE_MLOCK | TTU_IGNORE_ACCESS


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(DirectMachine())


@pytest.fixture(autouse=True)
def context(kernel: Kernel) -> Iterator[Context]:
    with kernel.machine.running(cpu=0, task="A") as running:
        yield running


def process(kernel: Kernel, pages: int = 1) -> Any:
    """A process that has written that many pages from BASE on."""
    mm = kernel.mm_alloc()
    kernel.sys_mmap(mm, BASE, pages * PAGE_SIZE, VM_READ | VM_WRITE)
    for number in range(pages):
        kernel.user_write(mm, BASE + number * PAGE_SIZE, lambda _: fill(7))
    return mm


def vma_of(kernel: Kernel, mm: Any) -> Any:
    return kernel.find_vma(mm, BASE)


def page_of(kernel: Kernel, mm: Any, number: int = 0) -> Any:
    """The page mapped there, without a reference."""
    page = kernel.follow_page(vma_of(kernel, mm), BASE + number * PAGE_SIZE)
    kernel.put_page(page)
    return page


def chain_of(vma: Any) -> list[Any]:
    return [avc.anon_vma for avc in vma.anon_vma_chain.walk(backwards=False)]


def live(kernel: Kernel) -> tuple[int, int]:
    """How many anon_vmas and chain entries there are."""
    return len(kernel.anon_vma_cachep.live()), len(kernel.anon_vma_chain_cachep.live())


def entry_of(mm: Any, address: int = BASE) -> Any:
    return mm.pgd.find(address).read()


# Chains


def test_the_first_write_gives_a_vma_one_anon_vma(kernel: Kernel) -> None:
    vma = vma_of(kernel, process(kernel))

    assert live(kernel) == (1, 1)
    assert chain_of(vma) == [vma.anon_vma]
    assert [avc.vma for avc in vma.anon_vma.head.walk(backwards=False)] == [vma]


def test_a_second_write_changes_no_chain(kernel: Kernel) -> None:
    mm = process(kernel)

    assert kernel.anon_vma_prepare(vma_of(kernel, mm)) == 0
    assert live(kernel) == (1, 1)


def test_a_chain_is_newest_first_and_the_oldest_anon_vma_is_last(kernel: Kernel) -> None:
    mm = process(kernel)
    child = kernel.dup_mm(mm)
    grandchild = kernel.dup_mm(child)

    vmas = [vma_of(kernel, each) for each in (grandchild, child, mm)]

    assert chain_of(vmas[0]) == [vma.anon_vma for vma in vmas]
    assert chain_of(vmas[1]) == [vma.anon_vma for vma in vmas[1:]]


# The numbers of slab objects are those that a real Linux 6.18 showed: see the cases' README.


def test_a_line_of_forks_costs_what_a_real_kernel_shows(kernel: Kernel) -> None:
    mm = process(kernel)
    seen = []
    for _ in range(5):
        mm = kernel.dup_mm(mm)
        seen.append(live(kernel))

    assert seen == [(2, 3), (3, 6), (4, 10), (5, 15), (6, 21)]


def test_siblings_cost_what_a_real_kernel_shows(kernel: Kernel) -> None:
    mm = process(kernel)
    seen = []
    for _ in range(4):
        kernel.dup_mm(mm)
        seen.append(live(kernel))

    assert seen == [(2, 3), (3, 5), (4, 7), (5, 9)]


def test_a_line_whose_parents_exit_grows_without_end(kernel: Kernel) -> None:
    """Cured by 7a3ef208e662 "mm: prevent endless growth of anon_vma hierarchy", 3.19."""
    mm = process(kernel)
    seen = []
    for _ in range(4):
        child = kernel.dup_mm(mm)
        kernel.mmput(mm)
        mm = child
        seen.append(live(kernel))

    assert seen == [(2, 2), (3, 3), (4, 4), (5, 5)]


def test_a_vma_without_anon_vma_is_forked_without(kernel: Kernel) -> None:
    mm = kernel.mm_alloc()
    kernel.sys_mmap(mm, BASE, PAGE_SIZE, VM_READ | VM_WRITE)

    child = kernel.dup_mm(mm)

    assert vma_of(kernel, child).anon_vma is None
    assert live(kernel) == (0, 0)


def test_nothing_is_left_when_all_have_gone(kernel: Kernel) -> None:
    mm = process(kernel, pages=3)
    child = kernel.dup_mm(mm)
    kernel.user_write(child, BASE, lambda _: fill(9))
    kernel.mmput(mm)
    kernel.mmput(child)

    assert live(kernel) == (0, 0)
    assert kernel.page_cachep.live() == ()


@pytest.mark.parametrize("number", [1, 2])
def test_prepare_without_memory_leaves_nothing(
    kernel: Kernel, context: Context, number: int
) -> None:
    mm = kernel.mm_alloc()
    kernel.sys_mmap(mm, BASE, PAGE_SIZE, VM_READ | VM_WRITE)
    context.allocations, context.fail_at = 0, number

    assert kernel.anon_vma_prepare(vma_of(kernel, mm)) < 0
    assert live(kernel) == (0, 0)


@pytest.mark.parametrize("number", range(1, 9))
def test_fork_without_memory_leaves_only_the_parent(
    kernel: Kernel, context: Context, number: int
) -> None:
    mm = kernel.dup_mm(process(kernel))
    before = live(kernel)
    context.allocations, context.fail_at = 0, number
    child = kernel.dup_mm(mm)
    if child is not None:
        kernel.mmput(child)

    assert live(kernel) == before


def test_an_anon_vma_that_ksm_holds_outlives_its_vma(kernel: Kernel) -> None:
    mm = process(kernel)
    item = kernel.alloc_rmap_item()
    kernel.hold_anon_vma(item, vma_of(kernel, mm).anon_vma)

    kernel.mmput(mm)
    assert live(kernel) == (1, 0)

    kernel.ksm_drop_anon_vma(item)
    assert live(kernel) == (0, 0)


def test_without_config_ksm_no_count_is_asked() -> None:
    kernel = Kernel(DirectMachine(), CONFIG_KSM=False)
    with kernel.machine.running(cpu=0, task="A"):
        mm = process(kernel)
        vma_of(kernel, mm).anon_vma.ksm_refcount.set(5)
        kernel.mmput(mm)

    assert live(kernel) == (0, 0)


def test_a_vma_is_locked_through_its_anon_vma(kernel: Kernel) -> None:
    vma = vma_of(kernel, process(kernel))

    kernel.vma_lock_anon_vma(vma)
    assert vma.anon_vma.lock.is_locked()
    kernel.vma_unlock_anon_vma(vma)
    assert not vma.anon_vma.lock.is_locked()


def test_a_vma_without_anon_vma_has_nothing_to_lock(kernel: Kernel, context: Context) -> None:
    mm = kernel.mm_alloc()
    kernel.sys_mmap(mm, BASE, PAGE_SIZE, VM_READ | VM_WRITE)

    kernel.vma_lock_anon_vma(vma_of(kernel, mm))
    kernel.vma_unlock_anon_vma(vma_of(kernel, mm))
    assert context.held == []


def test_merging_vmas_of_different_anon_vmas_is_a_bug(kernel: Kernel) -> None:
    mm, other = process(kernel), process(kernel)

    with pytest.raises(BugOn):
        kernel.anon_vma_merge(vma_of(kernel, mm), vma_of(kernel, other))


def test_of_two_threads_that_fault_at_once_one_links_its_anon_vma(kernel: Kernel) -> None:
    other: list[Any] = []

    class Raced(Kernel):
        def anon_vma_alloc(self) -> Any:
            anon_vma = super().anon_vma_alloc()
            if other:
                assert self.anon_vma_prepare(other.pop()) == 0
            return anon_vma

    raced = Raced(kernel.machine)
    mm = raced.mm_alloc()
    raced.sys_mmap(mm, BASE, PAGE_SIZE, VM_READ | VM_WRITE)
    other.append(vma_of(raced, mm))

    assert raced.anon_vma_prepare(vma_of(raced, mm)) == 0
    assert chain_of(vma_of(raced, mm)) == [vma_of(raced, mm).anon_vma]
    assert live(raced) == (1, 1)


# Pages


def test_a_new_page_belongs_to_the_anon_vma_of_its_vma(kernel: Kernel) -> None:
    child = kernel.dup_mm(process(kernel))
    kernel.user_write(child, BASE, lambda _: fill(9))

    assert kernel.page_anon_vma(page_of(kernel, child)) == vma_of(kernel, child).anon_vma


def test_a_page_mapped_again_belongs_to_the_oldest_anon_vma(kernel: Kernel) -> None:
    mm = process(kernel)
    child = kernel.dup_mm(mm)
    page = kernel.alloc_page()
    kernel.lock_page(page)
    kernel.page_add_anon_rmap(page, vma_of(kernel, child), BASE)

    assert kernel.page_anon_vma(page) == vma_of(kernel, mm).anon_vma


def test_a_page_moves_to_the_anon_vma_of_its_last_owner(kernel: Kernel) -> None:
    mm = process(kernel)
    child = kernel.dup_mm(mm)
    page = page_of(kernel, child)
    kernel.mmput(mm)
    kernel.user_write(child, BASE, lambda _: fill(9))

    assert page_of(kernel, child) == page
    assert kernel.page_anon_vma(page) == vma_of(kernel, child).anon_vma


def test_the_mapping_stays_when_the_last_mapping_goes(kernel: Kernel) -> None:
    mm = process(kernel)
    page = page_of(kernel, mm)
    kernel.get_page(page)
    anon_vma = vma_of(kernel, mm).anon_vma
    kernel.sys_munmap(mm, BASE, PAGE_SIZE)

    assert not kernel.page_mapped(page)
    assert page.mapping == (PAGE_MAPPING_ANON, anon_vma)


def test_a_mapped_page_gives_its_anon_vma_locked_under_rcu(
    kernel: Kernel, context: Context
) -> None:
    mm = process(kernel)

    anon_vma = kernel.page_lock_anon_vma(page_of(kernel, mm))
    assert anon_vma == vma_of(kernel, mm).anon_vma
    assert (context.held, context.rcu) == ([anon_vma.lock], 1)

    kernel.page_unlock_anon_vma(anon_vma)
    assert (context.held, context.rcu) == ([], 0)


@pytest.mark.parametrize("mapping", [None, (PAGE_MAPPING_ANON | PAGE_MAPPING_KSM, None)])
def test_a_page_without_anon_vma_gives_none(kernel: Kernel, context: Context, mapping: Any) -> None:
    page = page_of(kernel, process(kernel))
    page.mapping = mapping

    assert kernel.page_lock_anon_vma(page) is None
    assert kernel.page_anon_vma(page) is None
    assert context.rcu == 0


def test_an_unmapped_page_gives_no_anon_vma(kernel: Kernel, context: Context) -> None:
    mm = process(kernel)
    page = page_of(kernel, mm)
    kernel.get_page(page)
    kernel.sys_munmap(mm, BASE, PAGE_SIZE)

    assert kernel.page_lock_anon_vma(page) is None
    assert context.rcu == 0


def test_a_page_has_an_address_only_inside_the_vma(kernel: Kernel) -> None:
    mm = process(kernel, pages=3)
    first, second, last = (page_of(kernel, mm, number) for number in range(3))
    kernel.get_page(first)
    kernel.get_page(last)
    kernel.sys_munmap(mm, BASE, PAGE_SIZE)
    kernel.sys_munmap(mm, BASE + 2 * PAGE_SIZE, PAGE_SIZE)
    vma = vma_of(kernel, mm)

    addresses = [kernel.page_address_in_vma(page, vma) for page in (first, second, last)]

    assert addresses == [-EFAULT, BASE + PAGE_SIZE, -EFAULT]


def test_a_page_that_is_not_anonymous_has_no_address(kernel: Kernel) -> None:
    assert kernel.page_address_in_vma(kernel.alloc_page(), None) == -EFAULT


def test_a_page_is_checked_under_the_page_table_lock(kernel: Kernel) -> None:
    mm = process(kernel)

    pte = kernel.page_check_address(page_of(kernel, mm), mm, BASE)

    assert pte is not None
    assert mm.page_table_lock.is_locked()


@pytest.mark.parametrize("sync", [False, True])
def test_a_page_that_is_not_there_leaves_the_lock_free(kernel: Kernel, sync: bool) -> None:
    mm, other = process(kernel), process(kernel)
    empty = kernel.mm_alloc()
    empty.pgd.allocate(BASE)
    page = page_of(kernel, mm)

    for where in (other, empty, kernel.mm_alloc()):
        assert kernel.page_check_address(page, where, BASE, sync) is None
        assert not where.page_table_lock.is_locked()


def test_whether_a_page_is_mapped_in_a_vma(kernel: Kernel) -> None:
    mm = process(kernel, pages=2)
    child = kernel.dup_mm(mm)
    kernel.user_write(child, BASE, lambda _: fill(9))
    page = page_of(kernel, mm)

    assert kernel.page_mapped_in_vma(page, vma_of(kernel, mm))
    assert not kernel.page_mapped_in_vma(page, vma_of(kernel, child))
    page.index = 0
    assert not kernel.page_mapped_in_vma(page, vma_of(kernel, mm))
    assert not mm.page_table_lock.is_locked()


def test_setting_up_a_page_checks_its_caller(kernel: Kernel) -> None:
    mm = process(kernel, pages=2)
    vma, page = vma_of(kernel, mm), page_of(kernel, mm)

    for add in (kernel.page_add_anon_rmap, kernel.page_move_anon_rmap):
        with pytest.raises(BugOn, match="not locked"):
            add(page, vma, BASE)
    kernel.lock_page(page)
    for add in (kernel.page_add_anon_rmap, kernel.page_move_anon_rmap):
        with pytest.raises(BugOn):
            add(page, vma, BASE + PAGE_SIZE)


# Walks


def test_references_are_counted_once_for_each_mapping(kernel: Kernel) -> None:
    mm = process(kernel)
    kernel.dup_mm(mm)
    page = page_of(kernel, mm)

    assert [kernel.page_referenced(page, is_locked=False) for _ in range(2)] == [2, 0]
    assert not entry_of(mm).young


def test_reading_on_and_on_is_no_reference(kernel: Kernel) -> None:
    mm = process(kernel)
    vma_of(kernel, mm).vm_flags |= VM_SEQ_READ

    assert kernel.page_referenced(page_of(kernel, mm), is_locked=False) == 0


def test_a_locked_vma_ends_the_search_for_references(kernel: Kernel) -> None:
    mm = process(kernel)
    child = kernel.dup_mm(mm)
    vma_of(kernel, mm).vm_flags |= VM_LOCKED

    assert kernel.page_referenced(page_of(kernel, mm), is_locked=False) == 0
    assert entry_of(child).young


def test_a_ksm_page_that_is_locked_counts_as_used(kernel: Kernel) -> None:
    page = page_of(kernel, process(kernel))
    page.mapping = (PAGE_MAPPING_ANON | PAGE_MAPPING_KSM, object())
    kernel.lock_page(page)

    assert kernel.page_referenced(page, is_locked=False) == 1


def test_a_page_nobody_maps_has_no_references(kernel: Kernel) -> None:
    assert kernel.page_referenced(kernel.alloc_page(), is_locked=False) == 0


def test_every_mapping_becomes_a_migration_entry(kernel: Kernel) -> None:
    mm = process(kernel)
    kernel.user_write(kernel.dup_mm(process(kernel)), BASE, lambda _: fill(1))  # bystanders
    children = [kernel.dup_mm(mm) for _ in range(2)]
    page = page_of(kernel, mm)
    kernel.get_page(page)
    kernel.lock_page(page)

    assert kernel.try_to_unmap(page, MIGRATE) == SWAP_SUCCESS
    entry = MigrationEntry(kernel.page_to_pfn(page))
    assert [entry_of(each) for each in (mm, *children)] == [entry] * 3
    assert (kernel.page_count(page), kernel.page_mapcount(page)) == (1, 0)


def test_unmapping_keeps_what_the_entry_knew(kernel: Kernel) -> None:
    mm = process(kernel)
    page = page_of(kernel, mm)
    kernel.get_page(page)
    kernel.lock_page(page)
    kernel.try_to_unmap(page, MIGRATE)

    assert entry_of(mm) == MigrationEntry(kernel.page_to_pfn(page), write=True)
    assert page.dirty


def test_a_page_used_lately_is_not_unmapped(kernel: Kernel) -> None:
    mm = process(kernel)
    page = page_of(kernel, mm)
    kernel.lock_page(page)

    assert kernel.try_to_unmap(page, TTU_UNMAP) == SWAP_FAIL
    assert kernel.page_mapped(page)


def test_without_swap_a_page_cannot_be_unmapped_for_good(kernel: Kernel) -> None:
    page = page_of(kernel, process(kernel))
    kernel.lock_page(page)

    with pytest.raises(BugOn, match="without swap"):
        kernel.try_to_unmap(page, TTU_UNMAP | TTU_IGNORE_ACCESS)


def test_a_page_in_a_locked_vma_is_marked(kernel: Kernel) -> None:
    mm = process(kernel)
    vma_of(kernel, mm).vm_flags |= VM_LOCKED
    page = page_of(kernel, mm)
    kernel.lock_page(page)

    assert kernel.try_to_unmap(page, TTU_UNMAP) == SWAP_MLOCK
    assert page.mlocked


def test_a_page_in_a_locked_vma_is_not_marked_while_its_mm_changes(kernel: Kernel) -> None:
    mm = process(kernel)
    vma_of(kernel, mm).vm_flags |= VM_LOCKED
    page = page_of(kernel, mm)
    kernel.lock_page(page)
    mm.mmap_sem.acquire_write()

    assert kernel.try_to_unmap(page, TTU_UNMAP) == SWAP_AGAIN
    assert not page.mlocked


def test_the_mark_of_a_locked_page_stays_while_another_vma_needs_it(kernel: Kernel) -> None:
    mm = process(kernel)
    child = kernel.dup_mm(mm)
    vma_of(kernel, child).vm_flags |= VM_LOCKED
    page = page_of(kernel, mm)
    kernel.lock_page(page)
    kernel.mlock_vma_page(page)

    kernel.munlock_vma_page(page)
    assert page.mlocked

    vma_of(kernel, child).vm_flags &= ~VM_LOCKED
    kernel.munlock_vma_page(page)
    assert not page.mlocked


@pytest.mark.parametrize("name", ["try_to_unmap", "try_to_munlock", "rmap_walk"])
def test_walks_want_the_page_locked(kernel: Kernel, name: str) -> None:
    page = page_of(kernel, process(kernel))
    arguments = {"try_to_unmap": (MIGRATE,), "try_to_munlock": (), "rmap_walk": (None, None)}

    with pytest.raises(BugOn, match="not locked"):
        getattr(kernel, name)(page, *arguments[name])


def test_unmapping_a_page_without_mapping_is_a_bug(kernel: Kernel) -> None:
    page = kernel.alloc_page()
    kernel.lock_page(page)

    for unmap in (lambda: kernel.try_to_unmap(page, MIGRATE), lambda: kernel.try_to_munlock(page)):
        with pytest.raises(BugOn, match="NULL"):
            unmap()


def test_a_walk_visits_each_vma_and_stops_when_told(kernel: Kernel) -> None:
    mm = process(kernel)
    child = kernel.dup_mm(mm)
    page = page_of(kernel, mm)
    kernel.lock_page(page)
    visited: list[tuple[Any, int]] = []

    def visit(page: Any, vma: Any, address: int, result: int) -> int:
        visited.append((vma.vm_mm, address))
        return result

    assert kernel.rmap_walk(page, visit, SWAP_AGAIN) == SWAP_AGAIN
    assert visited == [(mm, BASE), (child, BASE)]
    assert kernel.rmap_walk(page, visit, SWAP_FAIL) == SWAP_FAIL
    assert len(visited) == 3


def test_a_walk_passes_vmas_that_do_not_reach_to_the_page(kernel: Kernel) -> None:
    mm = process(kernel, pages=2)
    child = kernel.dup_mm(mm)
    kernel.sys_munmap(child, BASE, PAGE_SIZE)
    page = page_of(kernel, mm)
    kernel.get_page(page)
    kernel.lock_page(page)
    visited: list[Any] = []

    kernel.rmap_walk(page, lambda _p, vma, _a, _x: visited.append(vma.vm_mm) or SWAP_AGAIN, None)

    assert visited == [mm]
    assert kernel.page_referenced(page, is_locked=True) == 1
    assert kernel.try_to_unmap(page, MIGRATE) == SWAP_SUCCESS


def test_a_walk_from_a_page_without_mapping_goes_nowhere(kernel: Kernel) -> None:
    page = kernel.alloc_page()
    kernel.lock_page(page)

    assert kernel.rmap_walk(page, lambda *_: SWAP_FAIL, None) == SWAP_AGAIN
    assert kernel.rmap_walk_anon(page, lambda *_: SWAP_FAIL, None) == SWAP_AGAIN
    assert kernel.page_rmapping(page) is None


# KSM pages


@pytest.fixture
def merged(kernel: Kernel) -> list[Any]:
    """Two processes that share a KSM page."""
    kernel.run_store(1)
    processes = [process(kernel) for _ in range(2)]
    for mm in processes:
        kernel.sys_madvise(mm, BASE, PAGE_SIZE, MADV_MERGEABLE)
    for _ in range(3):
        kernel.ksm_do_scan(10)
    assert kernel.PageKsm(page_of(kernel, processes[0]))
    return processes


def test_the_references_to_a_ksm_page_are_counted(kernel: Kernel, merged: list[Any]) -> None:
    page = page_of(kernel, merged[0])

    assert [kernel.page_referenced(page, is_locked=False) for _ in range(2)] == [2, 0]
    assert not page.locked.is_locked()


def test_a_ksm_page_is_unmapped_everywhere(kernel: Kernel, merged: list[Any]) -> None:
    page = page_of(kernel, merged[0])
    kernel.get_page(page)
    kernel.lock_page(page)

    assert kernel.try_to_munlock(page) == SWAP_AGAIN
    assert kernel.try_to_unmap(page, MIGRATE) == SWAP_SUCCESS
    assert {entry_of(mm) for mm in merged} == {MigrationEntry(kernel.page_to_pfn(page))}


def test_a_ksm_page_moves_when_its_memory_goes_offline(kernel: Kernel, merged: list[Any]) -> None:
    page = page_of(kernel, merged[0])
    kernel.isolate_lru_page(page)

    assert kernel.migrate_pages([page], lambda _: kernel.alloc_page(), offlining=True) == 0
    moved = page_of(kernel, merged[0])
    assert (moved != page, page_of(kernel, merged[1]) == moved) == (True, True)
    assert kernel.page_stable_node(moved).kpfn == kernel.page_to_pfn(moved)


# Allocation


def test_a_page_is_freed_with_its_last_reference(kernel: Kernel) -> None:
    page = kernel.alloc_page()
    page.contents = fill(7)
    kernel.get_page(page)
    kernel.put_page(page)
    assert kernel.page_cachep.live() == (page,)

    kernel.put_page(page)
    assert kernel.page_cachep.live() == ()
    assert page.contents is None


def test_a_frame_has_a_number(kernel: Kernel) -> None:
    pages = [kernel.alloc_page(), kernel.alloc_page_vma(None, BASE)]

    assert [kernel.page_to_pfn(page) for page in pages] == [0, 1]
    assert [kernel.pfn_to_page(number) for number in (0, 1)] == pages


def test_no_memory_gives_no_page(kernel: Kernel, context: Context) -> None:
    context.fail_at = 1

    assert kernel.alloc_page() is None


def test_a_free_page_gets_no_reference(kernel: Kernel) -> None:
    page = kernel.alloc_page()
    kernel.put_page(page)

    assert not kernel.get_page_unless_zero(page)
    with pytest.raises(BugOn, match="free page"):
        kernel.get_page(page)


def test_a_reference_too_few_is_an_underflow(kernel: Kernel) -> None:
    page = kernel.alloc_page()
    kernel.put_page(page)

    with pytest.raises(KernelStateError) as caught:
        kernel.put_page(page)
    assert caught.value.kind == "refcount-underflow"


def test_a_bad_page_is_not_freed(kernel: Kernel) -> None:
    mm = process(kernel)

    with pytest.raises(BugOn, match="still mapped"):
        kernel.put_page(page_of(kernel, mm))


def test_a_locked_page_is_not_freed(kernel: Kernel) -> None:
    page = kernel.alloc_page()
    assert kernel.trylock_page(page)
    assert not kernel.trylock_page(page)

    with pytest.raises(BugOn, match="locked"):
        kernel.put_page(page)
    kernel.unlock_page(page)
    kernel.wait_on_page_locked(page)
