"""A bug put into a kernel is found by random calls, and told as a litmus of a few steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import broken_kernels as broken
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from pasted import TOLD, fails_again, hold_truths
from random_calls import litmuses

from rmaplab.litmus.model import Litmus

FOUND: list[Any] = [
    broken.ForkForgetsTheLinks,
    broken.ForkLeavesTheParentWritable,
    broken.ForkTakesTheParentsAnonVma,
    broken.ForkCountsNoSwapEntry,
    broken.MergeHoldsNothing,
    broken.MremapLeavesTheEntries,
    broken.SplitMovesNoOffset,
]


@pytest.mark.parametrize("kernel", FOUND, ids=lambda kernel: kernel.__name__)
def test_a_bug_is_told_as_a_litmus_of_a_few_steps_that_fails_again(
    kernel: Any, tmp_path: Path
) -> None:
    name = f"{broken.__file__}:{kernel.__name__}"

    @settings(
        max_examples=600,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(litmus=litmuses(1))
    def held(litmus: Litmus) -> None:
        hold_truths(litmus, kernel, name, known="v2.6.36")

    with pytest.raises(AssertionError) as failure:
        held()

    (told,) = (note for note in failure.value.__notes__ if note.startswith(TOLD))
    assert fails_again(told, str(failure.value).split()[0], tmp_path) <= 8, told
