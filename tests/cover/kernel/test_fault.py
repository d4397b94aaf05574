"""Accesses of the user: what is allowed, and what waits."""

from __future__ import annotations

from typing import Any

import pytest

from rmaplab.kernel.contents import ZERO, fill
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.memory import VM_FAULT_SIGBUS
from rmaplab.kernel.mm_types import EFAULT, PAGE_SIZE
from rmaplab.kernel.pgtable import MigrationEntry, Pte
from rmaplab.machine import (
    KernelStateError,
    pte_alloc_map,
    pte_get,
    pte_offset_map,
    set_pte_at,
)

NONE, R, RW = 0, 1, 3
ADDRESS = 0x100 * PAGE_SIZE  # page 0 of the lab


def test_accesses_that_the_vma_forbids_are_faults(lab: Any) -> None:
    mm = lab.process(prot=R)

    assert lab.write(mm, 0, 1) == -EFAULT
    assert lab.read(mm) == ZERO
    assert lab.write(mm, 0, 1) == -EFAULT
    assert lab.read(mm, -1) == -EFAULT
    assert lab.read(mm, 1) == -EFAULT
    assert not mm.mmap_sem.is_locked()


def test_prot_none_hides_a_page_until_it_is_allowed_again(lab: Any) -> None:
    mm = lab.process()
    lab.write(mm, 0, 1)
    page = lab.page_of(mm)

    lab.mprotect(mm, 0, 1, NONE)
    assert (lab.read(mm), lab.write(mm, 0, 2)) == (-EFAULT, -EFAULT)

    lab.mprotect(mm, 0, 1, R)
    assert (lab.read(mm), lab.write(mm, 0, 2)) == (fill(1), -EFAULT)

    lab.mprotect(mm, 0, 1, RW)
    assert lab.write(mm, 0, 2) == 0
    assert lab.page_of(mm) is page
    assert page.contents == fill(2)


def test_a_file_vma_has_no_pages(lab: Any) -> None:
    mm = lab.process(0)
    lab.kernel.sys_mmap(mm, ADDRESS, PAGE_SIZE, RW, file="libc.so")

    assert lab.read(mm) == -EFAULT
    assert lab.kernel.handle_mm_fault(mm, mm.mmap, ADDRESS, write=True) == VM_FAULT_SIGBUS


def test_an_access_waits_for_a_migration_and_is_tried_again(new_lab: Any) -> None:
    class Migrates(Kernel):
        def migration_entry_wait(self, mm: Any, ptep: Any) -> None:
            set_pte_at(ptep, Pte(pte_get(ptep).pfn, young=False))

    with new_lab(Migrates) as lab:
        mm = lab.process()
        lab.write(mm, 0, 1)
        ptep = pte_offset_map(mm.pgd, ADDRESS)
        set_pte_at(ptep, MigrationEntry(pte_get(ptep).pfn))

        assert lab.read(mm) == fill(1)
        assert lab.entry(mm) == Pte(lab.entry(mm).pfn)


def test_an_access_whose_migration_never_ends_waits_for_ever(new_lab: Any) -> None:
    class Stuck(Kernel):
        def migration_entry_wait(self, mm: Any, ptep: Any) -> None:
            pass

    with new_lab(Stuck) as lab:
        mm = lab.process()
        set_pte_at(pte_alloc_map(mm.pgd, ADDRESS), MigrationEntry(0))

        with pytest.raises(KernelStateError, match="retried for ever"):
            lab.read(mm)
