"""What may happen between two steps of ksmd: page and address space go away under it."""

from __future__ import annotations

import pytest

from rmaplab.kernel.mm_types import EFAULT, PAGE_MAPPING_ANON, VM_LOCKED
from rmaplab.machine import atomic_read


@pytest.fixture
def pair(lab):
    """Two processes whose next pass merges them."""
    mms = lab.process(5, 6), lab.process(5, 7)
    lab.scan()
    return mms


def gone(lab, *mms):
    """Whether everything is freed after the last exits and two passes."""
    lab.exit(*mms)
    lab.scan(2)
    return lab.living == {}


class TestTheWayToAMerge:
    FUNCTIONS = (
        "get_mergeable_page",
        "memcmp_pages",
        "try_to_merge_two_pages",
        "try_to_merge_with_ksm_page",
        "try_to_merge_one_page",
        "write_protect_page",
        "pages_identical",
        "replace_page",
        "stable_tree_insert",
        "stable_tree_append",
        "break_cow",
    )

    @pytest.mark.parametrize("who", [0, 1])
    @pytest.mark.parametrize("nth", [1, 2])
    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_a_write_at_any_point_is_never_lost(self, lab, pair, function, nth, who):
        def write():
            if not lab.kernel.PageLocked(lab.frame(pair[who])):  # else the fault waits for it
                lab.write(pair[who], 0, 9)

        lab.just_before(function, write, nth)
        lab.scan(3)

        if lab.read(pair[who], 0) != 9:  # it never came to that
            lab.write(pair[who], 0, 9)
        assert lab.read(pair[who], 0) == 9 and lab.read(pair[1 - who], 0) == 5
        assert gone(lab, *pair)

    @pytest.mark.parametrize("who", [0, 1])
    @pytest.mark.parametrize("nth", [1, 2])
    @pytest.mark.parametrize("function", ["get_mergeable_page", "try_to_merge_with_ksm_page"])
    @pytest.mark.parametrize("change", ["munmap", "unmergeable"])
    def test_a_page_may_go_before_its_mm_is_looked_at(self, lab, pair, change, function, nth, who):
        lab.just_before(function, lambda: getattr(lab, change)(pair[who], 1), nth)

        lab.scan(3)

        assert lab.read(pair[1 - who], 0) == 5
        assert gone(lab, *pair)

    @pytest.mark.parametrize("nth", [1, 2])
    def test_an_mm_may_begin_to_exit_before_it_is_looked_at(self, lab, pair, nth):
        a, b = pair
        later = []
        lab.kernel.ksm_exit, ksm_exit = later.append, lab.kernel.ksm_exit
        lab.kernel.exit_mmap, exit_mmap = later.append, lab.kernel.exit_mmap
        lab.kernel.mmdrop, mmdrop = later.append, lab.kernel.mmdrop

        def begins():
            lab.exit(a)
            lab.kernel.mmdrop = mmdrop

        lab.just_before("try_to_merge_with_ksm_page", begins, nth)
        while lab.kernel.ksm_scan_one_page() and not later:
            pass
        assert later == [a, a, a]
        ksm_exit(a)
        exit_mmap(a)
        mmdrop(a)
        lab.kernel.ksm_exit, lab.kernel.exit_mmap = ksm_exit, exit_mmap

        assert lab.read(b, 0) == 5
        assert gone(lab, b)

    def test_what_was_merged_may_be_gone_before_it_is_broken(self, lab, pair):
        a, b = pair
        lab.just_before("break_cow", lambda: lab.munmap(b, 0))
        lab.failing(1)

        lab.scan()

        assert lab.read(a, 0) == 5
        assert atomic_read(lab.vma(b, 1).anon_vma.ksm_refcount) == 0
        assert gone(lab, *pair)


class TestMergingIntoAKnownPage:
    def test_a_page_in_use_stays_out(self, lab):
        mms = [lab.process(5), lab.process(5)]
        lab.scan(2)
        c = lab.process(5)
        frame = lab.frame(c)
        lab.kernel.get_page(frame)

        lab.scan()

        lab.kernel.put_page(frame)
        assert lab.frame(c) == frame
        assert lab.kernel.page_count(lab.frame(mms[0])) == 2
        assert lab.counts == (1, 1, 0, 1)

    def test_a_mark_that_is_there_already_is_left_there(self, lab):
        mms = [lab.process(5), lab.process(5)]
        lab.scan(2)
        kpage = lab.frame(mms[0])
        kpage.mlocked = True
        c = lab.process(5)
        lab.vma(c).vm_flags |= VM_LOCKED

        lab.scan()

        assert lab.frame(c) == kpage and kpage.mlocked
        assert not lab.kernel.PageLocked(kpage)


class TestStaleNodes:
    """A page that was merged has gone: its node goes when somebody comes by it."""

    @pytest.fixture
    def stale(self, lab):
        mms = lab.process(5, 6), lab.process(5, 6)
        lab.scan(2)
        for mm in mms:
            lab.munmap(mm, 0)
        return mms

    def test_a_search_that_meets_one_removes_it_and_gives_up(self, lab, stale):
        page = lab.frame(lab.process(5))

        assert lab.counts == (2, 2, 0, 0)
        assert lab.kernel.stable_tree_search(page) is None
        assert lab.counts == (1, 1, 0, 2)

    def test_an_insertion_too(self, lab, stale):
        page = lab.frame(lab.process(5))

        assert lab.kernel.stable_tree_insert(page) is None
        assert lab.counts == (1, 1, 0, 2)

    def test_an_insertion_finds_equal_bytes_already_there(self, lab, stale):
        lab.process(5)
        page = lab.frame(lab.process(6))

        assert lab.kernel.get_ksm_page(lab.item(stale[0], 0).head) is None
        assert lab.kernel.stable_tree_insert(page) is None
        assert lab.counts == (1, 1, 0, 2)

    def test_a_frame_with_another_owner_by_now_is_not_the_nodes_page(self, lab, stale):
        node = lab.item(stale[0], 0).head
        lab.process(1)
        assert lab.kernel.page_count(lab.kernel.pfn_to_page(node.kpfn)) == 1

        assert lab.kernel.get_ksm_page(node) is None

    def test_a_page_freed_while_it_is_peeped_at_is_let_go_again(self, lab):
        mms = lab.process(5), lab.process(5)
        lab.scan(2)
        page, node = lab.frame(mms[0]), lab.item(mms[0]).head

        def reused():
            page.mapping = (PAGE_MAPPING_ANON, lab.vma(mms[0]).anon_vma)

        lab.just_before("get_page_unless_zero", reused)

        assert lab.kernel.get_ksm_page(node) is None
        assert lab.kernel.page_count(page) == 2

    def test_with_both_counts_a_page_that_is_being_freed_is_not_taken(self, lab):
        mms = lab.process(5), lab.process(5)
        lab.scan(2)
        node = lab.item(mms[0]).head
        lab.kernel.get_page_unless_zero = lambda page: False

        assert lab.kernel.get_ksm_page(node) is None
        assert lab.counts == (0, 0, 0, 2)


class TestPagesThatAreNotWhereTheyShouldBe:
    def test_a_page_outside_the_vma_is_not_protected_and_not_replaced(self, lab):
        a, b = lab.process(5), lab.process(5)
        page = lab.frame(a)
        page.index += 100

        assert lab.kernel.write_protect_page(lab.vma(a), page) == (-EFAULT, None)
        assert lab.kernel.replace_page(lab.vma(a), page, lab.frame(b), None) == -EFAULT

    def test_a_page_that_is_not_mapped_there_is_not_protected(self, lab):
        a, b = lab.process(5), lab.process(6)

        assert lab.kernel.write_protect_page(lab.vma(a), lab.frame(b)) == (-EFAULT, None)

    def test_without_page_tables_nothing_is_replaced(self, lab):
        a, b = lab.process(5), lab.process(6)
        lab.kernel.sys_mmap(a, lab.address(8), 8192, 3, fixed=True)
        page = lab.frame(a)
        page.index = lab.kernel.linear_page_index(lab.vma(a, 8), lab.address(8))

        assert lab.kernel.replace_page(lab.vma(a, 8), page, lab.frame(b), None) == -EFAULT

    def test_a_page_that_is_not_anonymous_is_passed_by(self, lab):
        a = lab.process(5)
        lab.scan()
        page = lab.frame(a)
        page.mapping, mapping = None, page.mapping

        assert lab.kernel.get_mergeable_page(lab.item(a)) is None
        lab.scan()
        assert lab.item(a) is None and lab.kernel.page_count(page) == 1
        page.mapping = mapping

    def test_only_anonymous_pages_in_mergeable_vmas_are_merged(self, lab):
        a, b = lab.process(5), lab.process(5, mergeable=False)
        page = lab.kernel.alloc_page()

        assert lab.kernel.try_to_merge_one_page(lab.vma(a), page, None) == -EFAULT
        assert lab.kernel.try_to_merge_one_page(lab.vma(b), lab.frame(b), None) == -EFAULT
