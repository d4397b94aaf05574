"""What each commit to KSM changed until 5.1, as far as recorded cases do not show it."""

from __future__ import annotations

from functools import partial

import pytest
from ksm_lab import BASE, Lab

from rmaplab.kernel.madvise import MADV_UNMERGEABLE
from rmaplab.kernel.mm_types import EBUSY, EINVAL, PAGE_SIZE, VM_MERGEABLE
from rmaplab.kernel.pgtable import MigrationEntry
from rmaplab.machine import pte_offset_map, rb_items, set_pte_at


def test_a_pass_over_nobody_ends_since_3_0() -> None:
    lab = Lab("2b472611a32a")
    mm = lab.process(1)

    with lab.before("start_pass", lambda: lab.kernel.mmput(mm)):
        lab.scan(1)

    assert lab.kernel.ksm_scan.mm_slot == lab.kernel.ksm_mm_head


@pytest.mark.parametrize(
    ("knob", "before", "after"), [("merge_across_nodes", 1, 0), ("max_page_sharing", 256, 2)]
)
def test_a_limit_stays_while_anything_is_merged(knob: str, before: int, after: int) -> None:
    lab = Lab("v6.18")
    show, store = (getattr(lab.kernel, f"{knob}_{what}") for what in ("show", "store"))
    lab.process(1, 1)
    lab.scan()

    assert (show(), store(before), store(after), show()) == (before, 0, -EBUSY, before)
    lab.kernel.run_store(2)
    assert (store(after), show()) == (0, after)


def test_what_a_knob_may_be() -> None:
    kernel = Lab("v6.18").kernel

    for name in ("merge_across_nodes", "use_zero_pages", "smart_scan"):
        assert getattr(kernel, f"{name}_store")(2) == -EINVAL
        assert getattr(kernel, f"{name}_store")(1) == 0
        assert getattr(kernel, f"{name}_show")() == 1
    assert kernel.max_page_sharing_store(1) == -EINVAL
    assert kernel.stable_node_chains_prune_millisecs_store(1 << 32) == -EINVAL
    assert kernel.stable_node_chains_prune_millisecs_store(5) == 0
    assert kernel.stable_node_chains_prune_millisecs_show() == 5


def test_a_node_nobody_is_on_goes_when_all_is_unmerged_since_3_9() -> None:
    left = []
    for name in ("90bd6fd31c80", "cbf86cfe04a6"):
        lab = Lab(name)
        mm = lab.process(1, 1)
        lab.scan()
        page = lab.page(mm)
        lab.kernel.get_page(page)  # as somebody who looks at it: so it is not stale
        lab.kernel.run_store(2)
        left.append(len(rb_items(lab.kernel.ksm.root_stable_tree)))
        lab.kernel.put_page(page)

    assert left == [1, 0]


@pytest.mark.parametrize("words", [(1, 1), (1, 1, 1, 1)], ids=["alone", "on a chain"])
def test_a_node_whose_page_is_mapped_stays(words: tuple[int, ...]) -> None:
    lab = Lab("v6.18")
    lab.kernel.max_page_sharing_store(2)
    mm = lab.process(*words)
    lab.scan()
    child = lab.kernel.dup_mm(mm)
    lab.kernel.find_vma(child, BASE).vm_flags &= ~VM_MERGEABLE

    lab.kernel.run_store(2)

    assert len(rb_items(lab.kernel.ksm.root_stable_tree)) == 1
    assert lab.kernel.max_page_sharing_store(3) == -EBUSY


@pytest.mark.parametrize("name", ["cbf86cfe04a6", "v6.18"])
def test_a_node_whose_page_is_gone_is_no_hindrance(name: str) -> None:
    lab = Lab(name)
    mm = lab.process(1, 1)
    lab.scan()
    node = lab.node(mm)
    lab.kernel.mmput(mm)

    assert lab.kernel.remove_stable_node(node) == 0
    assert rb_items(lab.kernel.ksm.root_stable_tree) == ()


@pytest.mark.parametrize("name", ["2c653d0ee2ae", "v6.18"])
def test_a_chain_that_is_empty_goes_when_a_search_comes_past(name: str) -> None:
    lab = Lab(name)
    lab.kernel.max_page_sharing_store(2)
    a = lab.process(1, 1, 1, 1)
    lab.scan()
    lab.kernel.mmput(a)
    lab.scan(1)
    assert (lab.kernel.stable_node_chains_show(), lab.kernel.stable_node_dups_show()) == (1, 0)

    lab.process(1, 1)
    lab.scan()

    assert (lab.kernel.stable_node_chains_show(), lab.counts) == (0, (1, 1))


def test_a_merged_page_comes_back_from_swap_uncopied_unless_all_is_unmerged() -> None:
    lab = Lab("v6.18", CONFIG_SWAP=True)
    mm = lab.process(1, 1, 2)
    lab.scan()
    vma, merged, other = lab.kernel.find_vma(mm, BASE), lab.page(mm), lab.page(mm, 2)
    elsewhere = lab.kernel.ksm_is_elsewhere

    assert not elsewhere(merged, vma, BASE)
    assert elsewhere(other, vma, BASE) and not elsewhere(other, vma, BASE + 2 * PAGE_SIZE)
    lab.kernel.ksm.ksm_run = 2
    assert elsewhere(merged, vma, BASE)


def test_a_page_that_migration_has_frozen_is_waited_for() -> None:
    lab = Lab("v6.18", CONFIG_SWAP=True)
    mm = lab.process(1, 1)
    lab.scan()
    node, page = lab.node(mm), lab.page(mm)
    page.swapcache = True
    lab.kernel.page_freeze_refs(page, 2)

    with lab.before("PageSwapCache", lambda: lab.kernel.page_unfreeze_refs(page, 2)):
        assert lab.kernel.get_ksm_page(node) == page


def test_while_all_is_unmerged_a_new_slot_goes_last_since_3_9() -> None:
    lab = Lab("cbf86cfe04a6")
    first = lab.process(1)
    lab.kernel.ksm.ksm_run = 2
    lab.kernel.ksm_scan.mm_slot = lab.kernel.get_mm_slot(first)

    second = lab.process(1)

    assert lab.kernel.next_mm_slot(lab.kernel.get_mm_slot(first)).mm == second


def test_a_merged_page_migrates_since_3_9() -> None:
    for name, moved in (("cbf86cfe04a6", False), ("c8d6553b9580", True)):
        lab = Lab(name)
        a, b = lab.process(1), lab.process(1)
        lab.scan()
        page = lab.page(a)

        assert lab.migrate(page) == (not moved)
        assert (lab.page(a) != page) == moved
        assert lab.page(a) == lab.page(b)
        lab.scan(1)
        assert lab.counts == (1, 1)


@pytest.mark.parametrize("name", ["8aafa6a485ae", "c8d6553b9580", "v6.18"])
def test_a_page_that_goes_while_its_lock_is_awaited_takes_its_node_along(name: str) -> None:
    lab = Lab(name)
    a = lab.process(1, 1)
    lab.scan()
    node = lab.node(a)

    with lab.before("lock_page", lambda: lab.kernel.set_page_stable_node(lab.page(a), None)):
        assert lab.kernel.get_ksm_page_locked(node) is None

    assert lab.counts == (0, 0)


@pytest.mark.parametrize("lock", ["get_ksm_page", "get_ksm_page_locked"])
def test_a_page_that_moves_meanwhile_is_found_where_it_is(lock: str) -> None:
    lab = Lab("v6.18")
    a = lab.process(1, 1)
    lab.scan()
    node, old = lab.node(a), lab.page(a)

    with lab.before("get_page_of_node", lambda: lab.migrate(old)):
        found = getattr(lab.kernel, lock)(node)

    assert found == lab.page(a) != old


def test_a_page_that_is_freed_meanwhile_is_gone() -> None:
    lab = Lab("v6.18")
    a = lab.process(1, 1)
    lab.scan()
    node, page = lab.node(a), lab.page(a)

    with lab.before("get_page_unless_zero", lambda: lab.kernel.set_page_stable_node(page, None)):
        assert lab.kernel.get_ksm_page(node) is None
    lab.kernel.mmput(a)


def test_a_page_without_references_is_gone() -> None:
    lab = Lab("v6.18")
    a = lab.process(1, 1)
    lab.scan()
    node, page = lab.node(a), lab.page(a)

    with lab.before("get_page_unless_zero", lambda: lab.kernel.page_freeze_refs(page, 2)):
        assert lab.kernel.get_ksm_page(node) is None


def test_who_breaks_a_page_waits_for_its_migration() -> None:
    for name in ("5117b3b835f2", "v6.18"):
        lab = Lab(name)
        a = lab.process(1, 1)
        lab.scan()
        page, ptep = lab.page(a), pte_offset_map(a.pgd, BASE)
        migrated = partial(set_pte_at, ptep, ptep.read())
        lab.kernel.lock_page(page)
        set_pte_at(ptep, MigrationEntry(lab.kernel.page_to_pfn(page)))

        with lab.before("migration_entry_wait", migrated):
            assert lab.madvise(a, MADV_UNMERGEABLE) == 0

        lab.kernel.unlock_page(page)
        assert not lab.kernel.PageKsm(lab.page(a))


def test_a_locked_page_is_not_joined_since_5_1() -> None:
    lab = Lab("v6.18")
    a = lab.process(1, 1)
    lab.scan()
    b = lab.process(1)
    lab.scan(1)
    lab.kernel.lock_page(lab.page(a))
    lab.scan(1)
    assert lab.counts == (1, 1)

    lab.kernel.unlock_page(lab.page(a))
    lab.scan(1)

    assert lab.counts == (1, 2)
    assert lab.page(a) == lab.page(b)


def test_a_page_found_may_be_gone_before_it_is_locked() -> None:
    lab = Lab("v6.18")
    a = lab.process(1, 1)
    lab.scan()
    lab.process(1)
    lab.scan(1)

    with lab.before("touch_found_page", lambda: lab.kernel.mmput(a)):
        lab.scan(1)

    assert lab.counts == (0, 0)


def test_a_page_found_may_become_anothers_before_it_is_locked() -> None:
    lab = Lab("v6.18")
    a = lab.process(1, 1)
    lab.scan()
    lab.process(1)
    lab.scan(1)
    page = lab.page(a)

    with lab.before("trylock_page", lambda: lab.kernel.set_page_stable_node(page, None)):
        lab.scan(1)

    assert lab.counts == (0, 0)
    lab.kernel.mmput(a)


def test_a_place_is_searched_again_where_a_node_is_gone_since_4_4() -> None:
    counts = []
    for name in ("4146d2d673e8", "f2e5ff85ed5f"):
        lab = Lab(name)
        a = lab.process(7, 7)
        lab.scan()
        lab.process(5, 5)
        lab.scan(1)
        with lab.before("stable_tree_insert", partial(lab.kernel.mmput, a)):
            lab.scan(1)
        counts.append(lab.counts)

    assert counts == [(0, 0), (1, 1)]


def test_a_search_goes_on_where_a_node_is_gone_since_4_4() -> None:
    shared = []
    for name in ("4146d2d673e8", "f2e5ff85ed5f", "v6.18"):
        lab = Lab(name)
        a, b = lab.process(7, 7), lab.process(5, 5)
        lab.scan()
        lab.kernel.mmput(a)  # its node is at the root, and stale from now on
        c = lab.process(5)
        shared.append(lab.kernel.stable_tree_search(lab.page(c)) == lab.page(b))

    assert shared == [False, True, True]
