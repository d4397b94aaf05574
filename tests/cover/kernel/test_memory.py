"""Faults in memory.c, copy-on-write, and unmapping."""

from __future__ import annotations

from typing import Any

import pytest

from rmaplab.kernel.contents import ZERO, fill, poke
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.memory import VM_FAULT_OOM, VM_FAULT_SIGBUS, VM_FAULT_WRITE
from rmaplab.kernel.mm_types import EFAULT, ENOMEM, PAGE_MAPPING_ANON, PAGE_SIZE
from rmaplab.kernel.pgtable import ZERO_PFN, MigrationEntry, Pte
from rmaplab.machine import (
    KernelStateError,
    PtePointer,
    atomic_read,
    pte_alloc_map,
    pte_get,
    pte_offset_map,
    set_pte_at,
    spin_lock,
)
from rmaplab.machine.context import RUNNING

NONE, R = 0, 1
ADDRESS = 0x100 * PAGE_SIZE  # page 0 of the lab


# First touch


def test_a_read_of_new_memory_maps_the_zero_page_and_no_struct_page(lab: Any) -> None:
    mm = lab.process()

    assert lab.read(mm) == ZERO
    assert lab.entry(mm) == Pte(ZERO_PFN, special=True)
    assert lab.kernel.page_cachep.live() == ()
    assert mm.mmap.anon_vma is None


def test_a_write_to_new_memory_maps_a_page_of_ones_own(lab: Any) -> None:
    mm = lab.process()

    assert lab.kernel.user_write(mm, ADDRESS, lambda old: poke(old, 5, 7)) == 0

    (page,) = lab.kernel.page_cachep.live()
    assert lab.entry(mm) == Pte(lab.kernel.page_to_pfn(page), write=True, dirty=True)
    assert page.contents == poke(ZERO, 5, 7)
    assert page.mapping == (PAGE_MAPPING_ANON, mm.mmap.anon_vma)
    assert page.index == lab.address(0) // PAGE_SIZE
    assert (atomic_read(page._count), atomic_read(page._mapcount)) == (1, 0)


def test_a_write_after_a_read_replaces_the_zero_page_by_a_copy_of_it(lab: Any) -> None:
    mm = lab.process()
    lab.read(mm)

    assert lab.kernel.user_write(mm, ADDRESS, lambda old: poke(old, 5, 7)) == 0

    assert not lab.entry(mm).special
    assert lab.read(mm) == poke(ZERO, 5, 7)


def test_somebody_elses_fault_in_between_leaves_his_page_and_frees_ours(new_lab: Any) -> None:
    class Raced(Kernel):
        def alloc_page(self) -> Any:
            page = super().alloc_page()
            if lab.entry(self.mm) is None:
                set_pte_at(pte_offset_map(self.mm.pgd, ADDRESS), Pte(ZERO_PFN, special=True))
            return page

    with new_lab(Raced) as lab:
        lab.kernel.mm = mm = lab.process()

        assert lab.kernel.do_page_fault(mm, ADDRESS, write=True) == 0

        assert lab.entry(mm) == Pte(ZERO_PFN, special=True)
        assert lab.kernel.page_cachep.live() == ()


# Copy on write


def test_a_child_writes_without_the_parent_seeing_it(lab: Any) -> None:
    parent = lab.process()
    lab.write(parent, 0, 1)
    child = lab.kernel.dup_mm(parent)

    lab.write(child, 0, 2)

    assert (lab.read(parent), lab.read(child)) == (fill(1), fill(2))


def test_a_parent_writes_without_the_child_seeing_it(lab: Any) -> None:
    parent = lab.process()
    lab.write(parent, 0, 1)
    child = lab.kernel.dup_mm(parent)

    lab.write(parent, 0, 2)

    assert (lab.read(parent), lab.read(child)) == (fill(2), fill(1))


def test_fork_write_protects_both_and_counts_page_and_mapping_twice(lab: Any) -> None:
    parent = lab.process()
    lab.write(parent, 0, 1)
    page = lab.page_of(parent)
    child = lab.kernel.dup_mm(parent)

    assert lab.entry(parent) == lab.entry(child)
    assert not lab.entry(parent).write
    assert (atomic_read(page._count), atomic_read(page._mapcount)) == (2, 1)


def test_the_last_one_to_write_keeps_the_page_and_moves_it_to_its_anon_vma(
    lab: Any,
) -> None:
    parent = lab.process()
    lab.write(parent, 0, 1)
    page = lab.page_of(parent)
    child = lab.kernel.dup_mm(parent)
    family = parent.mmap.anon_vma
    lab.write(parent, 0, 2)
    assert page.mapping == (PAGE_MAPPING_ANON, family)

    lab.write(child, 0, 3)

    assert lab.page_of(child) is page
    assert page.mapping == (PAGE_MAPPING_ANON, child.mmap.anon_vma)
    assert child.mmap.anon_vma is not family
    assert not lab.kernel.PageLocked(page)


def test_a_write_fault_waits_for_the_page_lock_and_looks_again(new_lab: Any) -> None:
    class Waits(Kernel):
        def trylock_page(self, page: Any) -> bool:
            return False

        def lock_page(self, page: Any) -> None:
            assert not RUNNING.context.atomic
            assert atomic_read(page._count) == 2
            super().lock_page(page)
            if self.zapped:
                set_pte_at(pte_offset_map(self.mm.pgd, ADDRESS), None)

    for zapped in (False, True):
        with new_lab(Waits) as lab:
            lab.kernel.zapped = zapped
            lab.kernel.mm = mm = lab.process()
            lab.write(mm, 0, 1)
            page = lab.page_of(mm)
            readonly = lab.entry(mm)._replace(write=False)
            ptep = pte_offset_map(mm.pgd, ADDRESS)
            set_pte_at(ptep, readonly)
            spin_lock(mm.page_table_lock)

            ret = lab.kernel.do_wp_page(mm, mm.mmap, ADDRESS, ptep, readonly)

            assert ret == (0 if zapped else VM_FAULT_WRITE)
            assert lab.entry(mm) == (None if zapped else readonly._replace(write=True, dirty=True))
            assert atomic_read(page._count) == 1
            assert not lab.kernel.PageLocked(page)
            assert not mm.page_table_lock.is_locked()


def test_a_copy_is_dropped_if_the_entry_changed_meanwhile(new_lab: Any) -> None:
    class Raced(Kernel):
        mm: Any = None

        def alloc_page(self) -> Any:
            if self.mm is not None:
                ptep = pte_offset_map(self.mm.pgd, ADDRESS)
                set_pte_at(ptep, pte_get(ptep)._replace(dirty=False))
            return super().alloc_page()

    with new_lab(Raced) as lab:
        parent = lab.process()
        lab.write(parent, 0, 1)
        child = lab.kernel.dup_mm(parent)
        page = lab.page_of(child)
        lab.kernel.mm = child

        assert lab.kernel.handle_mm_fault(child, child.mmap, ADDRESS, write=True) == 0

        assert lab.page_of(child) is page
        assert lab.kernel.page_cachep.live() == (page,)
        assert (atomic_read(page._count), atomic_read(page._mapcount)) == (2, 1)


def test_reuse_swap_page_wants_the_page_locked(lab: Any) -> None:
    mm = lab.process()
    lab.write(mm, 0, 1)

    with pytest.raises(KernelStateError, match="unlocked page"):
        lab.kernel.reuse_swap_page(lab.page_of(mm))


@pytest.mark.parametrize("prepare", ["new", "zero", "shared"])
def test_a_write_fault_without_memory_changes_nothing_and_works_when_tried_again(
    lab: Any, prepare: str
) -> None:
    mm = lab.process()
    if prepare == "zero":
        lab.read(mm)
    if prepare == "shared":
        lab.write(mm, 0, 1)
        lab.kernel.dup_mm(mm)
    before = None if prepare == "new" else lab.entry(mm)
    for number in range(1, 10):
        live = lab.live()
        ret, failed = lab.failing(number, lambda: lab.write(mm, 0, 2))
        assert ret == (-ENOMEM if failed else 0)
        if not failed:
            break
        # An anon_vma that anon_vma_prepare() could finish is there to stay.
        assert lab.entry(mm) == before
        if mm.mmap.anon_vma is None:
            assert lab.live() == live
    assert number > 1
    assert lab.read(mm) == fill(2)


def test_a_write_that_the_kernel_forces_breaks_cow_but_opens_nothing(lab: Any) -> None:
    mm = lab.process(prot=NONE)
    lab.kernel.handle_mm_fault(mm, mm.mmap, ADDRESS, write=False)

    assert lab.kernel.handle_mm_fault(mm, mm.mmap, ADDRESS, write=True) == VM_FAULT_WRITE

    assert not lab.entry(mm).special and not lab.entry(mm).write
    assert lab.read(mm) == -EFAULT


def test_no_page_table_no_fault(lab: Any) -> None:
    mm = lab.process()

    def fault() -> int:
        return lab.kernel.handle_mm_fault(mm, mm.mmap, ADDRESS, write=False)

    assert lab.failing(1, fault) == (VM_FAULT_OOM, True)
    assert fault() == 0


def test_an_entry_of_an_unknown_kind_is_a_bus_error(lab: Any) -> None:
    mm = lab.process()
    set_pte_at(pte_alloc_map(mm.pgd, ADDRESS), "swapped out")

    assert lab.kernel.handle_mm_fault(mm, mm.mmap, ADDRESS, write=False) == VM_FAULT_SIGBUS


# Migration entries


def test_fork_and_mprotect_make_migration_entries_read_only_and_unmapping_drops_them(
    lab: Any,
) -> None:
    mm = lab.process(2)
    lab.write(mm, 0, 1)
    lab.write(mm, 1, 1)
    page = lab.page_of(mm)
    for address in (ADDRESS, ADDRESS + PAGE_SIZE):
        ptep = pte_offset_map(mm.pgd, address)
        set_pte_at(ptep, MigrationEntry(pte_get(ptep).pfn, write=True))

    lab.mprotect(mm, 1, 1, R)
    assert not lab.entry(mm, 1).write
    assert lab.entry(mm).write

    child = lab.kernel.dup_mm(mm)
    assert (
        lab.entry(child)
        == lab.entry(mm)
        == MigrationEntry(lab.kernel.page_to_pfn(page), write=False)
    )
    assert (atomic_read(page._count), atomic_read(page._mapcount)) == (1, 0)

    assert lab.munmap(mm, 0, 2) == 0
    assert lab.entry(mm) is None
    assert (atomic_read(page._count), atomic_read(page._mapcount)) == (1, 0)


# follow_page and unmapping


def test_follow_page_takes_a_reference_to_what_is_mapped(lab: Any) -> None:
    mm = lab.process(3)
    lab.write(mm, 0, 1)
    lab.read(mm, 1)
    found = [lab.kernel.follow_page(mm.mmap, ADDRESS + n * PAGE_SIZE) for n in range(3)]

    assert found == [lab.page_of(mm), None, None]
    assert atomic_read(found[0]._count) == 2


def test_unmapped_pages_live_until_the_tlbs_are_flushed(lab: Any) -> None:
    mm = lab.process()
    lab.write(mm, 0, 1)
    page = lab.page_of(mm)
    tlb = lab.kernel.tlb_gather_mmu(mm)

    lab.kernel.unmap_vmas(tlb, mm.mmap, 0, 1 << 40)
    assert lab.entry(mm) is None
    assert (atomic_read(page._count), atomic_read(page._mapcount)) == (1, -1)

    lab.kernel.tlb_finish_mmu(tlb)
    assert lab.kernel.page_cachep.live() == ()


# An entry that is there already


def test_a_fault_on_an_open_entry_marks_it_dirty_and_young(lab: Any) -> None:
    mm = lab.process()
    lab.write(mm, 0, 1)
    ptep = pte_offset_map(mm.pgd, ADDRESS)
    clean = pte_get(ptep)._replace(dirty=False, young=False)
    set_pte_at(ptep, clean)

    assert lab.kernel.do_page_fault(mm, ADDRESS, write=False) == 0
    assert lab.entry(mm) == clean._replace(young=True)
    assert lab.kernel.do_page_fault(mm, ADDRESS, write=True) == 0
    assert lab.entry(mm) == clean._replace(young=True, dirty=True)
    assert lab.kernel.do_page_fault(mm, ADDRESS, write=True) == 0
    assert not mm.page_table_lock.is_locked()


def test_a_fault_whose_entry_changes_before_it_is_locked_does_nothing(new_lab: Any) -> None:
    class Raced(Kernel):
        def handle_pte_fault(self, mm: Any, vma: Any, address: int, pte: Any, write: bool) -> int:
            return super().handle_pte_fault(mm, vma, address, Changing(pte), write)

    class Changing(PtePointer):
        """An entry that somebody empties, or fills, after its first look."""

        def __init__(self, pte: Any) -> None:
            self.pte = pte

        def read(self) -> Any:
            before = self.pte.read()
            self.pte.write(changed)
            return before

    with new_lab(Raced) as lab:
        mm = lab.process()
        changed: Any = Pte(ZERO_PFN, special=True, young=False)
        assert lab.kernel.handle_mm_fault(mm, mm.mmap, ADDRESS, write=False) == 0
        assert lab.entry(mm) == changed
        changed = None
        assert lab.kernel.handle_mm_fault(mm, mm.mmap, ADDRESS, write=True) == 0
        assert lab.entry(mm) is None
        assert not mm.page_table_lock.is_locked()


def test_fork_without_memory_for_page_tables_copies_no_entry(lab: Any) -> None:
    mm = lab.process(2)
    lab.write(mm, 0, 1)
    lab.write(mm, 1, 2)
    child = lab.process(2)

    def copy() -> int:
        return lab.kernel.copy_page_range(child, mm, mm.mmap)

    assert lab.failing(2, copy) == (-ENOMEM, True)
    assert (lab.entry(child, 0), lab.entry(child, 1)) == (None, None)
    assert lab.entry(mm, 0).write


def test_zapping_leaves_what_is_before_its_range(lab: Any) -> None:
    mm = lab.process(2)
    lab.mprotect(mm, 1, 1, R)
    lab.write(mm, 0, 1)
    tlb = lab.kernel.tlb_gather_mmu(mm)

    lab.kernel.unmap_vmas(tlb, mm.mmap, lab.address(1), lab.address(2))

    assert tlb.pages == []
    assert lab.read(mm) == fill(1)


def test_page_referenced_passes_mappings_that_are_not_of_the_page(lab: Any) -> None:
    """Those of a writer, who has a copy, and of the other part of a VMA split in two."""
    parent = lab.process(2)
    for page in (0, 1):
        lab.write(parent, page, 1)
    child = lab.kernel.dup_mm(parent)
    lab.write(parent, 0, 2)
    assert lab.mprotect(child, 0, 1, 1) == 0
    shared, childs = lab.page_of(child, 1), lab.page_of(child, 0)

    assert [lab.kernel.page_referenced(page, False) for page in (shared, childs)] == [2, 1]
    assert [lab.kernel.page_referenced(page, False) for page in (shared, childs)] == [0, 0]
    lab.check_exit(parent, child)


def test_nobody_refers_to_a_page_that_is_mapped_nowhere(lab: Any) -> None:
    mm = lab.process()
    lab.write(mm, 0, 1)
    page = lab.page_of(mm)
    lab.kernel.get_page(page)
    lab.kernel.mmput(mm)

    assert lab.kernel.page_referenced_anon(page) == 0
    lab.kernel.put_page(page)
    assert lab.live() == {}
