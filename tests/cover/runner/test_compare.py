"""What loads cost, against closed formulas."""

from __future__ import annotations

from fractions import Fraction

import pytest

from rmaplab.costs import Costs
from rmaplab.history import KERNELS
from rmaplab.litmus.reader import read_text
from rmaplab.runner.compare import load_of_litmus, load_of_strace, measure, settled
from rmaplab.runner.workloads import WORKLOADS, find_workload

CHAINED = ("v2.6.34", "v2.6.36", "v3.8", "v3.18", "v3.19", "v6.18")
ALL = ("v2.6.33", *CHAINED)


def costs_of(name: str, kernel: str, children: int, pages: int) -> Costs:
    workload = find_workload(name, children, pages)
    return measure(load_of_litmus(workload.litmus, workload.walked), KERNELS[kernel], kernel)


def objects(costs: Costs) -> dict[str, int]:
    return {slab.name: slab.objects for slab in costs.slabs}


def mean(costs: Costs) -> Fraction:
    return Fraction(costs.walks.sum, costs.walks.total)


@pytest.mark.parametrize(("children", "pages"), [(1, 1), (7, 3), (20, 5)])
class TestAim7:
    def test_before_chains_each_walk_visits_the_whole_family(
        self, children: int, pages: int
    ) -> None:
        costs = costs_of("aim7", "v2.6.33", children, pages)

        assert costs.walks.counts == {children + 1: (children + 1) * pages}
        assert objects(costs)["anon_vma"] == 1
        assert objects(costs)["anon_vma_chain"] == 0

    @pytest.mark.parametrize("kernel", CHAINED)
    def test_with_chains_a_page_of_a_child_is_found_at_once(
        self, kernel: str, children: int, pages: int
    ) -> None:
        costs = costs_of("aim7", kernel, children, pages)

        assert costs.walks.counts == {1: children * pages, children + 1: pages}
        assert mean(costs) == 2 - Fraction(1, children + 1)
        assert objects(costs)["anon_vma"] == children + 1
        assert objects(costs)["anon_vma_chain"] == 2 * children + 1

    # Linked by prepare, by each fork and by each exit: once for each chain entry.
    def test_an_own_lock_is_taken_for_each_end_of_each_chain_entry(
        self, children: int, pages: int
    ) -> None:
        taken = costs_of("aim7", "v2.6.34", children, pages).locking.taken

        assert taken.total == children + 1
        assert taken.sum == 2 * (2 * children + 1)
        assert taken.counts == {2: children, 2 * (children + 1): 1}


@pytest.mark.parametrize("children", [1, 5, 30])
class TestEndlessFork:
    @pytest.mark.parametrize("kernel", ["v2.6.34", "v2.6.36", "v3.8", "v3.18"])
    def test_each_generation_leaves_an_anon_vma(self, kernel: str, children: int) -> None:
        costs = costs_of("endless-fork", kernel, children, 2)

        last = costs.moments[-2]
        assert (last.vmas, last.anon_vmas, last.chains) == (1, children + 1, children + 1)
        assert objects(costs)["anon_vma_chain"] == 2 * children + 1  # parent and child, once

    # 7a3ef208e662 promises at most two for each VMA; the root counts itself as its own child, so
    # that it is not among those which are used again: it comes on top.
    @pytest.mark.parametrize("kernel", ["v3.19", "v4.0", "v6.18"])
    def test_since_3_19_there_are_two_for_a_vma_and_the_root(
        self, kernel: str, children: int
    ) -> None:
        costs = costs_of("endless-fork", kernel, children, 2)

        assert all(each.anon_vmas <= 2 * each.vmas + 1 for each in costs.moments)
        assert objects(costs)["anon_vma"] == min(children + 1, 3)

    def test_before_chains_there_is_one(self, children: int) -> None:
        assert objects(costs_of("endless-fork", "v2.6.33", children, 2))["anon_vma"] == 1


@pytest.mark.parametrize("children", [1, 6])
def test_of_a_zygote_only_what_it_shares_costs_more(children: int) -> None:
    pages, family = 4, children + 1
    before = costs_of("zygote", "v2.6.33", children, pages)
    after = costs_of("zygote", "v6.18", children, pages)

    own = children * pages
    shared_or_private = (1 + family) * pages
    assert before.walks.counts == {1: own, family: shared_or_private}
    assert after.walks.counts == {1: own + children * pages, family: 2 * pages}


@pytest.mark.parametrize("kernel", ALL)
def test_a_snapshot_needs_no_more_for_the_next(kernel: str) -> None:
    once, often = (objects(costs_of("snapshot", kernel, times, 4)) for times in (1, 9))

    assert once == often


@pytest.mark.parametrize("kernel", ALL)
def test_what_executes_shares_nothing(kernel: str) -> None:
    costs = costs_of("shell", kernel, 3, 4)

    assert costs.walks.counts == {1: 4 * 4}  # of the shell and of three commands


@pytest.mark.parametrize("name", WORKLOADS)
@pytest.mark.parametrize("kernel", ALL)
def test_at_the_end_nothing_is_left(name: str, kernel: str) -> None:
    costs = costs_of(name, kernel, 3, 2)

    last = costs.moments[-1]
    assert (last.vmas, last.anon_vmas, last.chains, costs.stopped) == (0, 0, 0, "")


@pytest.mark.parametrize("forks", [1, 4, 9])
@pytest.mark.parametrize("kernel", CHAINED)
def test_a_line_of_processes_has_a_triangle_of_chains(kernel: str, forks: int) -> None:
    text = "litmus line\nprocesses P0\nsetup\n P0: mmap 0\n P0: write 0 = 1\n"
    text += "".join(f" P{n}: fork P{n + 1}\n" for n in range(forks))
    load = settled(load_of_litmus(read_text(text)), KERNELS[kernel])

    costs = measure(load, KERNELS[kernel], kernel)

    n = forks + 1
    assert objects(costs)["anon_vma_chain"] == n * (n + 1) // 2
    assert objects(costs)["anon_vma"] == n
    assert costs.walks.counts == {n: 1}  # one page, in all of them


def test_a_merged_page_is_walked_by_its_rmap_items() -> None:
    text = (
        "litmus merged\nprocesses A B\nsetup\n A: mmap 0\n A: write 0 = 1\n B: mmap 0\n"
        " B: write 0 = 1\n A: madvise 0 mergeable\n B: madvise 0 mergeable\n ksmd: scan 8\n"
    )
    load = load_of_litmus(read_text(text), 7)

    costs = measure(load, KERNELS["v2.6.34"], "v2.6.34")

    assert (objects(costs)["rmap_item"], objects(costs)["stable_node"]) == (2, 1)
    assert costs.walks.counts == {4: 1}  # one page; the VMAs of two rmap_items, in two rounds


def test_a_wrong_state_ends_the_load_and_is_told() -> None:
    text = "litmus t\nsetup\n A: mmap 0\n A: write 0 = 1\n A: fork B\n A: exit\n B: exit\n"
    kernel = KERNELS["seed-v2"]

    costs = measure(settled(load_of_litmus(read_text(text)), kernel), kernel, "seed-v2")

    assert costs.stopped.startswith("refcount-underflow in step 5")
    assert len(costs.moments) == 4


@pytest.mark.parametrize("kernel", ["v2.6.33", "v6.18"])
def test_a_log_of_strace_is_a_load(kernel: str) -> None:
    load = settled(load_of_strace("tests/data/pipeline.strace"), KERNELS[kernel])

    costs = measure(load, KERNELS[kernel], kernel)

    assert costs.stopped == ""
    assert costs.moments[load.walked - 1].vmas == objects(costs)["vm_area_struct"]
