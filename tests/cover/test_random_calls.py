"""Random calls on every kernel: after each of them all truths hold, but for the known bugs."""

from __future__ import annotations

from pathlib import Path

import broken_kernels
import pytest
from broken_kernels import MergeHoldsNothing
from hypothesis import HealthCheck, given, settings
from known_bugs import BUGS, KnownBug, explanation, tolerated
from pasted import fails_again, hold_truths, pasted
from random_calls import Run, litmuses

from rmaplab.history import KERNELS, V2_6_34
from rmaplab.litmus.model import Litmus
from rmaplab.litmus.reader import read_text
from rmaplab.litmus.writer import write_text
from rmaplab.machine.direct import DirectMachine


@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(litmus=litmuses())
def test_no_calls_break_a_truth_but_by_a_known_bug(kernel: str, litmus: Litmus) -> None:
    hold_truths(litmus, KERNELS[kernel], kernel)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_a_known_bug_is_in_the_kernels_that_are_said_to_have_it(bug: KnownBug, kernel: str) -> None:
    run = Run(read_text(bug.litmus), KERNELS[kernel], DirectMachine())
    if "*" not in bug.kernels:
        run.tolerated = tolerated(kernel)

    failure = run.failure()

    if bug.is_of(kernel):
        assert failure is not None and explanation(kernel, failure, run) is bug
    else:  # a bug of its own: as the seed's, that most exits show
        assert failure is None or explanation(kernel, failure, run) not in (None, bug)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(litmus=litmuses())
def test_what_is_drawn_can_be_pasted_and_read(litmus: Litmus) -> None:
    text = write_text(litmus)

    assert write_text(read_text(text)) == text


@pytest.mark.parametrize(
    "steps",
    [
        "A: madvise 2 2 dontfork\nA: write 4 = 1\nfail 1 A: madvise 2 2 dofork",
        "A: mprotect 0 6 r\nA: mlock 2 2\nA: mprotect 4 2 rw\nA: write 4 = 1\n"
        "A: mprotect 4 2 r\nfail 1 A: munlock 2 2",
    ],
    ids=["madvise", "munlock"],
)
def test_every_caller_of_vma_merge_can_do_half_a_merge(steps: str) -> None:
    run = Run(read_text(f"litmus t\nsetup\nA: mmap 0 6\n{steps}\n"), V2_6_34, DirectMachine())

    failure = run.failure()

    assert failure is not None
    bug = explanation("v2.6.34", failure, run)
    assert bug is not None and bug.name.startswith("half of a merge")


LEFT = """
litmus left
processes A
setup
    A: mmap 0 4
    A: write 0 2 = 1
    A: madvise 0 2 mergeable
    ksmd: scan 2
    A: read 0
"""


def test_what_fails_is_told_as_a_litmus_that_fails_again(tmp_path: Path) -> None:
    run = Run(read_text(LEFT), MergeHoldsNothing, DirectMachine())
    failure = run.failure()
    assert failure is not None and failure.step == "ksmd: scan k=2"

    told = pasted(run, f"{broken_kernels.__file__}:MergeHoldsNothing")

    assert fails_again(told, failure.kind, tmp_path) == 8  # and A exits, `set run 1`, a scan
