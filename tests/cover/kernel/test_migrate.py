"""Page migration of 2.6.34, in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rmaplab.checker.check import check
from rmaplab.checker.verdict import CLEAN
from rmaplab.history import KERNELS
from rmaplab.kernel.contents import fill
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.migrate import ENOSYS
from rmaplab.kernel.mm_types import (
    EAGAIN,
    EBUSY,
    ENOMEM,
    PAGE_MAPPING_ANON,
    PAGE_MAPPING_KSM,
    PAGE_SIZE,
    VM_READ,
    VM_WRITE,
)
from rmaplab.kernel.pgtable import MigrationEntry, Pte
from rmaplab.litmus.reader import read_text
from rmaplab.machine import BugOn, KernelStateError
from rmaplab.machine.direct import DirectMachine
from rmaplab.runner.scenario import build

BASE = 0x200000


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    built = Kernel(DirectMachine())
    with built.machine.running(cpu=0, task="A"):
        yield built


def process(kernel: Kernel, pages: int = 1) -> Any:
    """A process that has written that many pages from BASE on."""
    mm = kernel.mm_alloc()
    kernel.sys_mmap(mm, BASE, pages * PAGE_SIZE, VM_READ | VM_WRITE)
    for number in range(pages):
        kernel.user_write(mm, BASE + number * PAGE_SIZE, lambda _: fill(7))
    return mm


def page_of(kernel: Kernel, mm: Any, number: int = 0) -> Any:
    """The page mapped there, without a reference."""
    page = kernel.follow_page(kernel.find_vma(mm, BASE), BASE + number * PAGE_SIZE)
    kernel.put_page(page)
    return page


def isolated(kernel: Kernel, mm: Any, pages: int = 1) -> list[Any]:
    found = [page_of(kernel, mm, number) for number in range(pages)]
    assert [kernel.isolate_lru_page(page) for page in found] == [0] * pages
    return found


def new_page(kernel: Kernel) -> Any:
    return lambda _page: kernel.alloc_page()


def entry_of(mm: Any, address: int = BASE) -> Any:
    return mm.pgd.find(address).read()


def test_a_page_moves_for_everyone_who_maps_it(kernel: Kernel) -> None:
    mm = process(kernel)
    child = kernel.dup_mm(mm)
    (old,) = pages = isolated(kernel, mm)

    assert kernel.migrate_pages(pages, new_page(kernel)) == 0
    new = page_of(kernel, mm)
    assert (new != old, page_of(kernel, child) == new) == (True, True)
    assert (kernel.page_count(new), kernel.page_mapcount(new)) == (2, 2)
    assert [kernel.user_read(each, BASE) for each in (mm, child)] == [fill(7)] * 2
    assert kernel.page_cachep.live() == (new,)


def test_a_moved_page_is_what_the_old_one_was(kernel: Kernel) -> None:
    mm = process(kernel)
    old = page_of(kernel, mm)
    old.mlocked = True
    was = old.mapping, old.index
    kernel.migrate_pages(isolated(kernel, mm), new_page(kernel))
    new = page_of(kernel, mm)

    assert (new.mapping, new.index) == was
    assert (new.swapbacked, new.dirty, new.mlocked) == (True, True, True)
    assert (old.mapping, old.swapbacked, old.dirty, old.mlocked) == (None, False, False, False)


@pytest.mark.parametrize("write", [True, False])
def test_a_moved_entry_is_old_and_as_writable_as_before(kernel: Kernel, write: bool) -> None:
    mm = process(kernel)
    if not write:
        kernel.dup_mm(mm)
    kernel.migrate_pages(isolated(kernel, mm), new_page(kernel))

    assert entry_of(mm) == Pte(kernel.page_to_pfn(page_of(kernel, mm)), write=write, young=False)


def test_a_clean_page_stays_clean(kernel: Kernel) -> None:
    mm = process(kernel)
    entry = entry_of(mm)
    mm.pgd.find(BASE).write(entry._replace(dirty=False))
    kernel.migrate_pages(isolated(kernel, mm), new_page(kernel))

    assert not page_of(kernel, mm).dirty


def test_without_a_new_page_nothing_moves(kernel: Kernel) -> None:
    mm = process(kernel, pages=2)
    pages = isolated(kernel, mm, pages=2)
    before = [entry_of(mm), entry_of(mm, BASE + PAGE_SIZE)]

    assert kernel.migrate_pages(pages, lambda _: None) == -ENOMEM
    assert pages == []
    assert [entry_of(mm), entry_of(mm, BASE + PAGE_SIZE)] == before
    assert kernel.page_count(page_of(kernel, mm)) == 1


def test_a_page_somebody_uses_is_tried_ten_times_and_left(kernel: Kernel) -> None:
    mm = process(kernel)
    page = page_of(kernel, mm)
    kernel.get_page(page)
    tried: list[Any] = []

    def allocate(old: Any) -> Any:
        tried.append(old)
        return kernel.alloc_page()

    assert kernel.migrate_pages(isolated(kernel, mm), allocate) == 1
    assert tried == [page] * 10
    assert page_of(kernel, mm) == page
    assert entry_of(mm).write
    assert (kernel.page_count(page), kernel.page_mapcount(page)) == (2, 1)
    assert kernel.page_cachep.live() == (page,)


def test_a_page_freed_under_us_is_let_go(kernel: Kernel) -> None:
    mm = process(kernel)
    pages = isolated(kernel, mm)
    kernel.mmput(mm)

    assert kernel.migrate_pages(pages, new_page(kernel)) == 0
    assert kernel.page_cachep.live() == ()


def test_a_free_page_is_not_isolated(kernel: Kernel) -> None:
    page = kernel.alloc_page()
    kernel.put_page(page)

    assert kernel.isolate_lru_page(page) == -EBUSY


def test_a_page_without_mapping_has_no_entries_to_replace(kernel: Kernel) -> None:
    page = kernel.alloc_page()
    kernel.isolate_lru_page(page)

    # migrate_page_move_mapping asks for one reference, and the allocation's own is there too.
    assert kernel.unmap_and_move([page], new_page(kernel), page, False, False) == -EAGAIN
    assert kernel.page_cachep.live() == (page,)


def test_a_ksm_page_stays_unless_its_memory_goes_offline(kernel: Kernel) -> None:
    mm = process(kernel)
    (page,) = pages = isolated(kernel, mm)
    page.mapping = (PAGE_MAPPING_ANON | PAGE_MAPPING_KSM, None)

    assert kernel.migrate_pages(pages, new_page(kernel)) == 1
    assert page_of(kernel, mm) == page
    assert kernel.migrate_pages(isolated(kernel, mm), new_page(kernel), offlining=True) == 1
    assert page_of(kernel, mm) == page  # it has no stable_node: nobody knows who maps it


def test_a_locked_page_is_passed_by_at_first_and_then_waited_for(kernel: Kernel) -> None:
    mm = process(kernel)
    (page,) = pages = isolated(kernel, mm)
    kernel.lock_page(page)

    for force, result in ((False, -EAGAIN), (True, None)):
        if result is not None:
            assert kernel.unmap_and_move(pages, new_page(kernel), page, force, False) == result
        else:
            with pytest.raises(KernelStateError, match="lock"):
                kernel.unmap_and_move(pages, new_page(kernel), page, force, False)


def test_the_passes_wait_from_the_fourth_on(kernel: Kernel) -> None:
    forced: list[bool] = []

    class Watched(Kernel):
        def unmap_and_move(
            self, pages: Any, get_new_page: Any, page: Any, force: bool, offlining: bool
        ) -> int:
            forced.append(force)
            return -EAGAIN

    watched = Watched(kernel.machine)
    assert watched.migrate_pages([watched.alloc_page()], None) == 1
    assert forced == [False] * 3 + [True] * 7


def test_a_fault_on_a_page_under_migration_waits_for_the_page_lock(kernel: Kernel) -> None:
    mm = process(kernel)
    page = page_of(kernel, mm)
    kernel.lock_page(page)
    ptep = mm.pgd.find(BASE)
    ptep.write(kernel.make_migration_entry(page, True))

    with pytest.raises(KernelStateError, match="lock"):
        kernel.migration_entry_wait(mm, ptep)
    assert kernel.page_count(page) == 2
    assert not mm.page_table_lock.is_locked()


def test_a_fault_does_not_wait_for_a_page_that_is_free(kernel: Kernel) -> None:
    mm = process(kernel)
    page = kernel.alloc_page()
    kernel.lock_page(page)
    page._count.set(0)
    ptep = mm.pgd.find(BASE)
    ptep.write(MigrationEntry(kernel.page_to_pfn(page)))

    kernel.migration_entry_wait(mm, ptep)
    assert not mm.page_table_lock.is_locked()


def test_a_fault_does_not_wait_for_an_entry_that_is_back(kernel: Kernel) -> None:
    mm = process(kernel)

    kernel.migration_entry_wait(mm, mm.pgd.find(BASE))
    assert not mm.page_table_lock.is_locked()


def test_a_migration_entry_stands_for_a_locked_page(kernel: Kernel) -> None:
    page = kernel.alloc_page()

    with pytest.raises(BugOn, match="not locked"):
        kernel.make_migration_entry(page, False)
    with pytest.raises(BugOn, match="not locked"):
        kernel.migration_entry_to_page(MigrationEntry(kernel.page_to_pfn(page)))


def test_only_entries_of_the_moved_page_are_set(kernel: Kernel) -> None:
    mm = process(kernel, pages=2)
    vma = kernel.find_vma(mm, BASE)
    new, other = (page_of(kernel, mm, number) for number in range(2))
    kernel.lock_page(other)
    entry = kernel.make_migration_entry(other, False)
    mm.pgd.find(BASE).write(entry)
    kernel.remove_migration_pte(new, vma, BASE, new)
    assert entry_of(mm) == entry

    mm.pgd.find(BASE).write(None)
    kernel.remove_migration_pte(new, vma, BASE, new)
    kernel.remove_migration_pte(new, vma, BASE - PAGE_SIZE, new)
    assert entry_of(mm) is None


def test_without_config_migration_there_is_none() -> None:
    kernel = Kernel(DirectMachine(), CONFIG_MIGRATION=False)
    with kernel.machine.running(cpu=0, task="A"):
        mm = process(kernel)
        pages = isolated(kernel, mm)

        assert kernel.migrate_prep() == -ENOSYS
        assert kernel.migrate_pages(pages, new_page(kernel)) == -ENOSYS
        assert kernel.putback_lru_pages(pages) == 0
        kernel.migration_entry_wait(mm, mm.pgd.find(BASE))
        assert len(pages) == 1


def test_isolated_pages_are_counted_when_put_back(kernel: Kernel) -> None:
    mm = process(kernel, pages=3)

    assert kernel.migrate_prep() == 0
    assert kernel.putback_lru_pages(isolated(kernel, mm, pages=3)) == 3
    assert kernel.page_count(page_of(kernel, mm)) == 1


@pytest.mark.parametrize("name", ["67b9509b2c68", "3fe2011ff51e", "v2.6.38"])
def test_a_page_moves_if_it_is_mapped_and_else_stays(new_lab: Any, name: str) -> None:
    with new_lab(KERNELS[name]) as lab:
        mm, kernel = lab.process(2), lab.kernel
        for number in (0, 1):
            lab.write(mm, number, 1)
        page, unmapped = lab.page_of(mm, 0), lab.page_of(mm, 1)
        kernel.get_page(unmapped)
        for each in (page, unmapped):
            kernel.isolate_lru_page(each)
        lab.munmap(mm, 1, 1)

        left = [kernel.migrate_pages([each], lambda _: kernel.alloc_page())
                for each in (page, unmapped)]  # fmt: skip

        assert left == [0, 1]
        assert lab.page_of(mm) is not page and lab.read(mm) == fill(1)
        kernel.put_page(unmapped)
        lab.check_exit(mm)


def test_a_fault_waits_for_the_page_that_moves() -> None:
    setup = "litmus t\nprocesses A\nsetup\n A: mmap 0\n A: write 0 = 1\n"
    text = setup + "CPU0\n A: read 0\nCPU1\n A: migrate 0\nend alive A\n"

    outcome = check(build(read_text(text), KERNELS["v2.6.38"]))

    assert (outcome.verdict, outcome.complete) == (CLEAN, True)
