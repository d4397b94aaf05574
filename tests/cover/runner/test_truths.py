"""What the truths complain of, and what they do not."""

from __future__ import annotations

import pytest
from broken_kernels import ForkForgetsTheLinks
from random_calls import Run

from rmaplab.checker.options import Limits, Options
from rmaplab.history import KERNELS
from rmaplab.kernel.contents import fill
from rmaplab.litmus.reader import read_text
from rmaplab.machine import KernelStateError, atomic_inc, atomic_set, kmem_cache_alloc, list_del
from rmaplab.machine.direct import DirectMachine
from rmaplab.machine.traced import TracedMachine
from rmaplab.runner.checks import Check, run_check
from rmaplab.runner.choice import NamedKernel
from rmaplab.runner.system import System
from rmaplab.runner.truths import broken_truths, check_truths

WRITTEN = """
A: mmap 0 4
A: write 0 2 = 1
A: fork B
"""


@pytest.fixture(params=[DirectMachine, TracedMachine], ids=["direct", "traced"])
def after(request: pytest.FixtureRequest):
    """A function from the steps of a litmus, and its header, to the system after them."""

    def do(steps: str, header: str = "") -> System:
        litmus = read_text(f"litmus t\nprocesses A\n{header}\nsetup\n{steps}\n")
        run = Run(litmus, KERNELS["v2.6.36"], request.param(), lambda failure, run: True)
        for step in litmus.setup:
            assert run.do(step) is None
        return run.system

    return do


def complaint(system: System) -> tuple[str, str]:
    with pytest.raises(KernelStateError) as caught:
        check_truths(system)
    return caught.value.kind, caught.value.message


def test_all_is_well_after_a_fork(after) -> None:
    check_truths(after(WRITTEN))


def test_nothing_is_reached_through_the_freed_vmas_of_an_mm_that_ksm_holds(after) -> None:
    system = after("A: mmap 0 4\nA: write 0 2 = 1\nA: madvise 0 4 mergeable\nksmd: scan\nA: exit")

    check_truths(system)
    assert len(system.kernel.mm_cachep.live()) == 1


def test_what_only_freed_memory_points_to_is_a_leak(after) -> None:
    system = after("A: mmap 0 4\nA: write 0 2 = 1\nA: madvise 0 4 mergeable\nksmd: scan")
    (vma,) = system.kernel.vm_area_cachep.live()
    vma.vm_next = kmem_cache_alloc(system.kernel.vm_area_cachep)
    check_truths(system)
    vma.vm_next.vm_next = None
    system.kernel.vm_area_cachep.free(system.kernel.mm_cachep.live()[0].mmap)
    system.tasks["A"].mm.mm_rb.reset()

    assert "leak" in {error.kind for error in broken_truths(system)}


def test_a_list_that_leads_to_a_vma_that_is_free_is_a_use_after_free(after) -> None:
    system = after("A: mmap 0\nA: write 0 = 1")
    cache = system.kernel.vm_area_cachep
    linked = kmem_cache_alloc(cache)
    assert system.kernel.anon_vma_clone(linked, system.tasks["A"].mm.mmap) == 0
    cache.free(linked)

    assert "use-after-free" in {error.kind for error in broken_truths(system)}


def test_a_chain_entry_that_was_never_linked_is_only_a_leak(after) -> None:
    system = after("A: mmap 0\nA: write 0 = 1")
    kmem_cache_alloc(system.kernel.anon_vma_chain_cachep)

    assert {error.kind for error in broken_truths(system)} == {"leak"}


def test_a_check_finds_it_too_though_it_looks_without_guards() -> None:
    text = "litmus t\nsetup\nA: mmap 0 8\nA: write 2 = 1\nA: fork B\nfail 3 B: mlock 0"
    kernel = NamedKernel("broken", ForkForgetsTheLinks)

    result = run_check(
        Check(read_text(text), kernel, "clean"), Options(Limits(states=10, seconds=60))
    )

    assert result.verdict == "use-after-free"


def test_a_mapping_that_no_list_leads_to_is_missed(after) -> None:
    system = after(WRITTEN)
    vma = system.kernel.find_vma(system.tasks["B"].mm, 0x10000000)
    for avc in list(vma.anon_vma_chain.walk(backwards=False)):
        list_del(avc.same_anon_vma)

    kind, message = complaint(system)
    assert kind == "missed-mapping"
    assert "is mapped at page 0 of A, page 0 of B; its reverse map finds 1 of these" in message


def test_a_wrong_count_of_mappings_is_noticed(after) -> None:
    system = after(WRITTEN)
    atomic_inc(system.page_at("A", 1)._mapcount)

    assert complaint(system)[1].endswith("is mapped 2 times, its _mapcount says 3")


def test_pages_are_numbered_as_the_litmus_numbers_them(after) -> None:
    system = after(WRITTEN)
    system.page_at("B", 1).contents = fill(9)

    assert complaint(system) == ("wrong-data", "A wrote 1 to page 1 and finds 9")


def test_each_broken_truth_is_told(after) -> None:
    system = after(WRITTEN)
    system.page_at("B", 1).contents = fill(9)
    atomic_set(system.page_at("A", 0)._mapcount, 0)
    kmem_cache_alloc(system.kernel.anon_vma_cachep)

    kinds = [error.kind for error in broken_truths(system)]
    assert kinds == ["missed-mapping", "wrong-data", "wrong-data", "leak"]


def test_ksmd_goes_on_after_an_unmerge_without_memory(after) -> None:
    system = after(
        "A: mmap 0 2\nA: write 0 2 = 1\nA: madvise 0 2 mergeable\nksmd: scan 2\nfail 1 unmerge_all"
    )
    assert system.kernel.pages_sharing_show() == 1

    assert system.kernel.run_show() == 1


def test_the_walk_of_a_merged_page_may_visit_a_forked_entry_twice(after) -> None:
    after(
        "A: mmap 0 2\nA: write 0 2 = 1\nA: madvise 0 2 mergeable\nksmd: scan 2\n"
        "A: fork B\nksmd: scan\nA: walk 0"
    )


def test_without_migration_no_page_is_isolated_for_it(after) -> None:
    system = after("A: mmap 0\nA: write 0 = 1\nA: migrate 0\ncompact", "config CONFIG_MIGRATION=n")

    assert system.kernel.page_count(system.page_at("A", 0)) == 1


SWAPPED = f"{WRITTEN}A: swap_out 0 2\n"


def test_all_is_well_with_pages_in_swap(after) -> None:
    check_truths(after(SWAPPED, "config CONFIG_SWAP=y"))
    check_truths(after(f"{SWAPPED}B: swap_in 0\nA: reclaim 0\n", "config CONFIG_SWAP=y"))


def test_what_a_process_has_in_swap_is_its_own_too(after) -> None:
    system = after(SWAPPED, "config CONFIG_SWAP=y")
    system.kernel.swap_slots[1].contents = fill(9)

    assert complaint(system) == ("wrong-data", "A wrote 1 to page 0 and finds 9")


def test_a_slot_is_counted_as_often_as_it_is_named(after) -> None:
    system = after(SWAPPED, "config CONFIG_SWAP=y")
    slot = system.kernel.swap_slots[2]
    slot.swap_map += 1
    assert complaint(system)[0] == "leak"
    slot.swap_map -= 2
    assert complaint(system)[0] == "missed-mapping"


def test_the_swap_cache_and_its_page_know_each_other(after) -> None:
    system = after(f"{SWAPPED}A: swap_in 0", "config CONFIG_SWAP=y")
    slot = system.kernel.swap_slots[1]
    page = slot.page
    page.swapcache = False
    assert "does not know" in complaint(system)[1]
    page.swapcache = True
    slot.page = None
    assert "disagree" in complaint(system)[1]
