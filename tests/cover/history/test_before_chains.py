"""v2.6.33: a family of processes has one anon_vma, and its VMAs are on the list of that."""

from __future__ import annotations

from typing import Any

import pytest

from rmaplab.history import V2_6_33
from rmaplab.kernel.contents import fill
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.mm_types import EFAULT, ENOMEM, PAGE_SIZE, VM_READ, VM_WRITE
from rmaplab.kernel.rmap import SWAP_AGAIN
from rmaplab.machine import KernelStateError, down_write, pte_get, pte_offset_map, up_write
from rmaplab.machine.direct import DirectMachine

BASE = 0x200000
READ_WRITE = VM_READ | VM_WRITE


def booted(kernel: type[Kernel] = V2_6_33) -> Kernel:
    return kernel(DirectMachine())


def process(kernel: Kernel, pages: int = 1, written: int = 1) -> Any:
    mm = kernel.mm_alloc()
    kernel.sys_mmap(mm, BASE, pages * PAGE_SIZE, READ_WRITE)
    for number in range(written):
        write(kernel, mm, number)
    return mm


def write(kernel: Kernel, mm: Any, number: int) -> int:
    return int(kernel.user_write(mm, BASE + number * PAGE_SIZE, lambda _: fill(1)))


def vmas(mm: Any) -> list[Any]:
    found = []
    vma = mm.mmap
    while vma is not None:
        found.append(vma)
        vma = vma.vm_next
    return found


def listed(anon_vma: Any) -> list[Any]:
    return list(anon_vma.head.walk(backwards=False))


def page_of(kernel: Kernel, mm: Any, number: int = 0) -> Any:
    return kernel.pfn_to_page(pte_get(pte_offset_map(mm.pgd, BASE + number * PAGE_SIZE)).pfn)


def test_children_are_on_the_list_of_the_parent_in_the_order_of_their_birth() -> None:
    kernel = booted()
    parent = process(kernel)
    children = [kernel.dup_mm(parent) for _ in range(3)]
    grandchild = kernel.dup_mm(children[0])

    assert listed(parent.mmap.anon_vma) == [mm.mmap for mm in (parent, *children, grandchild)]


def test_the_page_that_a_child_copies_belongs_to_the_family() -> None:
    kernel = booted()
    parent = process(kernel)
    child = kernel.dup_mm(parent)
    write(kernel, child, 0)

    assert page_of(kernel, child) != page_of(kernel, parent)
    assert kernel.page_anon_vma(page_of(kernel, child)) == parent.mmap.anon_vma


def test_the_anon_vma_lives_as_long_as_any_of_the_family() -> None:
    kernel = booted()
    parent = process(kernel)
    child = kernel.dup_mm(parent)

    kernel.mmput(parent)
    assert len(kernel.anon_vma_cachep.live()) == 1
    kernel.mmput(child)
    assert kernel.anon_vma_cachep.live() == ()


def test_a_fork_of_what_nobody_wrote_links_nothing() -> None:
    kernel = booted()
    child = kernel.dup_mm(process(kernel, written=0))

    assert child.mmap.anon_vma is None
    kernel.mmput(child)


def test_pieces_of_a_vma_share_its_anon_vma_and_merge_again() -> None:
    kernel = booted()
    mm = process(kernel, 3)
    anon_vma = mm.mmap.anon_vma

    kernel.sys_mprotect(mm, BASE + PAGE_SIZE, PAGE_SIZE, VM_READ)
    assert len(vmas(mm)) == 3
    assert sorted(map(id, listed(anon_vma))) == sorted(map(id, vmas(mm)))

    kernel.sys_mprotect(mm, BASE + PAGE_SIZE, PAGE_SIZE, READ_WRITE)
    assert listed(anon_vma) == vmas(mm) == [mm.mmap]


def test_a_vma_that_grows_over_pages_of_the_next_shares_its_anon_vma() -> None:
    kernel = booted()
    mm = process(kernel, 4, 0)
    kernel.sys_mprotect(mm, BASE, 2 * PAGE_SIZE, VM_READ)
    write(kernel, mm, 2)
    first, second = vmas(mm)
    assert first.anon_vma is None

    kernel.sys_mprotect(mm, BASE + 2 * PAGE_SIZE, PAGE_SIZE, VM_READ)

    assert first.anon_vma == second.anon_vma
    assert listed(second.anon_vma) == [second, first]


def test_a_neighbour_gives_its_anon_vma() -> None:
    kernel = booted()
    mm = process(kernel, 2, 0)
    kernel.sys_mprotect(mm, BASE, PAGE_SIZE, VM_READ)
    write(kernel, mm, 1)
    kernel.anon_vma_prepare(mm.mmap)

    assert mm.mmap.anon_vma == mm.mmap.vm_next.anon_vma
    assert listed(mm.mmap.anon_vma) == [mm.mmap.vm_next, mm.mmap]


def test_a_moved_vma_is_put_last() -> None:
    kernel = booted()
    parent = process(kernel)
    child = kernel.dup_mm(parent)
    to = BASE + 16 * PAGE_SIZE
    kernel.sys_mremap(parent, BASE, PAGE_SIZE, PAGE_SIZE, 3, to)

    assert listed(child.mmap.anon_vma) == [child.mmap, parent.mmap]
    assert parent.mmap.vm_start == to


def test_two_families_do_not_merge() -> None:
    kernel = booted()
    mm = process(kernel, 3, 0)
    kernel.sys_munmap(mm, BASE + PAGE_SIZE, PAGE_SIZE)
    write(kernel, mm, 0)
    write(kernel, mm, 2)
    kernel.sys_mmap(mm, BASE + PAGE_SIZE, PAGE_SIZE, READ_WRITE)

    assert len(vmas(mm)) == 2
    assert vmas(mm)[0].anon_vma != vmas(mm)[1].anon_vma


def test_without_memory_there_is_no_anon_vma() -> None:
    kernel = booted()
    mm = process(kernel, written=0)
    with kernel.machine.running(0, "A") as context:
        context.fail_at = 1
        assert kernel.anon_vma_prepare(mm.mmap) == -ENOMEM
    assert mm.mmap.anon_vma is None


def test_an_anon_vma_that_another_thread_made_needless_is_freed() -> None:
    class Raced(V2_6_33):
        def find_mergeable_anon_vma(self, vma: Any) -> Any:
            if not raced:
                raced.append(vma)
                self.anon_vma_prepare(vma)
            return None

    raced: list[Any] = []
    kernel = booted(Raced)
    mm = process(kernel)

    assert kernel.anon_vma_cachep.live() == (mm.mmap.anon_vma,)
    assert listed(mm.mmap.anon_vma) == [mm.mmap]


def test_a_page_of_another_family_has_no_address_in_a_vma() -> None:
    kernel = booted()
    one, other = process(kernel), process(kernel)

    assert kernel.page_address_in_vma(page_of(kernel, one), one.mmap) == BASE
    assert kernel.page_address_in_vma(page_of(kernel, one), other.mmap) == -EFAULT


def test_all_locks_of_an_mm_are_one_of_each_family() -> None:
    kernel = booted()
    mm = process(kernel, 3)
    kernel.sys_mprotect(mm, BASE + PAGE_SIZE, PAGE_SIZE, VM_READ)
    anon_vma = mm.mmap.anon_vma
    down_write(mm.mmap_sem)

    kernel.mm_take_all_locks(mm)
    assert anon_vma.lock.is_locked()
    kernel.mm_drop_all_locks(mm)
    assert not anon_vma.lock.is_locked()
    up_write(mm.mmap_sem)


def test_two_anon_vmas_do_not_become_one() -> None:
    kernel = booted()
    mm = process(kernel, 2)
    kernel.sys_mprotect(mm, BASE, PAGE_SIZE, VM_READ)
    first, second = vmas(mm)
    second.anon_vma = kernel.anon_vma_alloc()

    with pytest.raises(KernelStateError, match="two anon_vmas"):
        kernel._anon_vma_merge(first, second)


def test_a_walk_visits_the_whole_family() -> None:
    kernel = booted()
    parent = process(kernel)
    children = [kernel.dup_mm(parent) for _ in range(3)]
    write(kernel, children[1], 0)
    page = page_of(kernel, children[1])
    visited: list[Any] = []

    def visit(page: Any, vma: Any, address: int, arg: Any) -> int:
        visited.append(vma.vm_mm)
        return SWAP_AGAIN

    kernel.lock_page(page)
    kernel.rmap_walk(page, visit, None)

    assert visited == [parent, *children]
