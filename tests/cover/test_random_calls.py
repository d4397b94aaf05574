"""Random calls on every kernel: after each of them all truths hold, but for the known bugs."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, note, settings
from known_bugs import BUGS, KnownBug, explanation, tolerated
from random_calls import Run, litmuses

from rmaplab.history import ASIDE, KERNELS
from rmaplab.litmus.model import Litmus
from rmaplab.litmus.reader import read_text
from rmaplab.litmus.writer import write_text
from rmaplab.machine.direct import DirectMachine

OF_ONE_KERNEL = [bug for bug in BUGS if bug.kernels in [(name,) for name in ASIDE]]


@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(litmus=litmuses())
def test_no_calls_break_a_truth_but_by_a_known_bug(kernel: str, litmus: Litmus) -> None:
    run = Run(litmus, KERNELS[kernel], DirectMachine(), tolerated(kernel))

    failure = run.failure()

    note(write_text(litmus))
    assert failure is None or explanation(kernel, failure, run) is not None, str(failure)


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
        assert failure is None or explanation(kernel, failure, run) in OF_ONE_KERNEL


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(litmus=litmuses())
def test_what_is_drawn_can_be_pasted_and_read(litmus: Litmus) -> None:
    text = write_text(litmus)

    assert write_text(read_text(text)) == text
