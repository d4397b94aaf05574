"""`rmaplab show` as its user meets it."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import refused, rmaplab

TRACE = str(Path(__file__).parents[2] / "examples" / "root-drops-itself.trace")


def test_a_moment_is_told_as_text() -> None:
    done = rmaplab("show", "root-drops-itself", "--kernel", "seed-v2", "--step", "0")

    assert done.exit_code == 0
    assert "before the first of 32 steps" in done.stdout
    assert "same_vma: avc#1" in done.stdout


@pytest.mark.parametrize("form", ["html", "svg", "png", "dot", "txt"])
def test_each_form_is_written(tmp_path: Path, form: str) -> None:
    file = tmp_path / f"film.{form}"

    done = rmaplab("show", "root-drops-itself", "-k", "seed-v2", "-o", str(file))

    assert (done.exit_code, done.stdout) == (0, "")
    assert file.stat().st_size > 100


def test_a_saved_trace_is_shown_on_its_kernel() -> None:
    done = rmaplab("show", TRACE)

    assert done.exit_code == 0
    assert done.stdout.startswith("seed-v2: refcount-underflow\nafter step 32 of 32")


def test_on_another_kernel_it_is_shown_as_far_as_it_goes() -> None:
    done = rmaplab("show", TRACE, "--kernel", "v2.6.38")

    assert done.exit_code == 0
    assert done.stdout.startswith("v2.6.38: differs from seed-v2 at step ")


def test_bad_input_is_told_in_a_line(tmp_path: Path) -> None:
    known = ("show", "root-drops-itself", "-k", "seed-v2")

    assert "ends in .html, .svg, .png, .dot, .txt" in refused(*known, "-o", "film.pdf")
    assert "write -o FILE.html" in refused(*known, "-k", "v2.6.38")
    assert "no more" in refused(*known, "-k", "v2.6.38", "-k", "v2.6.35", "-o", "a.html")
    assert "--step 33: there are 32" in refused(*known, "--step", "33")
    assert "there is no file and no shipped litmus" in refused("show", "root-drops-it")
    assert "--config is for a LITMUS" in refused("show", TRACE, "-c", "CONFIG_KSM=n")
    missing = str(tmp_path / "no" / "film.svg")
    assert f"-o {missing}: No such file or directory" in refused(*known, "-o", missing)
