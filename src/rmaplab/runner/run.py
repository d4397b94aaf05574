"""A litmus in order on one kernel: what each step shows, and whether that is what was recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rmaplab.errors import InputError, Place
from rmaplab.history import KERNELS
from rmaplab.kernel.kernel import Kernel
from rmaplab.litmus.model import Litmus, Step
from rmaplab.litmus.writer import write_step
from rmaplab.machine import KernelStateError
from rmaplab.machine.direct import DirectMachine
from rmaplab.runner.accesses import ESRCH
from rmaplab.runner.observation import Frames, Observation
from rmaplab.runner.observe import frames_of, observe, watched_slots
from rmaplab.runner.scenario import DAEMONS, boot, check_steps, every_step, run_step
from rmaplab.runner.system import System
from rmaplab.runner.truths import check_truths, tree_matches_list


@dataclass(frozen=True)
class Wrong:
    """The kernel reached a wrong state: in which step, counted from 1, and what that step was."""

    kind: str
    message: str
    step: int
    text: str


@dataclass
class RunResult:
    """`observations` has one for each step that was done, and `texts` the steps themselves."""

    litmus: str
    kernel: str
    texts: list[str] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    violation: Wrong | None = None


@dataclass(frozen=True)
class Difference:
    """The first thing that is not as recorded. Steps count from 1; None is what is not there."""

    step: int
    text: str
    field: str
    key: str  # the process, frame or counter; empty for `ret`
    expected: Any
    got: Any


def kernel_name(kernel: type[Kernel]) -> str:
    """What a kernel is called: its release rather than its last commit."""
    names = [name for name, known in KERNELS.items() if known is kernel]
    return names[-1] if names else kernel.__name__


def run(litmus: Litmus, kernel: type[Kernel], name: str = "", real: bool = False) -> RunResult:
    """Do all steps in order, up to the first wrong state; `name` is that of the kernel.

    CPUs come one after the other, so no two steps overlap. `real` says that the run is held
    against a real kernel's, as that of a recorded case is. InputError for a step that the model
    does not have. A knob of `ksm` that the kernel does not have is left out.
    """
    check_steps(litmus)
    result = RunResult(litmus.name, name or kernel_name(kernel))
    try:
        system = boot(litmus, kernel, DirectMachine(frozenset(litmus.allow)))
    except KernelStateError as error:
        result.violation = Wrong(error.kind, error.message, 0, "boot")
        return result
    slots = watched_slots(litmus)
    pins = _Pins()
    for number, step in enumerate(every_step(litmus), 1):
        text = write_step(step)
        result.texts.append(text)
        try:
            _observed_step(system, step, slots, result)
            pins.follow(system, step)
            pins.check_all(system)
        except KernelStateError as error:
            if (real or litmus.observations) and is_lost_merged_page(system, error):
                continue
            result.violation = Wrong(error.kind, error.message, number, text)
            break
    return result


def is_lost_merged_page(system: System, error: KernelStateError) -> bool:
    """Whether the reverse map of a merged page does not find all of its mappings.

    Every kernel has that where a process maps a merged page that ksmd has not met there: what is
    held against a real kernel goes on.
    """
    page = error.subject
    is_page = page in system.kernel.page_cachep.live()
    return error.kind == "missed-mapping" and is_page and bool(system.kernel.PageKsm(page))


def _observed_step(system: System, step: Step, slots: tuple[int, ...], result: RunResult) -> None:
    before: Frames = frames_of(system, slots)
    ret = -ESRCH if is_gone(system, step) else run_step(system, step)
    result.observations.append(observe(system, slots, before, ret))


class _Pins:
    """The pages that `pin` holds: nobody has to map them."""

    def __init__(self) -> None:
        self.pages: dict[tuple[str | None, int], Any] = {}

    def follow(self, system: System, step: Step) -> None:
        """Note what a step pins or lets go."""
        if step.op not in ("pin", "unpin"):
            return
        first = step.args["at"]
        for number in range(first, first + step.args.get("n", 1)):
            if step.op == "unpin":
                self.pages.pop((step.process, number), None)
            elif step.process is not None:
                self.pages[step.process, number] = system.page_at(step.process, number)

    def check_all(self, system: System) -> None:
        """Check the truths; that a pinned page is mapped nowhere is no leak."""
        try:
            check_all(system)
        except KernelStateError as error:
            pinned = any(page is error.subject for page in self.pages.values())
            if error.kind != "leak" or not pinned:
                raise


def is_gone(system: System, step: Step) -> bool:
    """Whether the process that is to do the step does not live: its fork failed, say."""
    if step.process is None or step.op in (*DAEMONS, "unpin"):
        return False
    task = system.tasks.get(step.process)
    return task is None or task.mm is None


def check_all(system: System) -> None:
    """Raise KernelStateError where a truth about a state at rest does not hold."""
    check_truths(system)
    for name, mm in system.processes():
        if not tree_matches_list(mm):
            message = f"the tree and the list of {name} have different VMAs"
            raise KernelStateError("bug-on", message, mm)


def verify(result: RunResult, litmus: Litmus) -> Difference | None:
    """The first difference from what was recorded; steps after a violation do not count.

    InputError if the litmus has no observations.
    """
    if not litmus.observations:
        message = "nothing was recorded to hold the run against: take a case that has `expect`"
        raise InputError(message, Place(litmus.path))
    for index, (expected, got) in enumerate(
        zip(litmus.observations, result.observations, strict=False)
    ):
        for name, key, one, other in _compared(litmus, index, expected, got):
            if one != other:
                return Difference(index + 1, result.texts[index], name, key, one, other)
    return None


def _compared(
    litmus: Litmus, index: int, expected: Mapping[str, Any], got: Mapping[str, Any]
) -> Iterator[tuple[str, str, Any, Any]]:
    """What the two say: field, key, expected, got. Leaves out what is unstable or dropped."""
    for name, recorded in expected.items():
        if name in litmus.drop:
            continue
        shown = got.get(name)
        if not isinstance(recorded, dict) or not isinstance(shown, dict):
            if not _is_unstable(litmus, index, name, ""):
                yield name, "", recorded, shown
            continue
        for key in [*recorded, *(key for key in shown if key not in recorded)]:
            if not _is_unstable(litmus, index, name, key):
                yield name, key, recorded.get(key), shown.get(key)


def _is_unstable(litmus: Litmus, index: int, name: str, key: str) -> bool:
    """Whether runs of the recording did not agree; without keys that is the whole field."""
    return any(
        (step, field_name) == (index, name) and (key in keys or not keys)
        for step, field_name, keys in litmus.unstable
    )
