"""Unmerging, the knobs, memory hotplug, and a kernel without CONFIG_KSM."""

from __future__ import annotations

import pytest

from rmaplab.kernel.ksm.sysfs import MEM_CANCEL_OFFLINE, MEM_GOING_OFFLINE, MEM_OFFLINE
from rmaplab.kernel.madvise import MADV_MERGEABLE, MADV_UNMERGEABLE
from rmaplab.kernel.mm_types import VM_MERGEABLE, VM_SHARED
from rmaplab.machine import KernelStateError

MEM_GOING_ONLINE = 1 << 3


class TestUnmerge:
    def test_a_range_is_unmerged_at_once_and_its_rmap_items_go_later(self, lab):
        a, b = lab.process(5, 5), lab.process(5)
        lab.scan(2)

        assert lab.unmergeable(a, 2) == 0

        assert not any(lab.kernel.PageKsm(lab.frame(a, page)) for page in (0, 1))
        assert lab.kernel.PageKsm(lab.frame(b))
        assert lab.counts == (1, 2, 0, 0)
        lab.scan()
        assert lab.counts == (1, 0, 0, 0)
        assert [lab.read(a, 0), lab.read(a, 1), lab.read(b, 0)] == [5, 5, 5]

    @pytest.mark.parametrize("nth", [1, 2])
    def test_without_memory_a_range_stays_mergeable(self, lab, nth):
        a, _ = lab.process(5, 5), lab.process(5)
        lab.scan(2)
        lab.failing(nth)

        assert lab.unmergeable(a, 2) == -11
        assert lab.vma(a).vm_flags & VM_MERGEABLE
        assert nth == 1 + sum(not lab.kernel.PageKsm(lab.frame(a, page)) for page in (0, 1))

    def test_two_stored_to_run_unmerges_all_but_keeps_the_slots(self, lab):
        mms = [lab.process(5, 6), lab.process(5, 7), lab.process(5)]
        lab.scan(2)

        assert lab.kernel.run_store(2) == 0

        assert lab.counts == (0, 0, 0, 0)
        assert lab.kernel.full_scans_show() == 0
        assert [lab.read(mm, 0) for mm in mms] == [5, 5, 5]
        assert lab.living["page"] == 5
        assert {"rmap_item", "stable_node"}.isdisjoint(lab.living)
        assert lab.living["mm_slot"] == 3
        lab.kernel.run_store(1)
        lab.scan(2)
        assert lab.counts == (1, 2, 2, 0)

    def test_in_the_middle_of_a_pass_too(self, lab):
        mms = [lab.process(5, 6), lab.process(5, 7)]
        lab.scan(2)
        for _ in range(3):
            lab.kernel.ksm_scan_one_page()

        assert lab.kernel.run_store(2) == 0

        assert lab.counts == (0, 0, 0, 0)
        lab.kernel.run_store(1)
        lab.scan(2)
        assert lab.counts == (1, 1, 2, 0)
        lab.exit(*mms)
        lab.scan()
        assert lab.living == {}

    def test_a_range_with_holes_is_unmerged_too(self, lab):
        a, b = lab.process(5, 5, 6), lab.process(5)
        lab.kernel.sys_mmap(a, lab.address(8), 4096, 3, fixed=True)
        lab.madvise(a, MADV_MERGEABLE, 1, at=8)
        lab.kernel.sys_mmap(b, lab.address(8), 4096, 3, fixed=True)
        lab.scan(2)
        lab.kernel.sys_madvise(a, lab.address(1), 4096, 4)

        assert lab.kernel.run_store(2) == 0
        assert lab.living["page"] == 3

    def test_an_address_space_whose_exit_has_begun_is_not_touched(self, lab):
        a, b = lab.process(5), lab.process(5)
        lab.scan(2)
        lab.just_before("ksm_exit", lambda: lab.kernel.run_store(2))

        lab.exit(a)

        assert lab.living["mm_slot"] == lab.living["mm_struct"] == 1
        assert lab.read(b, 0) == 5

    def test_an_exit_that_begins_meanwhile_ends_it(self, lab):
        a = lab.process(5, 5)
        lab.scan(2)
        lab.kernel.ksm_test_exit = lambda mm: True

        assert lab.kernel.unmerge_ksm_pages(lab.vma(a), lab.address(0), lab.address(2)) == 0
        assert lab.kernel.PageKsm(lab.frame(a, 0))

    def test_it_frees_the_slots_of_those_who_have_exited(self, lab):
        lab.process(5)
        b = lab.process(5)
        lab.scan(2)
        lab.exit(b)

        assert lab.kernel.run_store(2) == 0

        assert 1 == lab.living["mm_slot"] == lab.living["mm_struct"]

    def test_without_memory_it_stops_and_the_next_pass_starts_afresh(self, lab):
        a, b = lab.process(5), lab.process(5)
        lab.scan(2)
        lab.failing(1)

        assert lab.kernel.run_store(2) == -12

        assert lab.kernel.run_show() == 0
        assert lab.kernel.ksm_mm_head == lab.kernel.ksm_scan.mm_slot
        assert lab.kernel.PageKsm(lab.frame(a))
        assert lab.kernel.run_store(2) == 0
        assert [lab.read(a, 0), lab.read(b, 0)] == [5, 5]
        assert {"stable_node", "rmap_item"}.isdisjoint(lab.living)


class TestAdvice:
    @pytest.mark.parametrize("advice", [MADV_MERGEABLE, MADV_UNMERGEABLE])
    def test_advice_that_does_not_fit_is_ignored(self, lab, advice):
        a = lab.process(1, mergeable=False)
        flags = VM_SHARED if advice == MADV_MERGEABLE else 0

        assert (0, flags) == lab.kernel.ksm_madvise(lab.vma(a), 0, 4096, advice, flags)
        assert "mm_slot" not in lab.living

    def test_other_advice_is_none_of_its_business(self, lab):
        a = lab.process(1)

        assert lab.kernel.ksm_madvise(lab.vma(a), 0, 4096, 4, 7) == (0, 7)

    def test_advice_given_twice_makes_one_slot(self, lab):
        a = lab.process(1)
        lab.madvise(a, MADV_MERGEABLE, 1)

        assert lab.living["mm_slot"] == 1


class TestKnobs:
    def test_what_is_stored_is_shown(self, lab):
        kernel = lab.kernel

        assert (kernel.pages_to_scan_store(7), kernel.sleep_millisecs_store(0)) == (0, 0)
        assert (kernel.pages_to_scan_show(), kernel.sleep_millisecs_show()) == (7, 0)
        assert (kernel.run_store(1), kernel.run_show()) == (0, 1)

    def test_what_is_out_of_range_is_refused(self, lab):
        kernel = lab.kernel

        stores = (kernel.pages_to_scan_store, kernel.sleep_millisecs_store, kernel.run_store)
        assert [store(bad) for store in stores for bad in (-1, 1 << 32)] == [-22] * 6
        assert kernel.run_store(3) == -22
        assert (
            kernel.pages_to_scan_show(),
            kernel.sleep_millisecs_show(),
            kernel.run_show(),
        ) == (100, 20, 1)


class TestHotplug:
    def test_nodes_of_memory_that_went_away_are_pruned(self, lab):
        a, b = lab.process(5, 6), lab.process(5, 7)
        lab.scan(2)
        pfn = lab.kernel.page_to_pfn(lab.frame(a))
        lab.munmap(a, 0)
        lab.munmap(b, 0)

        lab.kernel.ksm_memory_callback(MEM_GOING_OFFLINE, pfn, 1)
        lab.kernel.ksm_memory_callback(MEM_OFFLINE, pfn, 1)

        assert lab.counts == (0, 0, 2, 2)
        assert "stable_node" not in lab.living
        lab.scan()
        assert lab.counts == (0, 0, 2, 0)

    def test_memory_that_comes_is_no_news(self, lab):
        lab.process(5)
        lab.kernel.ksm_memory_callback(MEM_GOING_ONLINE, 0, 1)

        assert lab.kernel.ksm_scan_one_page()

    def test_others_stay(self, lab):
        a, _ = lab.process(5), lab.process(5)
        lab.scan(2)
        pfn = lab.kernel.page_to_pfn(lab.frame(a)) + 1

        lab.kernel.ksm_memory_callback(MEM_GOING_OFFLINE, pfn, 4)
        lab.kernel.ksm_memory_callback(MEM_OFFLINE, pfn, 4)

        assert lab.counts == (1, 1, 0, 0)

    def test_meanwhile_ksmd_is_locked_out(self, lab):
        lab.process(5)
        lab.kernel.ksm_memory_callback(MEM_GOING_OFFLINE, 0, 1)

        with pytest.raises(KernelStateError):
            lab.kernel.ksm_scan_one_page()
        lab.kernel.ksm_memory_callback(MEM_CANCEL_OFFLINE, 0, 1)
        assert lab.kernel.ksm_scan_one_page()


class TestWithoutConfigKsm:
    def test_it_is_compiled_out(self, lab_without_ksm):
        lab = lab_without_ksm
        a = lab.process(5, mergeable=False)
        kernel, frame, vma = lab.kernel, lab.frame(a), lab.vma(a)

        assert lab.madvise(a, MADV_MERGEABLE, 1) == -22
        assert kernel.ksm_madvise(vma, 0, 4096, MADV_MERGEABLE, 0) == (0, 0)
        assert kernel.ksm_fork(a, a) == 0
        assert not kernel.ksm_scan_one_page()
        assert not kernel.PageKsm(frame) and kernel.page_stable_node(frame) is None
        assert 0 == kernel.page_referenced_ksm(frame) == kernel.try_to_unmap_ksm(frame, 0)
        assert kernel.rmap_walk_ksm(frame, print, None) == 0
        assert frame == kernel.ksm_might_need_to_copy(frame, vma, lab.address(0))
        kernel.ksm_migrate_page(frame, frame)
        lab.exit(a)
        assert lab.living == {}
        assert {"rmap_item", "stable_node", "mm_slot"}.isdisjoint(
            cache.name for cache in lab.machine.caches
        )
