"""What is left of a scenario that differs; the running kernel is made up here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rmaplab.history import V2_6_38, V6_18
from rmaplab.litmus.model import Litmus
from rmaplab.litmus.reader import read_text
from rmaplab.live import fuzz as module
from rmaplab.live.compare import Comparison
from rmaplab.live.fuzz import difference, fuzz, mix_of
from rmaplab.live.knobs import Knobs
from rmaplab.runner.choice import NamedKernel
from rmaplab.runner.run import Difference, RunResult, run

KERNEL = NamedKernel("v2.6.38", V2_6_38)


def differing(monkeypatch: pytest.MonkeyPatch, *ops: str) -> None:
    """Let the running kernel differ where these operations come one after the other."""

    found: list[Difference | None] = [None]

    def compare(litmus: Litmus, kernel: NamedKernel, knobs: Knobs) -> Comparison:
        comparison = compared(litmus, kernel)
        found[0] = comparison.difference
        return comparison

    def compared(litmus: Litmus, kernel: NamedKernel) -> Comparison:
        run = RunResult(litmus.name, kernel.name)
        done = [step.op for step in litmus.setup]
        last = -1
        for op in ops:
            if op not in done[last + 1 :]:
                return Comparison(run, run, None)
            last = done.index(op, last + 1)
        return Comparison(run, run, Difference(last, "", "ret", "", 0, 1))

    def again(*_: Any) -> bool:
        return True

    monkeypatch.setattr(module, "compare", compare)
    monkeypatch.setattr(module, "difference", lambda *_: found[0])
    monkeypatch.setattr(module.Fuzzed, "_again", again)


def test_what_never_differs_is_tried_as_often_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    differing(monkeypatch, "nothing at all")

    fuzzed = fuzz(KERNEL, Knobs(), examples=30, steps=5, number=1)

    assert (fuzzed.scenarios, fuzzed.found) == (30, None)


def test_only_the_steps_that_are_needed_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    differing(monkeypatch, "fork", "mprotect")

    fuzzed = fuzz(KERNEL, Knobs(), examples=300, steps=15, number=1)

    assert fuzzed.found is not None
    assert [step.op for step in fuzzed.found[0].setup] == ["fork", "mprotect"]


def test_a_process_that_does_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    differing(monkeypatch, "mmap", "write")

    fuzzed = fuzz(KERNEL, Knobs(), examples=10, steps=5, number=1)

    assert fuzzed.found is not None and len(fuzzed.found[0].processes) == 1


def test_a_scenario_is_never_left_without_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    differing(monkeypatch)

    fuzzed = fuzz(KERNEL, Knobs(), examples=10, steps=5, number=1)

    assert fuzzed.found is not None and len(fuzzed.found[0].setup) == 1


def test_only_what_the_model_has_is_drawn() -> None:
    class Limited(V2_6_38):
        def use_zero_pages_store(self, value: int) -> int:
            return 0

    assert "set" not in mix_of(V2_6_38, 20).weights
    assert mix_of(Limited, 20).knobs == (("use_zero_pages", 1), ("use_zero_pages", 0))
    assert mix_of(V2_6_38, 20).weights["mremap"] == module.WEIGHTS["mremap"]


def other_frames(step: str, fields: dict[str, Any]) -> Difference | None:
    """How the model differs from a kernel on which a step changes these fields."""
    litmus = read_text(
        f"litmus a\nprocesses A\nsetup\n    A: mmap 0 8\n    A: mlock 0 3\n    {step}"
    )
    model = run(litmus, V6_18, real=True)
    last = {**model.observations[-1], **fields}
    return difference(model, replace(litmus, observations=(*model.observations[:-1], last)))


def test_a_locked_mapping_that_grows_over_locked_pages_may_get_any_frames() -> None:
    grown = "A: mremap 2 1 2 to 0"

    assert other_frames(grown, {"changed": {"A": [[0, 2, True]]}}) is None
    assert other_frames(grown, {"ret": -1}) is not None
    assert other_frames("A: mremap 2 1 1 to 0", {"changed": {"A": []}}) is not None
