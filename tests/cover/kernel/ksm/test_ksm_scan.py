"""How ksmd goes through the address spaces, and the slots and rmap_items that it leaves there."""

from __future__ import annotations

import pytest

from rmaplab.kernel.mm_types import MMF_VM_MERGEABLE
from rmaplab.machine import BugOn, KernelStateError, spin_lock, spin_unlock


def queue(lab):
    """The mms in the order of their slots."""
    slots = []
    slot = lab.kernel.first_mm_slot()
    while slot != lab.kernel.ksm_mm_head:
        slots.append(slot.mm)
        slot = lab.kernel.next_mm_slot(slot)
    return slots


def pages_of_items(lab, mm):
    """The pages that have rmap_items, in the order of the list."""
    item, pages = lab.kernel.get_mm_slot(mm).rmap_list, []
    while item is not None:
        pages.append((item.address - lab.address(0)) >> 12)
        item = item.rmap_list
    return pages


class TestSteps:
    def test_a_step_looks_at_one_page_and_says_whether_the_pass_goes_on(self, lab):
        lab.process(1, 2)
        lab.process(3)

        assert [lab.kernel.ksm_scan_one_page() for _ in range(4)] == [True, True, True, False]
        assert lab.kernel.full_scans_show() == 1

    def test_with_nobody_to_scan_a_pass_ends_at_once(self, lab):
        assert not lab.kernel.ksm_scan_one_page()
        assert lab.kernel.scan_get_next_rmap_item() == (None, None)
        assert lab.kernel.full_scans_show() == 0

    def test_a_stopped_ksmd_does_nothing(self, lab):
        lab.process(5)
        lab.kernel.run_store(0)

        assert not lab.kernel.ksm_scan_one_page()
        assert lab.counts == (0, 0, 0, 0)

    def test_ksmd_scans_as_many_pages_as_it_is_told(self, lab):
        lab.process(*range(10))
        lab.kernel.pages_to_scan_store(4)

        assert lab.kernel.ksm_scan_thread()
        assert lab.counts[3] == 4
        assert lab.kernel.ksm_scan_thread()
        assert not lab.kernel.ksm_scan_thread()
        assert lab.counts[3] == 10

    def test_the_unstable_tree_is_built_anew_in_each_pass(self, lab):
        lab.process(1, 2, 3)
        lab.scan(3)
        items = lab.kernel.ksm.root_unstable_tree.items()

        assert 3 == len(items) == lab.counts[2]
        assert {lab.kernel.ksm_scan.seqnr - 1} == {item.address & 0xFF for item in items}

    def test_an_rmap_item_older_than_the_last_pass_stops_the_kernel(self, lab):
        a = lab.process(1)
        lab.scan(2)
        lab.kernel.ksm_scan.seqnr += 2

        with pytest.raises(BugOn, match="older than the last pass"):
            lab.kernel.remove_rmap_item_from_tree(lab.item(a))

    def test_the_sequence_number_wraps_after_256_passes(self, lab):
        lab.process(1)

        lab.scan(600)

        assert lab.counts == (0, 0, 1, 0)


class TestSlots:
    def test_a_new_mm_comes_just_behind_the_cursor(self, lab):
        a, b = lab.process(1, 2), lab.process(3)
        lab.kernel.ksm_scan_one_page()
        lab.kernel.ksm_scan_one_page()
        lab.kernel.ksm_scan_one_page()  # the cursor is on b
        c = lab.process(4)

        assert [a, c, b] == queue(lab)

    def test_a_child_is_scanned_as_its_parent_is(self, lab):
        a = lab.process(1)
        child = lab.kernel.dup_mm(a)

        assert [a, child] == queue(lab)
        assert child.flags & 1 << MMF_VM_MERGEABLE

    def test_without_memory_for_a_slot_madvise_fails_and_changes_nothing(self, lab):
        a = lab.process(1, mergeable=False)
        lab.failing(1)

        assert lab.madvise(a, 12, 1) == -11
        assert queue(lab) == []
        assert not a.flags

    def test_an_mm_with_nothing_mergeable_left_loses_its_slot_at_its_next_turn(self, lab):
        a, b = lab.process(1), lab.process(2)
        lab.scan()
        lab.munmap(a, 0)

        lab.scan()

        assert [b] == queue(lab)
        assert not a.flags
        assert lab.counts == (0, 0, 1, 0)

    def test_it_may_come_back(self, lab):
        a = lab.process(1, 2)
        lab.unmergeable(a, 2)
        lab.scan()
        assert queue(lab) == []

        lab.madvise(a, 12, 2)

        assert [a] == queue(lab)

    def test_a_vma_that_was_never_touched_is_skipped(self, lab):
        a = lab.process(1)
        lab.kernel.sys_mmap(a, lab.address(2), 8192, 3, fixed=True)
        lab.madvise(a, 12, 2, at=2)

        lab.scan(2)

        assert lab.counts == (0, 0, 1, 0)

    def test_holes_and_the_zero_page_have_no_rmap_items(self, lab):
        a = lab.process(1, 2, 3)
        lab.kernel.sys_madvise(a, lab.address(0), 8192, 4)
        lab.kernel.user_read(a, lab.address(0))

        lab.scan()

        assert pages_of_items(lab, a) == [2]


class TestItems:
    def test_rmap_items_are_in_the_order_of_addresses(self, lab):
        a = lab.process(1, 2, 3, 4)
        lab.scan()

        assert pages_of_items(lab, a) == [0, 1, 2, 3]

    @pytest.mark.parametrize("gone", [0, 1, 2, 3])
    def test_those_of_pages_that_are_gone_are_removed_in_passing(self, lab, gone):
        a = lab.process(1, 2, 3, 4)
        lab.scan(2)
        lab.munmap(a, gone)

        lab.scan()

        assert [page for page in range(4) if page != gone] == pages_of_items(lab, a)
        assert lab.counts == (0, 0, 3, 0)

    def test_one_for_a_page_in_between_is_put_in_between(self, lab):
        a = lab.process(1, 2, 3)
        lab.unmergeable(a, 1, at=1)
        lab.scan()
        assert pages_of_items(lab, a) == [0, 2]
        lab.madvise(a, 12, 1, at=1)

        lab.scan()

        assert pages_of_items(lab, a) == [0, 1, 2]

    @pytest.mark.parametrize("nth", [1, 2, 3])
    def test_without_memory_for_one_the_pass_waits_at_that_page(self, lab, nth):
        a = lab.process(1, 2, 3)
        lab.failing(nth)

        for _ in range(nth):
            assert lab.kernel.ksm_scan_one_page()

        assert list(range(nth - 1)) == pages_of_items(lab, a)
        assert lab.kernel.page_count(lab.frame(a, nth - 1)) == 1
        lab.scan()
        assert pages_of_items(lab, a) == [0, 1, 2]


class TestExit:
    def test_before_any_scan_everything_goes_at_once(self, lab):
        lab.exit(lab.process(1), lab.process(2))

        assert lab.living == {}

    def test_with_rmap_items_ksmd_has_to_come_by(self, lab):
        mms = [lab.process(5), lab.process(5), lab.process(6)]
        lab.scan(2)
        lab.exit(*mms)

        assert (lab.living) == {
            "mm_struct": 3,
            "mm_slot": 3,
            "rmap_item": 3,
            "stable_node": 1,
            "anon_vma": 2,
        }
        lab.scan()
        assert lab.living == {}
        assert lab.counts == (0, 0, 0, 0)

    def test_who_exits_is_next_in_turn(self, lab):
        a, b, c = lab.process(1, 2), lab.process(3), lab.process(4)
        lab.scan()
        lab.kernel.ksm_scan_one_page()  # the cursor is on a
        lab.exit(c)

        assert [a, c, b] == queue(lab)

    @pytest.mark.parametrize("steps", range(12))
    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
    def test_exits_anywhere_in_a_pass_leave_nothing_behind(self, lab, steps, order):
        mms = [lab.process(5, 7), lab.process(5, 8), lab.process(5, 7)]
        lab.scan()
        for nth, who in enumerate(order):
            for _ in range(steps if nth < 2 else 0):
                lab.kernel.ksm_scan_one_page()
            lab.exit(mms[who])

        lab.scan(2)

        assert lab.living == {}

    @pytest.mark.parametrize("child_first", [True, False])
    @pytest.mark.parametrize("passes", [0, 1, 2, 3])
    def test_families_leave_nothing_behind_either(self, lab, child_first, passes):
        a, b = lab.process(5, 5), lab.process(5)
        lab.scan(2)
        child = lab.kernel.dup_mm(a)
        lab.scan(passes)
        lab.write(child, 0, 9)
        lab.scan(passes)
        lab.exit(*(child, a) if child_first else (a, child))
        lab.scan(passes)

        assert lab.read(b, 0) == 5
        lab.exit(b)
        lab.scan(2)
        assert lab.living == {}

    def test_an_exit_that_leaves_the_list_empty_under_ksmd_is_the_end_of_2_6_34(self, lab):
        a = lab.process(1)

        def exits():
            spin_unlock(lab.kernel.ksm.ksm_mmlist_lock)  # just before ksmd takes it
            lab.exit(a)
            spin_lock(lab.kernel.ksm.ksm_mmlist_lock)

        lab.just_before("first_mm_slot", exits)

        with pytest.raises(KernelStateError, match="NULL pointer dereference"):
            lab.kernel.ksm_scan_one_page()

    def test_a_slot_that_ksmd_has_freed_by_then_is_no_trouble(self, lab):
        a = lab.process(5)
        lab.scan()
        lab.just_before("_ksm_exit", lab.scan)  # the last user is gone already

        lab.exit(a)

        assert lab.living == {}

    @pytest.mark.parametrize("test", range(1, 8))
    def test_an_exit_that_begins_at_any_test_for_it_leaves_nothing_behind(self, lab, test):
        mms = [lab.process(5, 6, 5), lab.process(5)]
        lab.scan()
        last = []
        lab.kernel.ksm_exit = last.append  # the rest comes later, as on another CPU
        lab.kernel.exit_mmap, exit_mmap = last.append, lab.kernel.exit_mmap
        lab.kernel.mmdrop, mmdrop = lambda mm: None, lab.kernel.mmdrop

        def exits():
            lab.kernel.mmput(mms[0])
            lab.kernel.mmdrop = mmdrop

        lab.just_before("ksm_test_exit", exits, nth=test)
        lab.scan()
        assert [mms[0], mms[0]] == last
        del lab.kernel.ksm_exit, lab.kernel.exit_mmap
        lab.kernel.ksm_exit(mms[0])
        exit_mmap(mms[0])
        mmdrop(mms[0])
        lab.exit(mms[1])
        lab.scan(2)

        assert lab.living == {}
