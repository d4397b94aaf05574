"""Random calls held against the truths; what fails is told as a litmus that can be pasted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from command import rmaplab
from hypothesis import note
from known_bugs import explanation, tolerated
from random_calls import Run

from rmaplab.kernel.kernel import Kernel
from rmaplab.litmus.model import Litmus
from rmaplab.litmus.reader import read_text
from rmaplab.litmus.writer import write_text
from rmaplab.machine.direct import DirectMachine

TOLD = "rmaplab run "


def hold_truths(litmus: Litmus, kernel: type[Kernel], name: str, known: str = "") -> None:
    """Fail where a truth breaks, but by a known bug of the kernel called `known`."""
    known = known or name
    run = Run(litmus, kernel, DirectMachine(), tolerated(known))
    try:
        failure = run.failure()
    finally:
        note(pasted(run, name))
    assert failure is None or explanation(known, failure, run) is not None, str(failure)


def pasted(run: Run, name: str) -> str:
    """What a run did, up to where it failed: the command that does it again, and its litmus."""
    steps = tuple(run.done)
    born = [*run.litmus.processes, *(s.args["child"] for s in steps if s.op == "fork")]
    gone = {step.process for step in steps if step.op == "exit"}
    alive = tuple(process for process in born if process not in gone)
    text = write_text(replace(run.litmus, setup=steps, alive=alive))
    return f"{TOLD}{run.litmus.name}.litmus --kernel {name}\n\n{text}"


def fails_again(told: str, kind: str, folder: Path) -> int:
    """Run and check what was told: it must fail in its last step. How many steps it has."""
    command, text = told.split("\n\n", 1)
    _, _, name, *options = command.split()
    file = folder / name
    file.write_text(text)
    steps = len(read_text(text).setup)
    ran, checked = rmaplab("run", str(file), *options), rmaplab("check", str(file), *options)
    assert (ran.exit_code, checked.exit_code) == (1, 1), ran.output + checked.output
    assert f"\n{kind} in step {steps} " in ran.stdout, ran.stdout
    assert f"verdict: {kind}" in checked.stdout, checked.stdout
    return steps
