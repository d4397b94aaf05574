"""What cover/test_random_calls.py does, with many more calls, and from elsewhere each time."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pasted import hold_truths
from random_calls import litmuses

from rmaplab.history import KERNELS
from rmaplab.litmus.model import Litmus


@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(litmus=st.one_of(litmuses(1), litmuses(2), litmuses(3)))
def test_many_calls_break_no_truth_but_by_a_known_bug(kernel: str, litmus: Litmus) -> None:
    hold_truths(litmus, KERNELS[kernel], kernel)
