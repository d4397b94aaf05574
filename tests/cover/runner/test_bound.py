"""What a litmus bounds, in order and while checking; and the kernels that keep it for ever."""

from __future__ import annotations

import pytest
from kernels import SHOWN

from rmaplab.checker.check import check
from rmaplab.checker.options import Limits, Options
from rmaplab.history import KERNELS, V2_6_34, V2_6_38
from rmaplab.history.lookup import in_range
from rmaplab.kernel.kernel import Kernel
from rmaplab.litmus.model import Litmus
from rmaplab.litmus.reader import read_text
from rmaplab.litmus.shipped import shipped
from rmaplab.machine import KernelStateError
from rmaplab.runner.checks import plan, run_check
from rmaplab.runner.choice import NamedKernel
from rmaplab.runner.run import run
from rmaplab.runner.scenario import build

LIMITS = Limits()
ONE = "setup\n A: mmap 0\n A: write 0 = 1\n"


def generations(count: int, bound: int) -> Litmus:
    """Each forks, exits, and leaves the rest to its child; one anon_vma a page at first."""
    steps = "".join(f" P{n}: fork P{n + 1}\n P{n}: exit\n" for n in range(count))
    first = "setup\n P0: mmap 0\n P0: write 0 = 1\n"
    return read_text(f"litmus x\nprocesses P0\nbound anon_vma={bound}\n{first}CPU0\n{steps}")


def most_needed(kernel: type[Kernel], count: int) -> int:
    """The smallest bound on anon_vmas that the generations keep."""
    return next(
        most for most in range(1, count + 3) if not run(generations(count, most), kernel).violation
    )


@pytest.mark.parametrize("kernel", [name for name in SHOWN if name != "v2.6.33"])
def test_one_more_anon_vma_a_generation_until_they_are_used_again(kernel: str) -> None:
    # Its own, that of the child, and the root, which is never used again.
    needed = [2, 3, 3, 3] if in_range("7a3ef208e662..", kernel) else [2, 3, 6, 13]

    assert [most_needed(KERNELS[kernel], count) for count in (1, 2, 5, 12)] == needed


@pytest.mark.parametrize(("kernel", "verdict"), [("c4ea95d7cd08", "growth"), ("v3.19", "clean")])
def test_the_shipped_scenario_tells_the_two_apart(kernel: str, verdict: str) -> None:
    (litmus,) = (each for each in shipped() if each.name == "endless-growth")
    (todo,) = plan([litmus], [NamedKernel("file.py:Mine", KERNELS[kernel])])

    result = run_check(todo, Options(LIMITS))

    assert (result.verdict, todo.expected) == (verdict, None)  # a kernel of one's own may be clean


def test_a_run_names_the_step_that_passes_the_bound() -> None:
    violation = run(generations(4, bound=3), V2_6_34).violation

    assert violation is not None
    assert (violation.kind, violation.step, violation.text) == ("growth", 7, "P2: fork P3")
    assert violation.message == "there are 4 anon_vmas, more than the bound of 3"


@pytest.mark.parametrize(("bound", "verdict"), [(3, "growth"), (4, "clean")])
def test_the_checker_asks_at_the_end(bound: int, verdict: str) -> None:
    outcome = check(build(generations(3, bound), V2_6_34))

    assert outcome.verdict == verdict


def test_the_set_up_is_asked_after_each_step() -> None:
    text = f"litmus x\nbound mm_struct=1\n{ONE} A: fork B\n B: exit\n"

    with pytest.raises(KernelStateError, match="there are 2 mm_structs") as caught:
        build(read_text(text), V2_6_34)

    assert caught.value.kind == "growth"


@pytest.mark.parametrize(
    ("cache", "count"),
    [("anon_vma", 2), ("anon_vma_chain", 3), ("vm_area_struct", 2), ("mm_struct", 2)],
)
def test_each_kind_of_object_is_counted(cache: str, count: int) -> None:
    fork = f"litmus x\nbound {cache}={{}}\n{ONE} A: fork B\n"

    assert run(read_text(fork.format(count)), V2_6_38).violation is None
    assert run(read_text(fork.format(count - 1)), V2_6_38).violation is not None
