"""What cover/test_random_calls.py does, with many more calls, and from elsewhere each time."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from known_bugs import explanation, tolerated
from random_calls import Run, litmuses

from rmaplab.history import KERNELS
from rmaplab.litmus.model import Litmus
from rmaplab.litmus.writer import write_text
from rmaplab.machine.direct import DirectMachine


@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(litmus=st.one_of(litmuses(1), litmuses(2), litmuses(3)))
def test_many_calls_break_no_truth_but_by_a_known_bug(kernel: str, litmus: Litmus) -> None:
    run = Run(litmus, KERNELS[kernel], DirectMachine(), tolerated(kernel))

    failure = run.failure()

    note(write_text(litmus))
    assert failure is None or explanation(kernel, failure, run) is not None, str(failure)
