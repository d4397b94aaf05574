"""Side by side: the model's run and the running kernel's, which is made up here."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest

from rmaplab.errors import InputError
from rmaplab.history import V2_6_38
from rmaplab.litmus.reader import read_text
from rmaplab.live.compare import Comparison, comparison_document, render_comparison
from rmaplab.live.run import check_live
from rmaplab.runner.run import RunResult, run, verify

LITMUS = read_text("litmus x\nsetup\n A: mmap 0 2\n A: write 0 = 1\n A: fork B\n B: exit\n")


def compared(live: RunResult) -> Comparison:
    model = run(LITMUS, V2_6_38)
    litmus = replace(LITMUS, observations=tuple(live.observations))
    return Comparison(model, live, verify(model, litmus))


def live_run() -> RunResult:
    """What the model shows, but of a kernel of another name and without counts of objects."""
    live = deepcopy(run(LITMUS, V2_6_38))
    live.kernel = "Linux 9.9"
    for observation in live.observations:
        del observation["slab"]
    return live


def test_two_runs_that_agree_have_equal_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    text = render_comparison(compared(live_run()))

    assert text.startswith("x: v2.6.38 | Linux 9.9\n")
    assert text.endswith("\n4 steps agree\n")
    rows = [line[5:].split(" | ") for line in text.splitlines() if " | " in line[5:]]
    assert len(rows) > 8 and all(one.rstrip() == other for one, other in rows[1:])


def test_the_first_difference_is_marked_and_told() -> None:
    live = live_run()
    live.observations[1]["bytes"] = {"A": [[0, 1, "2"]]}
    live.observations[2]["ret"] = "ENOMEM"

    text = render_comparison(compared(live))

    (marked,) = [line for line in text.splitlines() if line.startswith(">>")]
    assert "bytes 0: 1" in marked and "bytes 0: 2" in marked
    assert text.endswith("step 2 (A: write 0 = 1): bytes of A: expected 0: 2, got 0: 1\n")


def test_the_document_has_both_runs() -> None:
    document = comparison_document(compared(live_run()))

    assert document["agrees"] and document["difference"] is None
    assert document["live"]["steps"][1]["pages"] == document["model"]["steps"][1]["pages"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("CPU0\n A: mmap 0\nCPU1\n A: mmap 8\n", "CPUs that run at a time"),
        ("setup\n fail 1 A: mmap 0\n", "no allocation can be chosen"),
        ("setup\n A: mmap 0\n A: swap_out 0\n", "swap_out cannot run live"),
        ("setup\n A: mmap 0 2 growsdown\n", "256 pages"),
        ("setup\n A: brk 2\n", "the interpreter's"),
    ],
)
def test_what_cannot_run_live_is_named(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        check_live(read_text(f"litmus x\n{text}", "x.litmus"))
