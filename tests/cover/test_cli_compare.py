"""`rmaplab compare`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rmaplab.cli import main

SMALL = ("aim7", "--children", "3", "--pages", "2", "-k", "v2.6.33", "-k", "v2.6.34")


def compare(*words: str) -> Result:
    return CliRunner().invoke(main, ["compare", *words])


def test_a_workload_is_compared_on_the_kernels_that_are_named() -> None:
    told = compare(*SMALL, "--format", "json")

    before, after = json.loads(told.stdout)["costs"]
    assert told.exit_code == 0
    assert (before["kernel"], after["kernel"]) == ("v2.6.33", "v2.6.34")
    assert (before["walks"]["mean"], after["walks"]["mean"]) == (4, 1.75)


def test_the_table_says_what_was_run() -> None:
    assert compare(*SMALL).stdout.startswith("aim7: 3 children, 2 pages each\n")


def test_a_shipped_litmus_is_a_load() -> None:
    assert compare("cow-both-write", "-k", "v6.18").stdout.startswith("cow-both-write\n")


def test_a_kernel_that_fails_is_no_success() -> None:
    told = compare("root-drops-itself", "-k", "seed-v2")

    assert told.exit_code == 1
    assert "seed-v2: stopped by refcount-underflow" in told.stdout


@pytest.mark.parametrize("form", ["png", "svg"])
def test_plots_go_to_a_file(form: str, tmp_path: Path) -> None:
    picture = tmp_path / f"a.{form}"

    assert compare(*SMALL, "-o", str(picture)).exit_code == 0
    assert picture.stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name either a WORKLOAD, a LITMUS or --strace LOG"),
        (("aim7", "--strace", "x"), "name either"),
        (("aim8",), "there is no workload `aim8`: there are aim7, endless-fork"),
        (("exit-of-tree",), "there is no file and no shipped litmus `exit-of-tree`"),
        (("cow-both-write", "--pages", "2"), "--children and --pages are for a workload"),
        (("aim7", "-o", "x.pdf"), "write a FILE that ends in .png or .svg"),
        (("aim7", "-k", "v1.0"), "there is no kernel `v1.0`"),
        ((*SMALL, "-o", "/nowhere/x.png"), "-o /nowhere/x.png"),
        (("--strace", "/nowhere/x"), "/nowhere/x"),
    ],
)
def test_bad_input_is_refused(words: tuple[str, ...], message: str) -> None:
    told = compare(*words)

    assert told.exit_code == 2
    assert message in told.stderr
