"""Swap: pages that leave memory come back with their bytes, for everybody who had them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmaplab.history import KERNELS
from rmaplab.kernel.contents import ZERO, fill
from rmaplab.kernel.memory_swap import SwapFault
from rmaplab.kernel.mm_types import EINVAL, ENOMEM, TASK_SIZE
from rmaplab.kernel.pgtable import SwapEntry
from rmaplab.kernel.swapfile import SWAP_HAS_CACHE, SWAP_SLOTS, swap_count
from rmaplab.machine import BugOn, pgd_addresses, pte_get, pte_offset_map


@pytest.fixture
def lab(new_lab: Callable[..., Any]) -> Iterator[Any]:
    with new_lab(CONFIG_SWAP=True) as lab:
        yield lab


def reclaim(lab: Any, page: Any, passes: int = 2) -> int:
    """Isolate a page and reclaim it; the first pass only forgets that it was used."""
    freed = 0
    for _ in range(passes):
        if freed or lab.kernel.isolate_lru_page(page):
            break
        pages = [page]
        freed += lab.kernel.shrink_page_list(pages)
        for kept in pages:
            lab.kernel.putback_lru_page(kept)
    return freed


def swapped(lab: Any, *words: int) -> Any:
    """A process whose pages hold these words, all of them on the device only."""
    mm = lab.process(len(words))
    for page, word in enumerate(words):
        lab.write(mm, page, word)
        assert reclaim(lab, lab.page_of(mm, page)) == 1
    return mm


def check_swap(lab: Any, *mms: Any) -> None:
    """Counts of slots, pages of the cache and free slots, each counted by brute force."""
    kernel = lab.kernel
    named: dict[int, int] = {}
    for mm in mms:
        for where in pgd_addresses(mm.pgd, 0, TASK_SIZE):
            entry = pte_get(pte_offset_map(mm.pgd, where))
            if isinstance(entry, SwapEntry):
                named[entry.offset] = named.get(entry.offset, 0) + 1
                assert mm.mmlist.linked()
    cached = {page.private.offset: page for page in kernel.page_cachep.live() if page.swapcache}
    for offset, slot in enumerate(kernel.swap_slots):
        assert swap_count(slot.swap_map) == named.get(offset, 0)
        assert bool(slot.swap_map & SWAP_HAS_CACHE) == (offset in cached)
        assert slot.page is cached.get(offset)
        assert not slot.moving.is_locked()
    used = sum(bool(slot.swap_map) for slot in kernel.swap_slots)
    assert kernel.swap.nr_swap_pages == SWAP_SLOTS - 1 - used


def check_exit(lab: Any, *mms: Any) -> None:
    """Let all go. What is then in the swap cache alone is reclaim's to find, and nothing more."""
    for mm in mms:
        lab.kernel.mmput(mm)
    for page in lab.kernel.page_cachep.live():
        assert page.swapcache and page.private is not None
        reclaim(lab, page)
    check_swap(lab)
    assert lab.live() == {}


def test_out_and_in_again_keeps_the_bytes(lab: Any) -> None:
    mm = swapped(lab, 7, 8)

    assert lab.live().get("page", 0) == 0
    assert isinstance(lab.entry(mm, 0), SwapEntry)
    check_swap(lab, mm)
    assert (lab.read(mm, 0), lab.read(mm, 1)) == (fill(7), fill(8))
    check_swap(lab, mm)
    check_exit(lab, mm)
    check_swap(lab)


def test_after_fork_both_have_the_entry_and_then_the_same_page(lab: Any) -> None:
    mm = swapped(lab, 7)
    child = lab.kernel.dup_mm(mm)
    check_swap(lab, mm, child)
    assert swap_count(lab.kernel.swap_slots[1].swap_map) == 2

    assert (lab.read(mm), lab.read(child)) == (fill(7), fill(7))

    check_swap(lab, mm, child)
    assert lab.live()["page"] == 2 - (lab.page_of(mm) is lab.page_of(child))
    check_exit(lab, mm, child)


def test_two_of_a_family_share_the_page_that_comes_back(new_lab: Any) -> None:
    with new_lab(CONFIG_SWAP=True, CONFIG_KSM=False) as lab:
        mm = swapped(lab, 7)
        child = lab.kernel.dup_mm(mm)

        assert (lab.read(child), lab.read(mm)) == (fill(7), fill(7))

        page = lab.page_of(mm)
        assert page is lab.page_of(child)
        assert (lab.kernel.page_mapcount(page), lab.kernel.page_count(page)) == (2, 3)
        assert lab.found_by_rmap(page) == {(mm, lab.address(0)), (child, lab.address(0))}
        lab.write(child, 0, 9)
        assert (lab.read(mm), lab.read(child)) == (fill(7), fill(9))
        check_exit(lab, child, mm)


def test_a_shared_page_is_swapped_out_for_both(lab: Any) -> None:
    mm = lab.process()
    lab.write(mm, 0, 7)
    child = lab.kernel.dup_mm(mm)

    assert reclaim(lab, lab.page_of(mm)) == 1

    assert lab.entry(mm) == lab.entry(child) == SwapEntry(1)
    check_swap(lab, mm, child)
    lab.write(mm, 0, 8)
    assert lab.read(child) == fill(7)
    check_swap(lab, mm, child)
    check_exit(lab, mm, child)


def test_a_write_takes_the_page_of_its_only_user_out_of_the_swap_cache(lab: Any) -> None:
    mm = swapped(lab, 7)

    assert lab.write(mm, 0, 8) == 0

    page = lab.page_of(mm)
    assert (page.swapcache, page.private, page.dirty) == (False, None, True)
    assert lab.entry(mm).write and lab.entry(mm).dirty
    check_swap(lab, mm)
    check_exit(lab, mm)


def test_a_write_to_a_page_that_swap_still_needs_is_to_a_copy(lab: Any) -> None:
    mm = swapped(lab, 7)
    child = lab.kernel.dup_mm(mm)

    assert lab.write(mm, 0, 8) == 0

    assert lab.read(child) == fill(7)
    assert lab.read(mm) == fill(8)
    check_swap(lab, mm, child)
    check_exit(lab, mm, child)


def test_a_clean_page_of_the_swap_cache_is_not_written_again(lab: Any) -> None:
    mm = swapped(lab, 7)
    lab.read(mm)
    assert not lab.page_of(mm).dirty
    lab.kernel.swap_slots[1].contents = fill(5)  # seen only if nothing is written over it

    assert reclaim(lab, lab.page_of(mm)) == 1
    assert lab.read(mm) == fill(5)
    check_exit(lab, mm)


def test_a_full_device_keeps_pages_in_memory(lab: Any) -> None:
    mm = lab.process(SWAP_SLOTS)
    for page in range(SWAP_SLOTS):
        lab.write(mm, page, page)
        assert reclaim(lab, lab.page_of(mm, page)) == (page < SWAP_SLOTS - 1)

    assert lab.kernel.vm_swap_full()
    assert lab.read(mm, 3) == fill(3)
    assert not lab.page_of(mm, 3).swapcache, "a full device gets its slot back at once"
    check_swap(lab, mm)
    check_exit(lab, mm)


def test_swapoff_brings_everything_back(lab: Any) -> None:
    mm = swapped(lab, 7, 8)
    child = lab.kernel.dup_mm(mm)
    lab.read(child, 1)

    assert lab.kernel.sys_swapoff() == 0

    for each in (mm, child):
        assert not any(isinstance(lab.entry(each, page), SwapEntry) for page in (0, 1))
        assert (lab.read(each, 0), lab.read(each, 1)) == (fill(7), fill(8))
    check_swap(lab, mm, child)
    assert reclaim(lab, lab.page_of(mm, 0)) == 0, "there is no device"
    assert lab.kernel.sys_swapoff() == -EINVAL
    assert lab.kernel.sys_swapon() == 0 and lab.kernel.sys_swapon() == -EINVAL
    check_exit(lab, mm, child)


def test_swapoff_without_memory_leaves_the_device_on(lab: Any) -> None:
    mm = swapped(lab, 7)

    ret, _ = lab.failing(1, lab.kernel.sys_swapoff)

    assert ret == -ENOMEM
    assert lab.kernel.swap.writeok
    assert lab.read(mm) == fill(7)
    check_swap(lab, mm)
    check_exit(lab, mm)


def test_without_the_switch_there_is_no_device(new_lab: Any) -> None:
    with new_lab() as lab:
        mm = lab.process()
        lab.write(mm, 0, 7)

        assert reclaim(lab, lab.page_of(mm)) == 0
        assert lab.kernel.sys_swapoff() == lab.kernel.sys_swapon() == -EINVAL
        lab.check_exit(mm)


@pytest.mark.parametrize("op", ["read", "write", "fork", "copy"])
def test_allocations_that_fail_lose_nothing(lab: Any, op: str) -> None:
    for number in range(1, 20):
        mm = swapped(lab, 7, 8)
        child = lab.kernel.dup_mm(mm)
        if op == "copy":
            lab.read(child)
        calls: dict[str, Callable[[], Any]] = {
            "read": lambda mm=mm: lab.read(mm),
            "write": lambda mm=mm: lab.write(mm, 0, 9),
            "copy": lambda mm=mm: lab.write(mm, 0, 9),
            "fork": lambda mm=mm: lab.kernel.dup_mm(mm),
        }
        ret, failed = lab.failing(number, calls[op])
        others = [ret] if op == "fork" and ret is not None else []
        assert lab.read(child) == fill(7)
        assert lab.read(mm) == fill(9 if op in ("write", "copy") and ret == 0 else 7)
        check_swap(lab, mm, child, *others)
        check_exit(lab, mm, child, *others)
        if not failed:
            return
    raise AssertionError("it allocates without end")


def test_a_slot_that_nobody_uses_cannot_be_freed(lab: Any) -> None:
    with pytest.raises(BugOn, match="Unused swap offset"):
        lab.kernel.swap_entry_free(SwapEntry(1), 1)


def test_a_migrated_page_takes_its_slot_along(lab: Any) -> None:
    mm = swapped(lab, 7)
    lab.read(mm)
    page = lab.page_of(mm)
    lab.kernel.isolate_lru_page(page)

    assert lab.kernel.migrate_pages([page], lambda _: lab.kernel.alloc_page()) == 0

    assert lab.read(mm) == fill(7)
    assert lab.page_of(mm) is not page
    check_swap(lab, mm)
    check_exit(lab, mm)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("write", "read", "out", "fork", "exit", "unmap", "off")),
        st.integers(0, 3),
        st.integers(0, 2),
        st.integers(0, 9),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    steps=STEPS,
    ksm=st.booleans(),
    name=st.sampled_from(("v2.6.34", "v2.6.35", "ad8c2ee801ad", "v2.6.36", "v2.6.38")),
)
def test_random_swapping_never_mixes_memory_up(
    new_lab: Any, steps: Any, ksm: bool, name: str
) -> None:
    with new_lab(KERNELS[name], CONFIG_SWAP=True, CONFIG_KSM=ksm) as lab:
        spaces = [(lab.process(3), dict.fromkeys(range(3), ZERO))]
        for what, who, page, word in steps:
            mm, held = spaces[who % len(spaces)]
            if what == "write" and page in held:
                assert lab.write(mm, page, word) == 0
                held[page] = fill(word)
            elif what == "read" and page in held:
                assert lab.read(mm, page) == held[page]
            elif what == "out" and getattr(lab.entry(mm, page), "pfn", -1) >= 0:
                reclaim(lab, lab.page_of(mm, page), 1 + word % 2)
            elif what == "fork" and len(spaces) < 4:
                spaces.append((lab.kernel.dup_mm(mm), dict(held)))
            elif what == "exit" and len(spaces) > 1:
                spaces.remove((mm, held))
                lab.kernel.mmput(mm)
            elif what == "unmap" and word == 0:
                lab.munmap(mm, page, 1)
                held.pop(page, None)
            elif what == "off" and word < 3:
                assert lab.kernel.sys_swapoff() == 0 and lab.kernel.sys_swapon() == 0
            check_swap(lab, *(each for each, _ in spaces))
        for mm, held in spaces:
            assert {page: lab.read(mm, page) for page in held} == held
        check_exit(lab, *(mm for mm, _ in spaces))


def test_a_slot_that_was_freed_meanwhile_is_not_read(lab: Any) -> None:
    assert lab.kernel.read_swap_cache_async(SwapEntry(1), None, 0) is None
    assert lab.live() == {}


@pytest.mark.parametrize("name", ["v2.6.34", "v2.6.38"])
def test_a_page_that_came_too_late_is_let_go(new_lab: Any, name: str) -> None:
    """The entry was there when the fault began, and another thread's fault was faster."""
    with new_lab(KERNELS[name], CONFIG_SWAP=True) as lab:
        mm = swapped(lab, 7)
        kernel, pte = lab.kernel, pte_offset_map(mm.pgd, lab.address(0))
        fault = SwapFault(mm, mm.mmap, lab.address(0), pte, lab.entry(mm), False)
        lab.read(mm)
        page, copy, mapped = lab.page_of(mm), kernel.alloc_page(), lab.entry(mm)
        for each in (page, copy):
            assert kernel.trylock_page(each)
        kernel.get_page(page)  # the lookup's
        before = kernel.page_count(page)

        late = (page, None) if name == "v2.6.34" else (copy, page)
        assert kernel.swapin_map(fault, *late) == 0

        assert lab.entry(mm) == mapped
        assert kernel.page_count(page) == before - 1 and not kernel.PageLocked(page)
        if name == "v2.6.34":
            kernel.unlock_page(copy)
            kernel.put_page(copy)
        check_swap(lab, mm)
        check_exit(lab, mm)


def test_swapoff_passes_the_vmas_that_cannot_have_the_page(lab: Any) -> None:
    mm = lab.process()
    lab.mmap(mm, 5, 1)
    for page in (0, 5):
        lab.write(mm, page, page)
    child = lab.kernel.dup_mm(mm)
    assert reclaim(lab, lab.page_of(mm, 5)) == 1
    assert lab.read(child, 5) == fill(5)

    assert lab.kernel.sys_swapoff() == 0

    assert lab.page_of(mm, 5) is lab.page_of(child, 5)
    assert (lab.read(mm, 0), lab.read(mm, 5)) == (fill(0), fill(5))
    check_swap(lab, mm, child)
    check_exit(lab, mm, child)


def test_a_page_in_use_loses_its_slot_where_slots_are_scarce(lab: Any) -> None:
    mm = swapped(lab, 7)
    lab.read(mm)
    page = lab.page_of(mm)
    assert page.swapcache
    others = swapped(lab, *range(SWAP_SLOTS // 2))
    assert lab.kernel.vm_swap_full()

    assert reclaim(lab, page, passes=1) == 0

    assert not page.swapcache and lab.page_of(mm) is page
    check_swap(lab, mm, others)
    check_exit(lab, mm, others)


def test_a_page_of_the_swap_cache_that_somebody_else_holds_does_not_migrate(lab: Any) -> None:
    mm = swapped(lab, 7)
    lab.read(mm)
    page = lab.page_of(mm)
    lab.kernel.get_page(page)
    lab.kernel.isolate_lru_page(page)

    assert lab.kernel.migrate_pages([page], lambda _: lab.kernel.alloc_page()) == 1

    assert lab.kernel.swap_slots[1].page is page
    lab.kernel.put_page(page)
    assert lab.read(mm) == fill(7) and lab.page_of(mm) is page
    check_swap(lab, mm)
    check_exit(lab, mm)


def test_a_merged_page_is_nobodys_alone(lab: Any) -> None:
    mm = lab.process()
    lab.write(mm, 0, 7)
    page = lab.page_of(mm)
    assert lab.kernel.trylock_page(page) and lab.kernel.reuse_swap_page(page)

    mapping = page.mapping
    lab.kernel.set_page_stable_node(page, None)
    assert not lab.kernel.reuse_swap_page(page)

    page.mapping = mapping
    lab.kernel.unlock_page(page)
    check_exit(lab, mm)
