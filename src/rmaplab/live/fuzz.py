"""Random scenarios on the model and on the running kernel, until they differ.

What differs is made as small as it goes. A difference counts only if three runs of the running
kernel agree on it: the machine does other things besides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Flaky

from rmaplab.kernel.kernel import Kernel
from rmaplab.litmus.model import Litmus, Step
from rmaplab.live.compare import Comparison, compare
from rmaplab.live.knobs import Knobs
from rmaplab.live.record import RUNS, recorded
from rmaplab.live.run import run_live
from rmaplab.runner.choice import NamedKernel
from rmaplab.runner.random_steps import Drawn, Mix, drawn_steps, litmus_of
from rmaplab.runner.run import Difference, RunResult, verify

#: Operations, or advice, and how often they are drawn where the model has them.
WEIGHTS: Mapping[str, int] = {
    "nothing": 1, "mmap": 4, "write": 8, "poke": 2, "read": 3, "fault": 2, "fork": 5, "exit": 3,
    "munmap": 4, "mprotect": 5, "mremap": 6, "dontunmap": 1, "mlock": 3, "munlock": 2,
    "dontneed": 2, "free": 2, "dontfork": 1, "dofork": 1, "wipeonfork": 1, "cold": 1, "pageout": 1,
    "mem_write": 1, "mergeable": 5, "unmergeable": 2, "prctl_merge": 1, "scan": 6, "unmerge_all": 1,
    "set": 2,
}  # fmt: skip
#: Settings of KSM that change what a scan does.
KNOBS = (
    ("max_page_sharing", 2), ("use_zero_pages", 1), ("smart_scan", 1), ("max_page_sharing", 3),
    ("use_zero_pages", 0), ("smart_scan", 0),
)  # fmt: skip
PROCESSES = 2
SETTINGS = settings(
    database=None,
    deadline=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)


class Differs(Exception):
    """The model and the running kernel do."""


@dataclass
class Fuzzed:
    """What came of it: `found` is the smallest scenario that differs, if one does.

    `unsteady` counts differences that did not come again.
    """

    kernel: NamedKernel
    knobs: Knobs
    scenarios: int = 0
    steps: int = 0
    seconds: float = 0.0
    unsteady: int = 0
    found: tuple[Litmus, Comparison] | None = None

    def try_one(self, litmus: Litmus) -> None:
        """Run a scenario on both; raises Differs if they do."""
        began = time.perf_counter()
        comparison = compare(litmus, self.kernel, self.knobs)
        self.seconds += time.perf_counter() - began
        self.scenarios += 1
        self.steps += len(comparison.live.observations)
        seen = replace(litmus, observations=tuple(comparison.live.observations))
        comparison = replace(comparison, difference=difference(comparison.model, seen))
        if comparison.agrees:
            return
        if not self._again(litmus, comparison):
            self.unsteady += 1
            return
        self.found = litmus, comparison
        raise Differs

    def _again(self, litmus: Litmus, comparison: Comparison) -> bool:
        """Whether it differs in what several runs of the running kernel agree on."""
        if comparison.difference is None:
            return True  # the model came to a wrong state
        more = [run_live(litmus, self.knobs).observations for _ in range(RUNS - 1)]
        case = recorded(litmus, [comparison.live.observations, *more])
        return difference(comparison.model, case) is not None


def difference(model: RunResult, case: Litmus) -> Difference | None:
    """The first, but for which frames a call gets that frees some just before (docs/live.md)."""
    found = verify(model, case)
    while found is not None and _is_of_the_allocator(case.setup[found.step - 1], found):
        observations = list(case.observations)
        seen = observations[found.step - 1].items()
        observations[found.step - 1] = {name: item for name, item in seen if name != "changed"}
        case = replace(case, observations=tuple(observations))
        found = verify(model, case)
    return found


def _is_of_the_allocator(step: Step, found: Difference) -> bool:
    """Whether other pages changed their frames where a mapping grows over pages that it frees."""
    grows = step.op == "mremap" and "to" in step.args
    return grows and found.field == "changed" and step.args["new_n"] > step.args["n"]


def fuzz(
    kernel: NamedKernel,
    knobs: Knobs,
    examples: int,
    steps: int,
    number: int,
    told: Callable[[Fuzzed], None] = lambda fuzzed: None,
) -> Fuzzed:
    """Draw so many scenarios of so many steps by a seed, up to the first that differs.

    `told` is called after each scenario.
    """
    mix = mix_of(kernel.kernel, steps)
    fuzzed = Fuzzed(kernel, knobs)

    @seed(number)
    @settings(SETTINGS, max_examples=examples)
    @given(drawn_steps(mix))
    def agrees(drawn: list[Drawn]) -> None:
        try:
            fuzzed.try_one(litmus_of(drawn, ["mapping"] * PROCESSES, mix))
        finally:
            told(fuzzed)

    try:
        agrees()
    except (Differs, Flaky):
        _shrink(fuzzed)
    return fuzzed


def mix_of(kernel: type[Kernel], steps: int) -> Mix:
    """What can be drawn for this kernel."""
    weights = dict(WEIGHTS)
    known = tuple((knob, value) for knob, value in KNOBS if hasattr(kernel, f"{knob}_store"))
    if not known:
        weights.pop("set", None)
    return Mix(weights, steps, steps, knobs=known or KNOBS, beginnings=("mapping",))


def _shrink(fuzzed: Fuzzed) -> None:
    """Leave steps and processes out, one by one, while they still differ."""
    smaller = True
    while smaller and fuzzed.found is not None:
        smaller = False
        for litmus in _smaller(fuzzed.found[0]):
            try:
                fuzzed.try_one(litmus)
            except Differs:
                smaller = True
                break


def _smaller(litmus: Litmus) -> Iterator[Litmus]:
    """The litmus without one of its steps, those at the end first."""
    for index in reversed(range(len(litmus.setup))):
        left = list(litmus.setup)
        gone = left.pop(index)
        orphans = {gone.args["child"]} if gone.op == "fork" else set()
        tidied = _tidied(litmus, left, orphans)
        if tidied.setup:
            yield tidied


def _tidied(litmus: Litmus, steps: list[Step], orphans: set[Any]) -> Litmus:
    """Without what the processes do that are not there, nor processes that do nothing."""
    kept = []
    for step in steps:
        if step.process in orphans:
            orphans |= {step.args["child"]} if step.op == "fork" else set()
        else:
            kept.append(step)
    acting = {step.process for step in kept}
    processes = tuple(name for name in litmus.processes if name in acting)
    return replace(litmus, processes=processes or litmus.processes[:1], setup=tuple(kept))
