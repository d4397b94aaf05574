"""A litmus on the running kernel: its steps in order, with the observation after each."""

from __future__ import annotations

import inspect
import platform
from typing import Any

from rmaplab.errors import InputError, Place
from rmaplab.litmus.model import Litmus, Step
from rmaplab.litmus.writer import write_step
from rmaplab.live.batches import drain_batches
from rmaplab.live.knobs import Knobs
from rmaplab.live.memory import ESRCH
from rmaplab.live.system import LiveSystem
from rmaplab.runner.observation import frames_by_process
from rmaplab.runner.observe import watched_slots
from rmaplab.runner.run import RunResult
from rmaplab.runner.scenario import DAEMONS, every_step

#: Why a step of the model cannot be done on a running kernel.
ONLY_MODELLED = {
    "brk": "a real heap is where the interpreter's is",
    "new_stack": "a real stack is the interpreter's",
    "exec": "the process would be another program",
    "swap_out": "a running kernel chooses itself what to swap",
    "swap_in": "a running kernel chooses itself what to swap",
    "swapoff": "the device is not the litmus's own",
    "swapon": "the device is not the litmus's own",
    "migrate": "a running kernel migrates between nodes, or compacts: write `compact`",
    "reclaim": "a running kernel chooses itself what to reclaim",
    "walk": "there is no system call for it",
    "pin": "there is no system call for it",
    "unpin": "there is no system call for it",
}


def check_live(litmus: Litmus) -> None:
    """Raise InputError for what cannot run live: the first such part of the litmus."""
    if len(litmus.cpus) > 1:
        message = "CPUs that run at a time cannot be ordered on a real machine: use one block"
        raise InputError(message, Place(litmus.path))
    for switch, on in litmus.config.items():
        if not on:
            message = f"{switch}=n cannot run live: the running kernel is configured already"
            raise InputError(message, Place(litmus.path))
    for step in every_step(litmus):
        if step.op in ONLY_MODELLED:
            raise InputError(f"{step.op} cannot run live: {ONLY_MODELLED[step.op]}", step.place)
        if "fail" in step.args:
            raise InputError("fail cannot run live: no allocation can be chosen", step.place)
        if step.args.get("growsdown"):
            message = "growsdown cannot run live: a real stack keeps a gap of 256 pages below it"
            raise InputError(message, step.place)


def release() -> str:
    """What the running kernel is called."""
    return f"Linux {platform.release()}"


def run_live(litmus: Litmus, knobs: Knobs) -> RunResult:
    """Do all steps on the running kernel; `knobs` are of the session.

    InputError for a litmus that cannot run live.
    """
    check_live(litmus)
    result = RunResult(litmus.name, release())
    watched = watched_slots(litmus)
    knobs.begin(litmus.ksm)
    with LiveSystem(litmus.processes, knobs) as system:
        for step in every_step(litmus):
            result.texts.append(write_step(step))
            before = frames_by_process(system.mapped(watched))
            drain_batches()
            ret = do_step(system, step)
            result.observations.append(system.observe(watched, before, ret))
    knobs.unmerge()
    return result


def do_step(system: LiveSystem, step: Step) -> int:
    """Do a step: 0 or a negative error number."""
    acts = step.process is not None and step.op not in DAEMONS
    if acts and step.process not in system.family.members:
        return -ESRCH
    method = getattr(system, step.op)
    operands: dict[str, Any] = dict(step.args)
    if "p" in inspect.signature(method).parameters:
        operands["p"] = step.process
    return int(method(**operands))
