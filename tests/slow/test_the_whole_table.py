"""Every shipped litmus on every kernel that the collection names: the verdict it expects."""

from __future__ import annotations

import pytest

from rmaplab.checker.options import Limits, Options
from rmaplab.litmus.model import Litmus
from rmaplab.litmus.shipped import shipped
from rmaplab.runner.checks import plan, run_checks
from rmaplab.runner.choice import matrix_kernels

LIMITS = Limits(states=2_000_000, seconds=120)


@pytest.mark.parametrize("litmus", shipped(), ids=lambda litmus: litmus.name)
def test_every_verdict_is_the_expected_one(litmus: Litmus) -> None:
    checks = plan([litmus], matrix_kernels(shipped()))

    for number, result in run_checks(checks, Options(LIMITS, first=True), jobs=1):
        assert result.verdict == checks[number].expected, result.title
