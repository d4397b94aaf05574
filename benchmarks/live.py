"""Steps a second: the model, real processes driven step by step, and the bare system calls.

    sudo PYTHONPATH=src python benchmarks/live.py --rounds 200

A round is seven steps on eight pages: mmap, write, fork; the child writes four, mprotects them and
exits; munmap. The model and the live driver are measured with the observation after each step, as
`rmaplab run` and `rmaplab live` make it, and without. The bare calls are a C program (`cc`).
Needs what `rmaplab live` needs.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rmaplab.history import KERNELS
from rmaplab.kernel.kernel import Kernel
from rmaplab.litmus.model import Litmus
from rmaplab.litmus.reader import read_text
from rmaplab.live.knobs import Knobs
from rmaplab.live.run import do_step, run_live
from rmaplab.live.session import session
from rmaplab.live.system import LiveSystem
from rmaplab.machine.direct import DirectMachine
from rmaplab.runner.choice import newest_release
from rmaplab.runner.run import run
from rmaplab.runner.scenario import boot, every_step, run_step

ROUND = """
    A: mmap 0 8
    A: write 0 8 = 1
    A: fork B{number}
    B{number}: write 0 4 = 2
    B{number}: mprotect 0 4 r
    B{number}: exit
    A: munmap 0 8
"""
STEPS = 7
BARE = "bare system calls"


def rounds(count: int) -> Litmus:
    """So many rounds as a litmus."""
    text = "".join(ROUND.format(number=number) for number in range(count))
    return read_text(f"litmus rounds\nsetup\n{text}")


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def model_steps(litmus: Litmus, kernel: type[Kernel]) -> None:
    """The steps alone."""
    system = boot(litmus, kernel, DirectMachine())
    for step in every_step(litmus):
        run_step(system, step)


def live_steps(litmus: Litmus, knobs: Knobs) -> float:
    """Seconds of the steps alone, when the processes are there."""
    with LiveSystem(litmus.processes, knobs) as system:
        return seconds(lambda: [do_step(system, step) for step in every_step(litmus)])


def bare(count: int) -> float:
    """Seconds of the C program."""
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "bare")
        source = str(Path(__file__).with_suffix(".c"))
        subprocess.run(["cc", "-O2", "-o", program, source], check=True)
        return float(subprocess.run([program, str(count)], check=True, capture_output=True).stdout)


def main() -> None:
    """Measure all, in one process on one CPU, and print them beside each other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--kernel", default=newest_release())
    asked = parser.parse_args()
    kernel, litmus = KERNELS[asked.kernel], rounds(asked.rounds)
    with session() as knobs:
        knobs.begin({})
        taken = {
            "model, observed": seconds(lambda: run(litmus, kernel)),
            "live, observed": seconds(lambda: run_live(litmus, knobs)),
            "model": seconds(lambda: model_steps(litmus, kernel)),
            "live": live_steps(litmus, knobs),
            BARE: bare(asked.rounds),
        }
    rates = {name: asked.rounds * STEPS / each for name, each in taken.items()}
    print(f"{asked.rounds * STEPS} steps, {asked.kernel}, one CPU\n")
    print(f"{'':18} {'steps/s':>10}  of live  of bare")
    for name, rate in rates.items():
        live = rates["live, observed" if name.endswith("observed") else "live"]
        print(f"{name:18} {rate:>10,.0f}  {rate / live:>6.2f}x  {rate / rates[BARE]:>6.3f}x")


if __name__ == "__main__":
    main()
