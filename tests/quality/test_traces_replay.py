"""Every trace that the shipped collection gives is one that can be taken again."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmaplab.checker.options import Limits, Options
from rmaplab.litmus.shipped import shipped
from rmaplab.runner.checks import plan, run_check
from rmaplab.runner.choice import find_kernel
from rmaplab.runner.saved import load, replay, save

OPTIONS = Options(Limits(states=300_000, seconds=120))


@pytest.mark.parametrize("kernel", ["v2.6.34", "seed-v2", "76545066c852", "v2.6.36"])
@pytest.mark.parametrize("litmus", shipped(), ids=lambda litmus: litmus.name)
def test_each_violation_is_met_again(litmus, kernel, tmp_path: Path) -> None:
    named = find_kernel(kernel)
    (todo,) = plan([litmus], [named])
    path = str(tmp_path / "trace.json")

    for violation in run_check(todo, OPTIONS).outcome.violations:
        if violation.message.startswith("in the set-up"):
            pytest.skip("the set-up goes wrong: there is no trace of the CPUs")
        save(path, litmus, kernel, violation)
        recorded = load(path)
        followed = replay(recorded, named.kernel)

        assert followed.difference is None, violation.message
        assert followed.other_value is None
        assert len(followed.steps) == len(violation.trace)
        if not recorded.pending:
            assert followed.fault is not None and followed.fault.kind == violation.kind
