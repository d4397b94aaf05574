"""Replays of large strace logs: CPU time a call as the logs grow, memory, and the real kernel.

    PYTHONPATH=src python benchmarks/strace.py --calls 10000 100000 1000000
    PYTHONPATH=src python benchmarks/strace.py --alive 100 1000 10000 --profile 20

Two shapes: `calls` are rounds of mmap, fork, mprotect and exit of the child, munmap, one process
after the other; `alive` is a parent whose children all live at once. Each page of a mapping is
written, and a child writes one. A C program (`cc`) does the same on the running kernel, before
each replay. Every replay has a process of its own, so that its peak memory is its own. All seconds
are those of CPU time, user and system, so that what else the machine does counts little.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rmaplab.runner.choice import find_kernel
from rmaplab.runner.replay import ReplayResult, replay

BASE, LENGTH = 0x1_0000_0000, 16 * 4096
PARENT, CHILDREN = 100, 30_000
MAP = (
    f"{PARENT} mmap({BASE:#x}, {LENGTH}, PROT_READ|PROT_WRITE, "
    f"MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED_NOREPLACE, -1, 0) = {BASE:#x}"
)
CALLS_OF_A_ROUND = 5


def rounds(calls: int) -> Iterator[str]:
    """A log of so many calls, with at most two processes at a time."""
    for number in range(calls // CALLS_OF_A_ROUND):
        child = PARENT + 1 + number % CHILDREN
        yield MAP
        yield f"{PARENT} fork() = {child}"
        yield f"{child} mprotect({BASE:#x}, 4096, PROT_READ) = 0"
        yield from gone(child)
        yield f"{PARENT} munmap({BASE:#x}, {LENGTH}) = 0"


def crowd(processes: int) -> Iterator[str]:
    """A log of so many children that are alive at once."""
    children = range(PARENT + 1, PARENT + 1 + processes)
    yield MAP
    yield from (f"{PARENT} fork() = {child}" for child in children)
    for child in children:
        yield from gone(child)


def gone(pid: int) -> Iterator[str]:
    """The end of a process."""
    yield f"{pid} exit_group(0) = ?"
    yield f"{pid} +++ exited with 0 +++"


SHAPES = {"calls": rounds, "alive": crowd}


def write_log(path: Path, shape: str, size: int) -> None:
    """The log of a shape: its parent begins and ends it."""
    with path.open("w") as file:
        file.write(f'{PARENT} execve("/bin/it", ["it"], 0x7ffe0000 /* 0 vars */) = 0\n')
        file.writelines(f"{line}\n" for line in SHAPES[shape](size))
        file.writelines(f"{line}\n" for line in gone(PARENT))


def real_seconds(program: Path, shape: str, size: int) -> float:
    """What the running kernel takes for the same, in all of its processes."""
    count = size // CALLS_OF_A_ROUND if shape == "calls" else size
    before = cpu_seconds(resource.RUSAGE_CHILDREN)
    subprocess.run([program, shape, str(count)], check=True)
    return cpu_seconds(resource.RUSAGE_CHILDREN) - before


def cpu_seconds(who: int) -> float:
    """CPU time so far."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def replay_alone(log: Path, kernel: str, profile: int) -> None:
    """Replay in this process; one JSON object to stdout, the profile to stderr."""
    profiler = cProfile.Profile()
    began = cpu_seconds(resource.RUSAGE_SELF)
    if profile:
        result: ReplayResult = profiler.runcall(replay, log, find_kernel(kernel).kernel)
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(profile)
    else:
        result = replay(log, find_kernel(kernel).kernel)
    seconds = cpu_seconds(resource.RUSAGE_SELF) - began
    told = {
        "calls": sum(result.replayed.values()),
        "seconds": seconds,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "checks": result.checks,
        "turns": result.turns,
        "verdict": result.violation.kind if result.violation else "clean",
    }
    print(json.dumps(told))


def measure(folder: Path, shape: str, size: int, kernel: str, profile: int) -> str:
    """A row of the table."""
    log = folder / "log"
    write_log(log, shape, size)
    real = real_seconds(folder / "real", shape, size)
    command = [sys.executable, __file__, "--log", str(log), "-k", kernel, "--profile", str(profile)]
    done = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    calls, seconds = done["calls"], done["seconds"]
    return (
        f"{shape:5} {size:>9,} {seconds:>9.2f} {seconds / calls * 1e6:>8.0f}"
        f" {done['megabytes']:>7.0f} {done['checks']:>8,} {done['turns']:>8,}"
        f" {real:>8.3f} {seconds / real:>8.1f}  {done['verdict']}"
    )


def main() -> None:
    """Print a row for each size of each shape."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, nargs="*", default=[])
    parser.add_argument("--alive", type=int, nargs="*", default=[])
    parser.add_argument("-k", "--kernel", default="v2.6.38")
    parser.add_argument("--profile", type=int, default=0, help="so many lines of cProfile's")
    parser.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.log:
        replay_alone(options.log, options.kernel, options.profile)
        return
    print("shape      size   seconds  us/call      MB   checks    turns   real s    ratio  verdict")
    with tempfile.TemporaryDirectory() as name:
        source = Path(__file__).with_suffix(".c")
        subprocess.run(["cc", "-O2", "-o", Path(name) / "real", source], check=True)
        for shape in SHAPES:
            for size in getattr(options, shape):
                row = measure(Path(name), shape, size, options.kernel, options.profile)
                print(row, flush=True)


if __name__ == "__main__":
    main()
