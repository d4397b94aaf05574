"""Every shipped litmus on every kernel that the collection names: the verdict it expects."""

import pytest

from rmaplab.checker.options import Limits, Options
from rmaplab.litmus.model import Litmus
from rmaplab.litmus.shipped import shipped
from rmaplab.runner.checks import plan, run_check
from rmaplab.runner.choice import NamedKernel, matrix_kernels

COLLECTION = shipped()
KERNELS = matrix_kernels(COLLECTION)
LIMITS = Limits(states=2_000_000, seconds=120)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
@pytest.mark.parametrize("litmus", COLLECTION, ids=lambda litmus: litmus.name)
def test_every_verdict_is_the_expected_one(litmus: Litmus, kernel: NamedKernel) -> None:
    (todo,) = plan([litmus], [kernel])

    result = run_check(todo, Options(LIMITS))

    assert todo.expected is not None, "a shipped litmus expects something of every kernel"
    assert result.verdict == todo.expected
    assert not result.warnings, "a clean verdict of a shipped litmus says something"


def verdict_and_length(name: str, kernel: str) -> tuple[str, int]:
    """The verdict, and how many steps its nearest trace has."""
    (litmus,) = (each for each in COLLECTION if each.name == name)
    (named,) = (each for each in KERNELS if each.name == kernel)
    (todo,) = plan([litmus], [named])
    violation = run_check(todo, Options(LIMITS)).outcome.violation
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
    ],
)
def test_the_nearest_failure_is_this_long(name: str, kernel: str, kind: str, length: int) -> None:
    assert verdict_and_length(name, kernel) == (kind, length)
