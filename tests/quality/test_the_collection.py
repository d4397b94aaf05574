"""Every shipped litmus on every kernel that the collection names: the verdict it expects."""

import pytest

from rmaplab.checker.options import Limits, Options
from rmaplab.checker.verdict import Outcome
from rmaplab.kernel.compaction import Compaction
from rmaplab.litmus.model import Litmus
from rmaplab.litmus.shipped import shipped
from rmaplab.runner.checks import plan, run_check, run_checks
from rmaplab.runner.choice import NamedKernel, matrix_kernels

COLLECTION = shipped()
KERNELS = matrix_kernels(COLLECTION)
LIMITS = Limits(states=2_000_000, seconds=120)


@pytest.mark.parametrize("litmus", COLLECTION, ids=lambda litmus: litmus.name)
def test_every_verdict_is_the_expected_one(litmus: Litmus) -> None:
    """Where it changes, and at both ends; `make check` and tests/slow have the whole table."""
    assert all(todo.expected for todo in plan([litmus], KERNELS)), "it expects something of each"
    ends = {"v2.6.34", "v2.6.38", "v6.18", *(each.name for each in matrix_kernels([litmus]))}
    hold_verdicts(litmus, [each for each in KERNELS if each.name in ends])


def hold_verdicts(litmus: Litmus, kernels: list[NamedKernel]) -> None:
    checks = plan([litmus], kernels)
    for number, result in run_checks(checks, Options(LIMITS, first=True), jobs=1):
        todo = checks[number]
        assert result.verdict == todo.expected, result.title
        if litmus.name not in LATE:
            assert bool(result.warnings) == says_nothing(litmus.name, todo.kernel), result.title


#: They are about what early kernels do not have, and may say nothing there.
LATE = (
    "dirty-cow",
    "fault-asks-unlocked-neighbours",
    "fault-uses-a-chain-half-copied",
    "merge-without-memory-for-the-tree",
    "moved-into-a-vma-without-anon-vma",
    "ksmd-leaves-an-mm-that-exits",
)


def says_nothing(name: str, kernel: NamedKernel) -> bool:
    """There is no compaction before v2.6.35."""
    return name.startswith("compact") and not issubclass(kernel.kernel, Compaction)


def outcome_of(name: str, kernel: str) -> Outcome:
    (litmus,) = (each for each in COLLECTION if each.name == name)
    (named,) = (each for each in KERNELS if each.name == kernel)
    (todo,) = plan([litmus], [named])
    return run_check(todo, Options(LIMITS)).outcome


def verdict_and_length(name: str, kernel: str) -> tuple[str, int]:
    """The verdict, and how many steps its nearest trace has."""
    violation = outcome_of(name, kernel).violation
    assert violation is not None
    return violation.kind, len(violation.trace)


# The lengths are those of the full breadth-first walk, which finds the nearest violation first.
# An exit or munmap looks at locked_vm, a fork copies the two ends of the heap: steps of their own.
@pytest.mark.parametrize(
    ("name", "kernel", "kind", "length"),
    [
        ("root-drops-itself", "seed-v2", "refcount-underflow", 32),
        ("recycled-root-leaks", "seed-v2", "leak", 163),
        ("recycled-root-freed-while-pinned", "seed-v2", "use-after-free", 95),
        ("root-dies-under-pinned-child", "root-lock", "use-after-free", 172),
        ("unlock-of-another-root", "76545066c852", "bad-unlock", 111),
        ("migration-frees-twice", "76545066c852", "double-free", 77),
        ("walk-during-fork", "v2.6.34", "missed-mapping", 76),
        ("scan-against-exit", "v2.6.38", "bug-on", 28),
        ("fork-without-memory", "before-4946d54cb55e", "use-after-free", 146),
        ("merge-keeps-the-shorter-chain", "before-d0e9fe1758f2", "missed-mapping", 81),
        ("boundary-moves-without-the-chain", "before-287d97ac0321", "missed-mapping", 60),
        ("copied-chain-turns-round", "before-646d87b481da", "use-after-free", 99),
        ("half-merged-page-in-a-fork", "2aeadc30de45", "bug-on", 373),
        ("compact-against-exit", "v2.6.36", "use-after-free", 42),
        ("compact-against-fork", "v2.6.35", "data-race", 160),
        ("endless-growth", "v2.6.34", "growth", 591),
        ("endless-growth", "v2.6.38", "growth", 659),
        ("endless-growth", "624483f3ea82", "growth", 679),
        ("mremap-against-walk", "v2.6.38", "missed-mapping", 265),
        ("split-without-memory", "ef0855d334e1", "bug-on", 61),
        ("split-without-memory", "b800c91a0517", "bug-on", 330),
        ("joined-vma-is-not-counted", "7a3ef208e662", "bug-on", 139),
        ("anon-vma-used-twice", "3fe89b3e2a7b", "use-after-free", 282),
        ("exec-stack-against-migration", "v2.6.34", "missed-mapping", 160),
        ("exec-stack-against-migration", "a8bef8ff6ea1", "data-race", 60),
    ],
)
def test_the_nearest_failure_is_this_long(name: str, kernel: str, kind: str, length: int) -> None:
    assert verdict_and_length(name, kernel) == (kind, length)


# The full walks agree, with 183,158, 28,365 and 138,046 states. What is left are the ten passes of
# migration: each has states of its own, as none knows of another but by what it is the number of.
@pytest.mark.parametrize(
    ("name", "kernel", "states"),
    [
        ("compact-against-exit", "v2.6.38", 8_262),
        ("compact-against-fork", "v2.6.38", 1_293),
        ("exec-stack-against-migration", "root-lock", 1_966),
    ],
)
def test_a_clean_walk_has_this_many_states(name: str, kernel: str, states: int) -> None:
    outcome = outcome_of(name, kernel)

    assert (outcome.verdict, outcome.states) == ("clean", states)
