"""From a merged page to all entries that map it."""

from __future__ import annotations

import pytest

from rmaplab.kernel.mm_types import PAGE_MAPPING_ANON, VM_READ
from rmaplab.kernel.pgtable import pte_present
from rmaplab.kernel.rmap import (
    SWAP_AGAIN,
    SWAP_FAIL,
    TTU_IGNORE_ACCESS,
    TTU_IGNORE_MLOCK,
    TTU_MIGRATION,
)
from rmaplab.machine import BugOn, atomic_inc, pte_get, pte_offset_map

MOVE = TTU_MIGRATION | TTU_IGNORE_MLOCK | TTU_IGNORE_ACCESS


@pytest.fixture
def family(lab):
    """A merged page of two processes, mapped also by a child that ksmd has not met yet."""
    a, b = lab.process(5, 5), lab.process(5)
    lab.scan(2)
    return a, b, lab.kernel.dup_mm(a)


def visited(lab, frame, until=None):
    """The places that a walk comes to, in order."""
    places = []

    def visit(page, vma, address, arg):
        assert (page, arg) == (frame, "arg")
        places.append((vma.vm_mm, (address - lab.address(0)) >> 12))
        return SWAP_FAIL if len(places) == until else SWAP_AGAIN

    lab.kernel.lock_page(frame)
    ret = lab.kernel.rmap_walk_ksm(frame, visit, "arg")
    lab.kernel.unlock_page(frame)
    return ret, places


class TestWalk:
    def test_first_to_the_places_known_then_to_those_forked_since(self, lab, family):
        a, b, child = family

        ret, places = visited(lab, lab.frame(a))

        assert ret == SWAP_AGAIN
        assert {(a, 0), (a, 1), (b, 0)} == set(places[:3])
        assert {(child, 0), (child, 1)} == set(places[3:]) and len(places) == 5

    @pytest.mark.parametrize("until", range(1, 6))
    def test_it_ends_when_told(self, lab, family, until):
        ret, places = visited(lab, lab.frame(family[0]), until)

        assert (SWAP_FAIL, until) == (ret, len(places))

    def test_a_page_that_is_not_locked_stops_the_kernel(self, lab, family):
        with pytest.raises(BugOn, match="not locked"):
            lab.kernel.rmap_walk_ksm(lab.frame(family[0]), print, None)

    def test_a_page_that_is_not_merged_stops_the_kernel(self, lab):
        with pytest.raises(BugOn, match="not a KSM page"):
            visited(lab, lab.frame(lab.process(1)))

    def test_a_page_without_a_node_is_found_nowhere(self, lab):
        frame = lab.frame(lab.process(1))
        lab.kernel.lock_page(frame)
        lab.kernel.set_page_stable_node(frame, None)

        assert lab.kernel.page_referenced_ksm(frame) == 0
        assert lab.kernel.try_to_unmap_ksm(frame, MOVE) == SWAP_FAIL
        assert lab.kernel.rmap_walk_ksm(frame, print, None) == SWAP_AGAIN


class TestSplitVmas:
    """The anon_vma of a split VMA lists pieces that do not reach the address."""

    @pytest.fixture
    def split(self, lab, family):
        for mm in family[::2]:
            lab.kernel.sys_mprotect(mm, lab.address(1), 4096, VM_READ)
        return family

    def test_only_the_piece_that_does_is_visited(self, lab, split):
        a, b, child = split

        _, places = visited(lab, lab.frame(a))

        assert sorted(page for _, page in places) == [0, 0, 0, 1, 1]
        assert set(places) == {(a, 0), (a, 1), (b, 0), (child, 0), (child, 1)}

    def test_all_are_referenced_and_unmapped(self, lab, split):
        frame = lab.frame(split[0])
        lab.kernel.get_page(frame)
        lab.kernel.lock_page(frame)

        assert lab.kernel.page_referenced_ksm(frame) == 5
        lab.kernel.try_to_unmap_ksm(frame, MOVE)
        assert not lab.kernel.page_mapped(frame)


class TestMappingsThatAreNotFound:
    def test_a_walk_ends_all_the_same(self, lab, family):
        frame = lab.frame(family[0])
        atomic_inc(frame._mapcount)
        lab.kernel.get_page(frame)
        lab.kernel.lock_page(frame)

        assert lab.kernel.page_referenced_ksm(frame) == 5
        assert lab.kernel.try_to_unmap_ksm(frame, MOVE) == SWAP_AGAIN
        assert lab.kernel.page_mapped(frame)


class TestReferenced:
    def test_every_young_entry_counts_once(self, lab, family):
        frame = lab.frame(family[0])
        lab.kernel.lock_page(frame)

        tables = [(mm, page) for mm in family for page in (0, 1) if (mm, page) != (family[1], 1)]
        entries = [pte_get(pte_offset_map(mm.pgd, lab.address(page))) for mm, page in tables]
        assert sum(entry.young for entry in entries) == lab.kernel.page_referenced_ksm(frame)
        assert lab.kernel.page_referenced_ksm(frame) == 0

    def test_it_ends_when_all_entries_are_met(self, lab):
        a, b = lab.process(5), lab.process(5)
        lab.scan(2)
        frame = lab.frame(a)
        lab.kernel.lock_page(frame)

        assert lab.kernel.page_referenced_ksm(frame) == 2
        assert frame == lab.frame(b)


class TestUnmapAndMigrate:
    def test_all_entries_are_taken_away(self, lab, family):
        frame = lab.frame(family[0])
        lab.kernel.get_page(frame)
        lab.kernel.lock_page(frame)

        assert lab.kernel.try_to_unmap_ksm(frame, MOVE) == SWAP_AGAIN
        assert not lab.kernel.page_mapped(frame)
        for mm, pages in zip(family, (2, 1, 2), strict=True):
            for page in range(pages):
                assert not pte_present(pte_get(pte_offset_map(mm.pgd, lab.address(page))))

    def test_an_entry_in_use_keeps_it_mapped(self, lab, family):
        frame = lab.frame(family[0])
        lab.kernel.lock_page(frame)

        assert lab.kernel.try_to_unmap_ksm(frame, TTU_MIGRATION) == SWAP_FAIL
        assert lab.kernel.page_mapped(frame)

    def test_the_node_goes_with_the_page(self, lab, family):
        old = lab.frame(family[0])
        node = lab.kernel.page_stable_node(old)
        assert lab.kernel.isolate_lru_page(old) == 0

        failed = lab.kernel.migrate_pages([old], lambda page: lab.kernel.alloc_page(), True)

        new = lab.frame(family[0])
        assert failed == 0 and new != old
        assert lab.kernel.page_to_pfn(new) == node.kpfn
        assert node == lab.kernel.page_stable_node(new)
        assert [new, new] == [lab.frame(mm) for mm in family[1:]]
        lab.scan()
        assert lab.counts == (1, 4, 0, 0)

    def test_a_page_without_a_node_has_nobody_to_tell(self, lab):
        old, new = lab.kernel.alloc_page(), lab.kernel.alloc_page()
        for page in (old, new):
            lab.kernel.lock_page(page)
            lab.kernel.set_page_stable_node(page, None)

        lab.kernel.ksm_migrate_page(new, old)

        assert lab.kernel.PageKsm(new)

    def test_a_page_goes_nowhere_without_its_mapping(self, lab, family):
        old, new = lab.frame(family[0]), lab.kernel.alloc_page()
        lab.kernel.lock_page(old)
        lab.kernel.lock_page(new)

        with pytest.raises(BugOn, match="mapping was not moved"):
            lab.kernel.ksm_migrate_page(new, old)


class TestSwappedIn:
    def test_a_page_where_it_belongs_is_taken_as_it_is(self, lab):
        a = lab.process(1)
        frame = lab.frame(a)

        assert frame == lab.kernel.ksm_might_need_to_copy(frame, lab.vma(a), lab.address(0))

    def test_a_page_without_anon_vma_too(self, lab):
        a = lab.process(1)
        frame = lab.kernel.alloc_page()

        assert frame == lab.kernel.ksm_might_need_to_copy(frame, lab.vma(a), lab.address(0))

    @pytest.mark.parametrize("case", ["place", "anon_vma"])
    def test_a_page_that_belongs_elsewhere_is_copied(self, lab, case):
        a, b = lab.process(1, 2), lab.process(3, 4)
        frame = lab.kernel.alloc_page()
        frame.mapping = (PAGE_MAPPING_ANON, lab.vma(a).anon_vma)
        frame.contents = "what it holds"
        lab.kernel.lock_page(frame)
        vma, page = (lab.vma(a), 1) if case == "place" else (lab.vma(b), 0)
        frame.index = lab.kernel.linear_page_index(vma, lab.address(0))

        copy = lab.kernel.ksm_might_need_to_copy(frame, vma, lab.address(page))

        assert copy != frame and frame.contents is None  # it is free
        assert copy.contents == "what it holds"
        assert lab.kernel.PageLocked(copy) and copy.dirty and copy.swapbacked
        assert lab.kernel.page_count(copy) == 1

    def test_without_memory_there_is_no_copy_and_the_page_is_let_go(self, lab):
        a, frame = lab.process(1), lab.kernel.alloc_page()
        frame.mapping = (PAGE_MAPPING_ANON, object())
        lab.kernel.lock_page(frame)
        lab.failing(1)

        assert lab.kernel.ksm_might_need_to_copy(frame, lab.vma(a), lab.address(0)) is None
        assert not lab.kernel.PageLocked(frame)
