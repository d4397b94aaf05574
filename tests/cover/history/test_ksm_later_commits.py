"""What each commit to KSM changed since 4.13, as far as recorded cases do not show it."""

from __future__ import annotations

import pytest
from ksm_lab import BASE, RW, Lab, failing

from rmaplab.kernel.contents import fill
from rmaplab.kernel.ksm.sysfs import MEM_GOING_OFFLINE, MEM_OFFLINE
from rmaplab.kernel.mm_types import ENOMEM, PAGE_SIZE, VM_MERGEABLE
from rmaplab.machine import pte_offset_map, set_pte_at


def test_no_memory_for_a_chain_breaks_what_was_merged() -> None:
    for number in (1, 2):
        lab = Lab("v6.18")
        lab.kernel.max_page_sharing_store(2)
        a = lab.process(1, 1)
        lab.scan()
        b = lab.process(1, 1)
        lab.scan(1)

        with failing(number):
            lab.scan(1)

        assert lab.counts == (1, 1)
        assert lab.page(b, 0) != lab.page(b, 1)
        assert lab.kernel.PageKsm(lab.page(a))


def test_hotplug_finds_the_nodes_of_a_chain() -> None:
    lab = Lab("v6.18")
    lab.kernel.max_page_sharing_store(2)
    a = lab.process(1, 1, 1, 1)
    lab.scan()
    assert lab.kernel.stable_node_dups_show() == 2
    lab.kernel.mmput(a)

    lab.kernel.ksm_memory_callback(MEM_GOING_OFFLINE, 0, 1000)
    lab.kernel.ksm_memory_callback(MEM_OFFLINE, 0, 1000)

    assert lab.kernel.stable_node_dups_show() == 0


def test_a_child_began_with_its_parents_counts_until_6_18() -> None:
    seen = []
    for name in ("6080d19f0704", "v6.18"):
        lab = Lab(name)
        lab.kernel.use_zero_pages_store(1)
        a = lab.process(1, 1, 0)
        lab.scan()
        stat = lab.kernel.ksm_stat(lab.kernel.dup_mm(a))
        seen.append((tuple(stat.values()), lab.kernel.ksm_zero_pages_show()))

    # (rmap_items, zero_pages, merging_pages), and the zero pages of all
    assert seen == [((3, 1, 2), 1), ((0, 1, 0), 2)]


def test_a_mm_without_memory_has_no_counts() -> None:
    kernel = Lab("v6.18").kernel

    with failing():
        assert kernel.mm_alloc() is None


def test_prctl_needs_memory() -> None:
    lab = Lab("v6.18")
    mm = lab.kernel.mm_alloc()

    with failing():
        assert lab.kernel.prctl_set_memory_merge(mm, True) == -ENOMEM
    assert lab.kernel.prctl_set_memory_merge(mm, True) == 0
    assert lab.kernel.prctl_set_memory_merge(mm, True) == 0


def test_what_prctl_made_mergeable_stays_so_without_the_fix_of_6_4() -> None:
    merged = []
    for name in ("d7597f59d1d3", "24139c07f413"):
        lab = Lab(name)
        mm = lab.process(1, 1)
        lab.kernel.prctl_set_memory_merge(mm, True)
        lab.scan()
        assert lab.kernel.prctl_set_memory_merge(mm, False) == 0
        assert lab.kernel.prctl_set_memory_merge(mm, False) == 0
        merged.append(lab.kernel.PageKsm(lab.page(mm)))

    assert merged == [True, False]


def test_prctl_off_without_memory_leaves_all_mergeable() -> None:
    lab = Lab("v6.18")
    mm = lab.process(1, 1)
    lab.kernel.prctl_set_memory_merge(mm, True)
    lab.kernel.sys_mmap(mm, BASE + 9 * PAGE_SIZE, PAGE_SIZE, RW)
    lab.scan()

    with failing():
        assert lab.kernel.prctl_set_memory_merge(mm, False) == -ENOMEM

    assert lab.kernel.find_vma(mm, BASE).vm_flags & VM_MERGEABLE
    assert lab.kernel.prctl_set_memory_merge(mm, False) == 0


def test_what_was_asked_for_goes_on_after_exec() -> None:
    under_ksm = []
    for name in ("24139c07f413", "3c6f33b7273a", "3a9e567ca45f", "v6.18"):
        lab = Lab(name)
        task = type("Task", (), {})()
        task.mm = lab.kernel.mm_alloc()
        lab.kernel.prctl_set_memory_merge(task.mm, True)
        lab.kernel.exec_mmap(task, lab.kernel.mm_alloc())
        at_once = lab.kernel.test_mm_mergeable(task.mm)
        lab.kernel.sys_mmap(task.mm, BASE, PAGE_SIZE, RW)
        flags = lab.kernel.find_vma(task.mm, BASE).vm_flags
        under_ksm.append((at_once, bool(flags & VM_MERGEABLE)))
        assert lab.kernel.test_mm_mergeable(task.mm) == under_ksm[-1][1]

    assert under_ksm == [(False, False), (False, True), (True, True), (True, True)]


def test_who_has_nothing_mergeable_comes_under_ksm_again() -> None:
    lab = Lab("v6.18")
    mm = lab.kernel.mm_alloc()
    lab.kernel.prctl_set_memory_merge(mm, True)
    lab.scan(1)
    assert not lab.kernel.test_mm_mergeable(mm)

    lab.kernel.sys_mmap(mm, BASE, PAGE_SIZE, RW)

    assert lab.kernel.test_mm_mergeable(mm)


def test_a_page_is_skipped_as_often_as_its_age_says() -> None:
    kernel = Lab("v6.18").kernel

    assert [kernel.skip_age(age) for age in range(11)] == [1, 1, 1, 1, 2, 2, 4, 4, 4, 8, 8]


def test_a_locked_page_that_ksm_takes_waits_for_the_next_pass() -> None:
    lab = Lab("v6.18")
    a, b = lab.process(1), lab.process(1)
    lab.kernel.sys_mlock(a, BASE, PAGE_SIZE)
    old = lab.page(a)
    lab.scan()
    assert lab.kernel.batched_pages() == (lab.page(b), old)

    lab.kernel.migrate_prep()

    assert lab.kernel.batched_pages() == ()
    lab.kernel.mlock_batch_add(lab.page(a))
    lab.kernel.sysctl_compaction_handler()
    assert lab.kernel.batched_pages() == ()


def test_a_batch_that_is_full_is_drained() -> None:
    lab = Lab("v6.18")
    pages = 16
    lab.process(1, 1)
    b = lab.process(*[1] * pages)
    lab.kernel.sys_mlock(b, BASE, pages * PAGE_SIZE)

    lab.scan()

    assert len(lab.kernel.batched_pages()) == 2 * pages - 31


def test_a_zero_page_takes_the_place_of_a_locked_page() -> None:
    lab = Lab("v6.18")
    lab.kernel.use_zero_pages_store(1)
    mm = lab.process(0)
    lab.kernel.sys_mlock(mm, BASE, PAGE_SIZE)
    page = lab.page(mm)

    lab.scan()

    assert lab.kernel.ksm_zero_pages_show() == 1
    assert lab.kernel.batched_pages() == (page,)


def test_a_page_of_zeros_that_is_written_meanwhile_stays() -> None:
    lab = Lab("v6.18")
    lab.kernel.use_zero_pages_store(1)
    mm = lab.process(0)
    lab.scan(1)

    with lab.before("page_address_in_vma", lambda: lab.write(mm, 0, 5)):
        lab.scan(1)

    assert (lab.kernel.ksm_zero_pages_show(), lab.page(mm).contents) == (0, fill(5))


@pytest.mark.parametrize("what", ["entry", "place"])
def test_what_changes_before_the_zero_page_comes_stays(what: str) -> None:
    lab = Lab("v6.18")
    lab.kernel.use_zero_pages_store(1)
    mm = lab.process(0)
    lab.scan(1)
    page, ptep = lab.page(mm), pte_offset_map(mm.pgd, BASE)

    def change() -> None:
        if what == "place":
            page.index += 1
        else:
            set_pte_at(ptep, ptep.read()._replace(young=False))

    with lab.before("replace_page", change):
        lab.scan(1)

    assert lab.kernel.ksm_zero_pages_show() == 0
    assert lab.page(mm) == page
