"""Scenarios that swap: when there is a device, and that nothing goes wrong on it at once."""

from __future__ import annotations

import pytest

from rmaplab.checker.options import Limits, Options
from rmaplab.history import KERNELS
from rmaplab.litmus.reader import read_text
from rmaplab.runner.checks import Check, run_check
from rmaplab.runner.choice import NamedKernel
from rmaplab.runner.run import run
from rmaplab.runner.scenario import config_of

SETUP = "litmus t\n{config}setup\nA: mmap 0\nA: write 0 = 1\n"


@pytest.mark.parametrize(
    ("config", "step", "expected"),
    [
        ("", "A: swap_out 0", True),
        ("", "A: swap_in 0", True),
        ("", "A: reclaim 0", None),
        ("config CONFIG_SWAP=n\n", "A: swap_out 0", False),
        ("config CONFIG_SWAP=y\n", "A: reclaim 0", True),
    ],
)
def test_who_swaps_has_a_device(config: str, step: str, expected: bool | None) -> None:
    litmus = read_text(SETUP.format(config=config) + step + "\n")

    assert config_of(litmus).get("CONFIG_SWAP") is expected


def test_a_page_goes_out_and_comes_in() -> None:
    litmus = read_text(SETUP.format(config="") + "A: swap_out 0\nA: swap_out 0\nA: swap_in 0\n")

    result = run(litmus, KERNELS["v2.6.36"])

    assert result.violation is None
    assert [seen["ret"] for seen in result.observations] == [0, 0, 0, "EBUSY", 0]
    assert [seen["pages"]["A"][0][2] for seen in result.observations[2:]] == ["none", "none", "own"]


def test_without_a_device_nothing_goes_out() -> None:
    litmus = read_text(SETUP.format(config="config CONFIG_SWAP=n\n") + "A: swap_out 0\n")

    assert run(litmus, KERNELS["v2.6.36"]).observations[-1]["ret"] == "EBUSY"


@pytest.mark.parametrize("kernel", ["v2.6.34", "v2.6.36"])
@pytest.mark.parametrize(
    "cpus",
    [
        "CPU0\n    A: swap_out 0\nCPU1\n    A: exit\n",
        "CPU0\n    A: swap_out 0\nCPU1\n    A: write 0 = 2\nfinally\n    A: read 0\n",
    ],
    ids=["exit", "write"],
)
def test_swapping_out_against_its_process_is_clean(kernel: str, cpus: str) -> None:
    litmus = read_text(SETUP.format(config="") + cpus)
    todo = Check(litmus, NamedKernel(kernel, KERNELS[kernel]), "clean")
    result = run_check(todo, Options(Limits(states=300_000, seconds=60)))

    assert result.verdict == "clean", result.outcome.violation
