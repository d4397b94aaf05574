"""What a real 6.18.44 showed, in every field of each step: v6.18 does it too."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmaplab.history import KERNELS
from rmaplab.litmus.reader import read_file
from rmaplab.runner.run import run, verify

DATA = Path(__file__).parents[2] / "data"
CASES = sorted(DATA.glob("*/*.json"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_v6_18_does_what_was_recorded(path: Path) -> None:
    case = read_file(path)

    result = run(case, KERNELS["v6.18"])

    assert result.violation is None
    assert verify(result, case) is None


# The step where each differs first: before that commit the model had not what the case is about.
@pytest.mark.parametrize(
    ("name", "kernel", "step"),
    [
        ("chains_at_limit_2", "e86c59b1b12d", 7),
        ("smart_scan", "6080d19f0704", 8),
        ("chains_at_limit_2", "a0b856b617c5", 9),
        ("chains_at_limit_3", "2c653d0ee2ae", 8),
        ("zero_pages", "7496fea9a6bf", 7),
        ("zero_pages", "24139c07f413", 7),
        ("prctl_merging", "6cce3314b928", 3),
        ("prctl_merging", "a0b856b617c5", 4),
        ("volatile_and_late", "3a9e567ca45f", 15),
        ("unmerged_pages_are_clean", "v6.1", 7),
    ],
)
def test_an_older_kernel_does_not(name: str, kernel: str, step: int) -> None:
    case = read_file(DATA / "ksm" / f"{name}.json")

    difference = verify(run(case, KERNELS[kernel]), case)

    assert difference is not None and difference.step == step
