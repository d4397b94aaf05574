"""The checkers of the bench: how each is run, and how what it prints is read.

Everything that a user waits for counts: all processes, compilers and interpreters included, each
from cold, in a folder and with a home of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
HARMONY = HERE.parent / "build" / "harmony" / "bin" / "harmony"

#: The variants as the peers' models number them.
VARIANTS = ("BEFORE", "SEED_V2", "MAINLINE", "FIXED")
#: The kernel that is nearest to each variant.
KERNELS = {
    "BEFORE": "root-lock",
    "SEED_V2": "seed-v2",
    "MAINLINE": "76545066c852",
    "FIXED": "v2.6.38",
}
#: After which a check of the full kernel gives up, in seconds.
KERNEL_LIMIT = 60


@dataclass(frozen=True)
class Found:
    """What a checker said; `traces` are (kind, steps) of the violations that it shows."""

    verdict: str
    states: int
    transitions: int
    traces: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Cost:
    """Seconds from start to end, seconds of CPU time, and the largest process in MiB."""

    wall: float
    cpu: float
    peak: float


class ToolError(Exception):
    """A checker did not do what it should: its output."""


# Processes


def run(commands: Sequence[Sequence[str]], folder: str) -> tuple[str, Cost]:
    """Run commands one after the other in a folder: what the last one printed, and what all cost.

    An exit status above 1 of any is a ToolError: 1 is how checkers say that they found something.
    """
    wall = cpu = peak = 0.0
    output = ""
    for command in commands:
        output, status, cost = _run_one(command, folder)
        if status > 1:
            raise ToolError(f"{' '.join(command)}: exit status {status}\n{output}")
        wall, cpu, peak = wall + cost.wall, cpu + cost.cpu, max(peak, cost.peak)
    return output, Cost(wall, cpu, peak)


def _run_one(command: Sequence[str], folder: str) -> tuple[str, int, Cost]:
    environment = {**os.environ, "HOME": folder, "XDG_CACHE_HOME": folder}
    with tempfile.TemporaryFile("w+") as output:
        begin = time.monotonic()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        cost = Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
        return output.read(), abs(process.returncode), cost


def _number(pattern: str, text: str) -> int:
    found = re.findall(pattern, text)
    if not found:
        raise ToolError(f"no {pattern!r} in:\n{text}")
    return int(found[-1])


# SPIN


def spin(scenario: str, variant: str, folder: str, level: str) -> tuple[Found, Cost]:
    """SPIN with its default reduction; gcc with -O0 or -O2."""
    model = HERE / "peers" / "spin" / "rmap.pml"
    defines = [f"-DVARIANT={VARIANTS.index(variant)}", f"-DSCEN={scenario[1:]}"]
    commands = [
        ["spin", "-a", *defines, str(model)],
        ["gcc", level, "-w", "-o", "pan", "pan.c"],
        ["./pan", "-m10000", "-w20"],
    ]
    output, cost = run(commands, folder)
    return read_spin(output), cost


def read_spin(output: str) -> Found:
    """What `pan` printed. SPIN knows no kinds: they are told from the text of the assertion."""
    errors = _number(r"errors: (\d+)", output)
    if "max search depth too small" in output:
        raise ToolError(output)
    return Found(
        _spin_verdict(output) if errors else "clean",
        _number(r"(\d+) states, stored", output),
        _number(r"(\d+) transitions", output),
    )


def _spin_verdict(output: str) -> str:
    if "invalid end state (at depth" in output:
        return "deadlock"
    failed = re.search(r"assertion violated (.*) \(at depth", output)
    text = failed[1] if failed else "?"
    for part, kind in (
        ("!", "leak"),
        ("alive", "use-after-free"),
        ("av_ref", "refcount-underflow"),
    ):
        if part in text:
            return kind
    return text


# Harmony


def harmony(scenario: str, variant: str, folder: str) -> tuple[Found, Cost]:
    """Harmony with its default options, and no browser."""
    model = shutil.copy(HERE / "peers" / "harmony" / "rmap.hny", folder)
    constants = ["-c", f"SCEN={scenario[1:]}", "-c", f"VARIANT={VARIANTS.index(variant)}"]
    output, cost = run([[str(HARMONY), "--noweb", *constants, model]], folder)
    return read_harmony(output), cost


def read_harmony(output: str) -> Found:
    """What `harmony` printed."""
    states = _number(r"(\d+) states \(time", output)
    edges = _number(r"/(\d+) computations/edges", output)
    if "No issues found" in output:
        return Found("clean", states, edges)
    failed = re.search(r'assertion failed: \["([a-z ]*[a-z])', output)
    if failed is None:
        raise ToolError(output)
    kind = failed[1].replace(" ", "-")
    return Found("leak" if kind.startswith("leaked") else kind, states, edges)


# rmaplab


def rmaplab(scenario: str, variant: str, folder: str, *options: str) -> tuple[Found, Cost]:
    """The protocol on rmaplab's machine and checker."""
    command = [sys.executable, str(HERE / "protocol.py"), scenario, variant, "--json", *options]
    output, cost = run([command], folder)
    return read_protocol(output), cost


def read_protocol(output: str) -> Found:
    """What benchmarks/protocol.py printed."""
    told: dict[str, Any] = json.loads(output)
    traces = tuple((each["kind"], each["length"]) for each in told["violations"])
    return Found(told["verdict"], told["states"], told["transitions"], traces)


def kernel(scenario: str, variant: str, folder: str) -> tuple[Found, Cost]:
    """The full kernel that is nearest to the variant, on the litmus nearest to the scenario."""
    litmus = HERE / "litmus" / f"{scenario}.litmus"
    command = [sys.executable, "-m", "rmaplab.cli", "check", str(litmus), "-k", KERNELS[variant]]
    output, status, cost = _run_one(
        [*command, "--format", "json", "--max-seconds", str(KERNEL_LIMIT)], folder
    )
    if status not in (0, 1, 3):
        raise ToolError(output)
    return read_check(output), cost


def read_check(output: str) -> Found:
    """What `rmaplab check --format json` printed of one check."""
    (told,) = json.loads(output)["results"]
    traces = ((told["verdict"], len(told["trace"])),) if told["trace"] else ()
    return Found(told["verdict"], told["states"], told["transitions"], traces)


#: How each tool is called in the table, with what makes a row of it.
TOOLS: dict[str, Callable[[str, str, str], tuple[Found, Cost]]] = {
    "spin -O0": lambda scenario, variant, folder: spin(scenario, variant, folder, "-O0"),
    "spin -O2": lambda scenario, variant, folder: spin(scenario, variant, folder, "-O2"),
    "harmony": harmony,
    "rmaplab": rmaplab,
    "rmaplab --first": lambda *where: rmaplab(*where, "--first"),
    "rmaplab, kernel": kernel,
}


def missing() -> dict[str, str]:
    """The tools that are not there, and how to get them."""
    found = {}
    if not (shutil.which("spin") and shutil.which("gcc")):
        found.update(dict.fromkeys(("spin -O0", "spin -O2"), "apt-get install spin gcc"))
    if not HARMONY.exists():
        found["harmony"] = f"python -m venv {HARMONY.parent.parent}, then its pip: make bench does"
    return found
