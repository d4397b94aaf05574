"""anon_vma and anon_vma_chain objects: the census that slabinfo of a 6.18 gave."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rmaplab.history import KERNELS, V2_6_33
from rmaplab.kernel.kernel import Kernel
from rmaplab.litmus.reader import read_text
from rmaplab.runner.choice import newest_release
from rmaplab.runner.run import run, verify

ROOT = "litmus x\nprocesses P0\nsetup\n P0: mmap 0 8\n P0: write 0 8 = 1\n"
CHAINED = [k for name, k in KERNELS.items() if name.startswith("v") and k is not V2_6_33]
NEWEST = KERNELS[newest_release()]


def counts(steps: str, kernel: type[Kernel] = NEWEST) -> list[tuple[int, int]]:
    """anon_vmas and anon_vma_chains after the root's first write, and after each step then."""
    result = run(read_text(ROOT + steps), kernel)
    assert result.violation is None
    slabs = [shown["slab"] for shown in result.observations[1:]]
    return [(slab["anon_vma"], slab["anon_vma_chain"]) for slab in slabs]


@pytest.mark.parametrize("kernel", CHAINED)
def test_a_root_has_one_of_each(kernel: type[Kernel]) -> None:
    assert counts("", kernel) == [(1, 1)]


@pytest.mark.parametrize("kernel", CHAINED)
def test_a_chain_of_forks_has_a_triangle_of_chains(kernel: type[Kernel]) -> None:
    forks = "".join(f" P{number}: fork P{number + 1}\n" for number in range(5))

    assert counts(forks, kernel)[1:] == [(2, 3), (3, 6), (4, 10), (5, 15), (6, 21)]


@pytest.mark.parametrize("kernel", CHAINED)
def test_a_sibling_adds_an_anon_vma_and_two_chains(kernel: type[Kernel]) -> None:
    forks = "".join(f" P0: fork P{number + 1}\n" for number in range(4))

    assert counts(forks, kernel)[1:] == [(2, 3), (3, 5), (4, 7), (5, 9)]


@pytest.mark.parametrize("kernel", CHAINED)
def test_a_piece_of_a_split_vma_adds_a_chain_only(kernel: type[Kernel]) -> None:
    splits = "".join(f" P0: mprotect {at} r\n" for at in (1, 3, 5))

    assert counts(splits, kernel)[1:] == [(1, 3), (1, 5), (1, 7)]


@pytest.mark.parametrize(
    "steps",
    [
        "".join(
            f" P{number}: fork P{number + 1}\n P{number + 1}: write 0 8 = 2\n"
            for number in range(5)
        ),
        "".join(f" P0: fork P{number + 1}\n" for number in range(4)),
        "".join(f" P0: mprotect {at} r\n" for at in (1, 3, 5)),
    ],
    ids=["a chain of forks", "siblings", "pieces"],
)
def test_before_chains_a_family_has_one_anon_vma(steps: str) -> None:
    assert set(counts(steps, V2_6_33)) == {(1, 0)}


@pytest.mark.skipif(newest_release().startswith("v2"), reason="anon_vmas are reused since 3.19")
def test_generations_that_fork_and_die_need_no_more_than_three_and_four() -> None:
    rounds = "".join(
        f" P{number}: fork P{number + 1}\n" + (f" P{number}: exit\n" if number else "")
        for number in range(8)
    )

    assert counts(rounds)[-1] == (3, 4)


def test_a_recorded_count_is_compared_and_a_missing_one_is_not() -> None:
    litmus = read_text(ROOT)
    result = run(litmus, NEWEST)
    recorded = [{"slab": shown["slab"]} for shown in result.observations]
    recorded[1] = {"slab": {"anon_vma": 9, "anon_vma_chain": 1}}
    wrong = verify(result, replace(litmus, observations=tuple(recorded)))
    nothing = verify(result, replace(litmus, observations=({"ret": 0}, {"ret": 0})))

    assert wrong is not None and (wrong.field, wrong.key, wrong.got) == ("slab", "anon_vma", 1)
    assert nothing is None
