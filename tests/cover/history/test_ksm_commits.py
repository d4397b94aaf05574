"""What each commit to KSM changed, as far as recorded cases do not show it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from rmaplab.history import KERNELS
from rmaplab.kernel.contents import fill
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.ksm.sysfs import MEM_GOING_OFFLINE, MEM_OFFLINE
from rmaplab.kernel.madvise import MADV_MERGEABLE, MADV_UNMERGEABLE
from rmaplab.kernel.mm_types import EBUSY, EINVAL, ENOMEM, PAGE_SIZE, VM_MERGEABLE
from rmaplab.kernel.pgtable import MigrationEntry
from rmaplab.machine import pte_offset_map, rb_items, set_pte_at
from rmaplab.machine.context import RUNNING
from rmaplab.machine.direct import DirectMachine

BASE = 0x200000
RW = 3


class Lab:
    """A kernel on which ksmd runs, and processes with pages from BASE on."""

    def __init__(self, name: str, **config: bool) -> None:
        self.kernel: Kernel = KERNELS[name](DirectMachine(), **config)
        self.kernel.run_store(1)

    def process(self, *words: int) -> Any:
        """A process with a mergeable page for each word."""
        mm = self.kernel.mm_alloc()
        self.kernel.sys_mmap(mm, BASE, len(words) * PAGE_SIZE, RW)
        for page, word in enumerate(words):
            self.write(mm, page, word)
        self.madvise(mm, MADV_MERGEABLE, len(words))
        return mm

    def madvise(self, mm: Any, advice: int, n: int = 1) -> int:
        return int(self.kernel.sys_madvise(mm, BASE, n * PAGE_SIZE, advice))

    def write(self, mm: Any, page: int, word: int) -> None:
        self.kernel.user_write(mm, BASE + page * PAGE_SIZE, lambda _: fill(word))

    def page(self, mm: Any, number: int = 0) -> Any:
        address = BASE + number * PAGE_SIZE
        page = self.kernel.follow_page(self.kernel.find_vma(mm, address), address)
        if page is not None:
            self.kernel.put_page(page)
        return page

    def node(self, mm: Any, number: int = 0) -> Any:
        return self.kernel.page_stable_node(self.page(mm, number))

    def scan(self, passes: int = 2) -> None:
        for _ in range(passes):
            while self.kernel.ksm_scan_thread(1000):
                pass

    def migrate(self, page: Any) -> int:
        self.kernel.isolate_lru_page(page)
        return int(self.kernel.migrate_pages([page], lambda _: self.kernel.alloc_page()))

    @property
    def counts(self) -> tuple[int, int]:
        return self.kernel.pages_shared_show(), self.kernel.pages_sharing_show()

    @contextmanager
    def before(self, function: str, meddle: Any) -> Iterator[None]:
        """Do something just before a kernel function is called the first time, as another CPU."""
        real, done = getattr(self.kernel, function), []

        def meddled(*arguments: Any, **named: Any) -> Any:
            if not done:
                done.append(True)
                meddle()
            return real(*arguments, **named)

        setattr(self.kernel, function, meddled)
        yield
        assert done
        delattr(self.kernel, function)


@contextmanager
def failing(number: int = 1) -> Iterator[None]:
    """The nth allocation from here on fails."""
    context = RUNNING.context
    context.fail_at = context.allocations + number
    yield
    context.fail_at = 0


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
