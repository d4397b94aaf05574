"""What a commit changed besides lifetimes: locks, lists, and checks."""

from __future__ import annotations

from typing import Any

import pytest

from rmaplab.history import KERNELS, V2_6_36
from rmaplab.kernel.contents import fill
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.mm_types import EFAULT, ENOMEM, PAGE_SIZE, VM_READ, VM_WRITE
from rmaplab.kernel.mmap_merge import Adjustment
from rmaplab.machine import BugOn, pte_get, pte_offset_map, set_pte_at
from rmaplab.machine.context import current
from rmaplab.machine.direct import DirectMachine

BASE = 0x200000


def booted(name: str) -> Kernel:
    """A kernel, with the test as its task until the end."""
    return KERNELS[name](DirectMachine())


def process(kernel: Kernel, address: int = BASE, mm: Any = None) -> Any:
    mm = mm or kernel.mm_alloc()
    kernel.sys_mmap(mm, address, PAGE_SIZE, VM_READ | VM_WRITE)
    kernel.user_write(mm, address, lambda _: fill(1))
    return mm


def vma_of(kernel: Kernel, mm: Any, address: int = BASE) -> Any:
    return kernel.find_vma(mm, address)


def page_of(kernel: Kernel, mm: Any) -> Any:
    page = kernel.follow_page(vma_of(kernel, mm), BASE)
    kernel.put_page(page)
    return page


@pytest.mark.parametrize(
    ("name", "owner"), [("v2.6.35", "child"), ("5c341ee1dfc8", "child"), ("root-lock", "root")]
)
def test_whose_lock_a_child_takes(name: str, owner: str) -> None:
    kernel = booted(name)
    mm = process(kernel)
    child = kernel.dup_mm(mm)
    kernel.vma_lock_anon_vma(vma_of(kernel, child))

    locked = {"root": vma_of(kernel, mm), "child": vma_of(kernel, child)}[owner].anon_vma
    assert current().held == [locked.lock]
    kernel.vma_unlock_anon_vma(vma_of(kernel, child))
    assert current().held == []


def test_a_family_has_one_root() -> None:
    kernel = booted("5c341ee1dfc8")
    mm = process(kernel)
    child = kernel.dup_mm(mm)
    grandchild = kernel.dup_mm(child)

    root = vma_of(kernel, mm).anon_vma
    assert [vma_of(kernel, each).anon_vma.root for each in (mm, child, grandchild)] == [root] * 3


def test_a_root_is_not_made_without_memory() -> None:
    kernel = booted("5c341ee1dfc8")
    mm = kernel.mm_alloc()
    kernel.sys_mmap(mm, BASE, PAGE_SIZE, VM_READ | VM_WRITE)
    with kernel.machine.running(cpu=0, task="A") as context:
        context.fail_at = 2
        assert kernel.anon_vma_prepare(vma_of(kernel, mm)) < 0


@pytest.mark.parametrize(("name", "locked"), [("5c341ee1dfc8", False), ("root-lock", True)])
@pytest.mark.parametrize("start", [BASE, BASE + PAGE_SIZE])
def test_boundaries_move_under_the_lock(name: str, locked: bool, start: int) -> None:
    kernel = booted(name)
    vma = vma_of(kernel, process(kernel))

    adjustment = Adjustment(vma.vm_end)
    anon_vma = kernel.vma_adjust_lock(vma, None, None, start, adjustment)
    expected = [vma.anon_vma.lock] if locked and start != BASE else []
    assert current().held == expected
    kernel.vma_adjust_unlock(vma, None, adjustment, anon_vma)
    assert current().held == []


@pytest.mark.parametrize(("name", "last"), [("76545066c852", False), ("26ba0cb63cb8", True)])
def test_where_a_vma_joins_its_neighbours_anon_vma(name: str, last: bool) -> None:
    """Neighbours that differ in their protection share an anon_vma and stay two."""
    kernel = booted(name)
    mm = kernel.mm_alloc()
    near = BASE + PAGE_SIZE
    kernel.sys_mmap(mm, BASE, 2 * PAGE_SIZE, VM_READ | VM_WRITE)
    kernel.sys_mprotect(mm, near, PAGE_SIZE, VM_READ)
    kernel.user_write(mm, BASE, lambda _: fill(1))
    anon_vma = vma_of(kernel, mm).anon_vma
    kernel.anon_vma_prepare(vma_of(kernel, mm, near))

    vmas = [avc.vma for avc in anon_vma.head.walk(backwards=False)]
    assert (vmas[-1] == vma_of(kernel, mm, near)) is last
    assert len(vmas) == 2


@pytest.mark.parametrize(("name", "kept"), [("26ba0cb63cb8", False), ("288468c334e9", True)])
def test_what_a_page_with_an_anon_vma_belongs_to_when_mapped_again(name: str, kept: bool) -> None:
    """As migration maps a page again: it was a child's own."""
    kernel = booted(name)
    mm = process(kernel)
    child = kernel.dup_mm(mm)
    kernel.user_write(child, BASE, lambda _: fill(2))
    old = page_of(kernel, child)
    kernel.get_page(old)
    kernel.migrate_pages([old], lambda _: kernel.alloc_page())

    owner = vma_of(kernel, child if kept else mm).anon_vma
    assert kernel.page_anon_vma(page_of(kernel, child)) == owner


@pytest.mark.parametrize("name", ["26ba0cb63cb8", "288468c334e9"])
def test_a_shared_page_belongs_to_the_oldest_anon_vma(name: str) -> None:
    kernel = booted(name)
    mm = process(kernel)
    child = kernel.dup_mm(mm)
    page = kernel.alloc_page()
    kernel.lock_page(page)
    kernel.page_add_anon_rmap(page, vma_of(kernel, child), BASE)

    assert kernel.page_anon_vma(page) == vma_of(kernel, mm).anon_vma


@pytest.mark.parametrize(
    ("name", "address"),
    [("288468c334e9", BASE), ("21d0d443cdc1", -EFAULT), ("4829b906cc06", -EFAULT)],
)
def test_a_page_has_no_address_in_a_strangers_vma(name: str, address: int) -> None:
    kernel = booted(name)
    mm, stranger = process(kernel), process(kernel)

    assert kernel.page_address_in_vma(page_of(kernel, mm), vma_of(kernel, stranger)) == address
    assert kernel.page_address_in_vma(page_of(kernel, mm), vma_of(kernel, mm)) == BASE
    assert kernel.page_address_in_vma(kernel.alloc_page(), vma_of(kernel, mm)) == -EFAULT


def test_the_page_of_a_failed_merge_oopses_until_it_is_asked_for() -> None:
    for name, oopses in (("21d0d443cdc1", True), ("4829b906cc06", False)):
        kernel = booted(name)
        mm = process(kernel)
        page = page_of(kernel, mm)
        kernel.set_page_stable_node(page, None)
        if oopses:
            with pytest.raises(AttributeError):
                kernel.page_address_in_vma(page, vma_of(kernel, mm))
        else:
            assert kernel.page_address_in_vma(page, vma_of(kernel, mm)) == -EFAULT


@pytest.mark.parametrize(("name", "found"), [("21d0d443cdc1", False), ("44ab57a06ded", True)])
def test_a_page_mapped_again_must_be_of_the_family(name: str, found: bool) -> None:
    kernel = booted(name)
    mm, stranger = process(kernel), process(kernel)
    page = page_of(kernel, mm)
    kernel.lock_page(page)
    if found:
        with pytest.raises(BugOn):
            kernel.page_add_anon_rmap(page, vma_of(kernel, stranger), BASE)
    else:
        kernel.page_add_anon_rmap(page, vma_of(kernel, stranger), BASE)
    kernel.page_add_anon_rmap(page, vma_of(kernel, mm), BASE)


@pytest.mark.parametrize(("name", "again"), [("44ab57a06ded", False), ("f18194275c39", True)])
def test_a_page_is_asked_again_under_the_lock(name: str, again: bool) -> None:
    """The page is unmapped while the lock is waited for."""

    class Unmapped(KERNELS[name]):  # type: ignore[misc]
        def page_mapped(self, page: Any) -> bool:
            return not any(lock.field == "lock" for lock in current().held)

    kernel = Unmapped(DirectMachine())
    page = page_of(kernel, process(kernel))

    anon_vma = kernel.page_lock_anon_vma(page)
    assert (anon_vma is None) is again
    assert (current().held == []) is again
    assert current().rcu == (not again)


def test_a_mapped_page_is_locked_as_before() -> None:
    kernel = booted("f18194275c39")
    mm = process(kernel)
    page = page_of(kernel, mm)

    anon_vma = kernel.page_lock_anon_vma(page)
    assert anon_vma == vma_of(kernel, mm).anon_vma
    kernel.page_unlock_anon_vma(anon_vma)
    page.mapping = None
    assert kernel.page_lock_anon_vma(page) is None
    assert (current().held, current().rcu) == ([], 0)


@pytest.mark.parametrize(("name", "own"), [("f18194275c39", False), ("a247c3a97a02", True)])
def test_whose_a_vma_is_while_fork_links_it(name: str, own: bool) -> None:
    seen = []

    class Watched(KERNELS[name]):  # type: ignore[misc]
        def anon_vma_fork(self, vma: Any, pvma: Any) -> int:
            seen.append(vma.vm_mm != pvma.vm_mm)
            return super().anon_vma_fork(vma, pvma)

    kernel = Watched(DirectMachine())
    child = kernel.dup_mm(process(kernel))

    assert seen == [own]
    assert vma_of(kernel, child).vm_mm == child


@pytest.mark.parametrize(("name", "left"), [("a247c3a97a02", 2), ("2aeadc30de45", 1)])
def test_what_a_split_leaves_on_the_list_if_the_boundary_cannot_move(name: str, left: int) -> None:
    """No kernel of these comes to that: vma_adjust has to be made to fail."""

    class Starved(KERNELS[name]):  # type: ignore[misc]
        def vma_adjust(self, vma: Any, start: int, end: int, pgoff: int, insert: Any) -> int:
            return -ENOMEM

    kernel = Starved(DirectMachine())
    mm = kernel.mm_alloc()
    kernel.sys_mmap(mm, BASE, 2 * PAGE_SIZE, VM_READ | VM_WRITE)
    kernel.user_write(mm, BASE, lambda _: fill(1))
    anon_vma = vma_of(kernel, mm).anon_vma

    assert kernel.split_vma(mm, vma_of(kernel, mm), BASE + PAGE_SIZE, new_below=False) == -ENOMEM
    assert len(list(anon_vma.head.walk(backwards=False))) == left
    assert len(kernel.vm_area_cachep.live()) == 1


def entry_of(kernel: Kernel, mm: Any) -> Any:
    return pte_get(pte_offset_map(mm.pgd, BASE))


def write_protected(kernel: Kernel, mm: Any) -> Any:
    """The page, after KSM has protected it against writes with a reference of its own."""
    page = kernel.follow_page(vma_of(kernel, mm), BASE)
    kernel.lock_page(page)
    err, entry = kernel.write_protect_page(vma_of(kernel, mm), page)
    assert (err, entry) == (0, entry_of(kernel, mm))
    return page


@pytest.mark.parametrize("forked", [False, True])
@pytest.mark.parametrize(("name", "handed_on"), [("4829b906cc06", False), ("4e31635c367a", True)])
def test_where_the_dirty_bit_is_once_ksm_has_protected_a_page(
    name: str, handed_on: bool, forked: bool
) -> None:
    """Also where fork has made the entry read-only already."""
    kernel = booted(name)
    mm = process(kernel)
    if forked:
        kernel.dup_mm(mm)
    assert entry_of(kernel, mm).dirty
    assert entry_of(kernel, mm).write is not forked

    page = write_protected(kernel, mm)

    entry = entry_of(kernel, mm)
    assert (entry.write, entry.dirty, page.dirty) == (False, not handed_on, handed_on)


def test_a_clean_entry_makes_no_page_dirty() -> None:
    kernel = booted("4e31635c367a")
    mm = process(kernel)
    ptep = pte_offset_map(mm.pgd, BASE)
    set_pte_at(ptep, pte_get(ptep)._replace(dirty=False))

    assert not write_protected(kernel, mm).dirty
    assert not entry_of(kernel, mm).write


def test_fork_without_memory_still_fails_in_order() -> None:
    kernel = V2_6_36(DirectMachine())
    mm = process(kernel)
    left = (1, 1)
    for number in range(1, 6):
        with kernel.machine.running(cpu=0, task="A") as context:
            context.fail_at = number
            child = kernel.dup_mm(mm)
            if child is not None:
                kernel.mmput(child)
        caches = kernel.anon_vma_cachep, kernel.anon_vma_chain_cachep
        assert tuple(len(cache.live()) for cache in caches) == left
