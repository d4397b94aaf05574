"""Which pages are merged, what becomes of them, and what undoes it."""

from __future__ import annotations

import pytest

from rmaplab.kernel.mm_types import VM_LOCKED
from rmaplab.kernel.pgtable import Pte
from rmaplab.machine import atomic_read, pte_get, pte_offset_map
from rmaplab.machine.context import Context


class TestPasses:
    def test_the_first_pass_only_takes_checksums(self, lab):
        a, b = lab.process(5), lab.process(5)

        lab.scan()

        assert lab.counts == (0, 0, 0, 2)
        assert lab.frame(a) != lab.frame(b)

    def test_the_second_pass_merges_and_the_frame_seen_second_survives(self, lab):
        a, b = lab.process(5), lab.process(5)
        second = lab.frame(b)

        lab.scan(2)

        assert lab.counts == (1, 1, 0, 0)
        assert second == lab.frame(a) == lab.frame(b)
        assert lab.kernel.PageKsm(second)
        assert lab.living["page"] == 1

    def test_pages_of_one_process_merge_too(self, lab):
        a = lab.process(5, 6, 5, 5)

        lab.scan(2)

        assert lab.counts == (1, 2, 1, 0)
        assert [lab.read(a, page) for page in range(4)] == [5, 6, 5, 5]

    def test_bytes_that_are_in_the_stable_tree_are_joined_in_the_first_pass(self, lab):
        a, _ = lab.process(5), lab.process(5)
        lab.scan(2)
        c = lab.process(5)

        lab.scan()

        assert lab.counts == (1, 2, 0, 0)
        assert lab.frame(a) == lab.frame(c)

    def test_a_page_that_changes_between_passes_stays_out_of_the_trees(self, lab):
        a = lab.process(1)
        for word in range(2, 5):
            lab.scan()
            lab.write(a, 0, word)

        assert lab.counts == (0, 0, 0, 1)

    def test_a_page_of_zeros_has_a_checksum_unlike_a_new_rmap_item(self, lab):
        _, _ = lab.process(0), lab.process(0)

        lab.scan()

        assert lab.counts == (0, 0, 0, 2)

    def test_pages_that_fork_shares_are_not_merged_with_themselves(self, lab):
        a = lab.process(5)
        child = lab.kernel.dup_mm(a)

        lab.scan(3)

        assert lab.counts == (0, 0, 1, 1)
        assert not lab.kernel.PageKsm(lab.frame(child))

    def test_a_child_of_a_merged_page_joins_its_node(self, lab):
        a, _ = lab.process(5), lab.process(5)
        lab.scan(2)
        child = lab.kernel.dup_mm(a)

        lab.scan()

        assert lab.counts == (1, 2, 0, 0)
        assert lab.frame(a) == lab.frame(child)
        assert lab.kernel.page_mapcount(lab.frame(a)) == 3

    def test_only_mergeable_vmas_are_scanned(self, lab):
        _, b = lab.process(5), lab.process(5, mergeable=False)

        lab.scan(3)

        assert lab.counts == (0, 0, 1, 0)
        assert lab.item(b) is None

    def test_many_contents_each_get_a_node(self, lab):
        words = (256, 1, 2**63, 255, 0, 77)
        mms = [lab.process(*words), lab.process(*reversed(words))]

        lab.scan(2)

        assert lab.counts == (6, 6, 0, 0)
        nodes = lab.kernel.ksm.root_stable_tree.items()
        by_bytes = sorted(words, key=lambda word: word.to_bytes(8, "little"))
        pages = [lab.kernel.pfn_to_page(node.kpfn) for node in nodes]
        assert by_bytes == [page.contents.word for page in pages]
        assert list(words) == [lab.read(mms[0], page) for page in range(6)]


class TestMergedPages:
    def test_every_entry_of_a_merged_page_is_read_only(self, lab):
        a, b = lab.process(5), lab.process(5)
        lab.scan(2)

        for mm in (a, b):
            entry = pte_get(pte_offset_map(mm.pgd, lab.address(0)))
            assert isinstance(entry, Pte) and not entry.write

    def test_a_write_gets_a_page_of_its_own_and_the_counts_lag(self, lab):
        a, b = lab.process(5), lab.process(5)
        lab.scan(2)

        lab.write(a, 0, 6)

        assert [lab.read(a, 0), lab.read(b, 0)] == [6, 5]
        assert lab.counts == (1, 1, 0, 0)
        lab.scan()
        assert lab.counts == (1, 0, 0, 1)

    def test_a_sole_mapper_of_a_merged_page_still_copies_on_write(self, lab):
        a, b = lab.process(5), lab.process(5)
        lab.scan(2)
        lab.exit(b)
        merged = lab.frame(a)

        lab.write(a, 0, 6)

        assert merged != lab.frame(a)

    def test_a_merged_page_is_held_by_its_entries_alone(self, lab):
        a, _ = lab.process(5), lab.process(5)
        lab.scan(2)

        assert lab.kernel.page_count(lab.frame(a)) == 2

    def test_each_rmap_item_in_the_stable_tree_holds_its_anon_vma_once(self, lab):
        a, b = lab.process(5, 5), lab.process(5, 6)
        lab.scan(2)

        assert atomic_read(lab.vma(a).anon_vma.ksm_refcount) == 2
        assert atomic_read(lab.vma(b).anon_vma.ksm_refcount) == 1

    def test_the_mark_of_a_locked_page_goes_over_to_the_merged_one(self, lab):
        a, b = lab.process(5), lab.process(5)
        first = lab.frame(a)
        lab.vma(a).vm_flags |= VM_LOCKED
        first.mlocked = True

        lab.scan(2)

        assert lab.frame(a).mlocked and lab.frame(a) == lab.frame(b)
        assert not first.mlocked
        assert not lab.kernel.PageLocked(lab.frame(a)) and not lab.kernel.PageLocked(first)


class TestMergesThatLeadNowhere:
    """All of them leave pages, references and anon_vmas as they were."""

    def untouched(self, lab, *mms):
        for mm in mms:
            frame = lab.frame(mm)
            assert not lab.kernel.PageKsm(frame) and not lab.kernel.PageLocked(frame)
            assert lab.kernel.page_count(frame) == 1
            assert atomic_read(lab.vma(mm).anon_vma.ksm_refcount) == 0
            assert lab.read(mm, 0) == 5

    @pytest.mark.parametrize("whose", [0, 1])
    def test_a_page_that_somebody_else_holds_is_not_merged(self, lab, whose):
        mms = lab.process(5), lab.process(5)
        lab.scan()
        held = lab.frame(mms[whose])
        lab.kernel.get_page(held)

        lab.scan()

        lab.kernel.put_page(held)
        self.untouched(lab, *mms)
        assert lab.counts[0] == 0
        lab.scan()
        assert lab.counts == (1, 1, 0, 0)

    @pytest.mark.parametrize("whose", [0, 1])
    def test_a_page_that_is_locked_is_not_waited_for(self, lab, whose):
        mms = lab.process(5), lab.process(5)
        lab.scan()
        locked = lab.frame(mms[whose])
        assert lab.kernel.trylock_page(locked)

        lab.scan()

        lab.kernel.unlock_page(locked)
        self.untouched(lab, *mms)

    def test_without_memory_for_a_node_both_pages_are_broken_again(self, lab):
        mms = lab.process(5), lab.process(5)
        lab.scan()
        context = lab.failing(1)

        lab.scan()

        assert context.allocations == 3  # the node, and a copy for each
        self.untouched(lab, *mms)
        assert lab.counts == (0, 0, 0, 2)

    def test_without_memory_to_break_it_a_page_stays_merged_with_no_node(self, lab, monkeypatch):
        a, b = lab.process(5), lab.process(5)
        lab.scan()
        with monkeypatch.context() as patch:
            patch.setattr(Context, "should_fail", lambda self: True)
            lab.scan()

        half = lab.frame(a)
        assert half == lab.frame(b)
        assert lab.kernel.PageKsm(half) and lab.kernel.page_stable_node(half) is None
        assert lab.counts == (0, 0, 0, 2)
        c = lab.process(5)
        lab.scan(3)
        assert lab.counts == (1, 2, 0, 0)
        assert lab.frame(a) == lab.frame(b) == lab.frame(c) != half

    def test_a_page_that_changes_just_before_it_is_protected_is_not_merged(self, lab):
        a, b = lab.process(5), lab.process(5)
        lab.scan()
        lab.just_before("write_protect_page", lambda: lab.write(a, 0, 6), nth=2)

        lab.scan()

        assert [lab.read(a, 0), lab.read(b, 0)] == [6, 5]
        assert not lab.kernel.PageKsm(lab.frame(b))
        assert lab.counts == (0, 0, 1, 1)

    def test_an_entry_that_changes_before_the_replacement_is_left_alone(self, lab):
        a, b = lab.process(5), lab.process(5)
        kernel, kpage = lab.kernel, lab.frame(b)

        err = kernel.replace_page(lab.vma(a), lab.frame(a), kpage, Pte(pfn=99))

        assert err == -14
        assert kernel.page_count(kpage) == 1
