"""The walk in compiled code, unreduced: three generations exit at once while ksmd scans.

    PYTHONPATH=src python benchmarks/native.py --states 10000000 --cores 2

Prints the states and steps, seconds, states a CPU second (of all threads), and the most memory
that this process ever used, by state. The code is compiled, and the tables are filled by a shorter
walk, before the clock starts.
"""

from __future__ import annotations

import argparse
import resource
import time

from rmaplab.checker.exploration import Walk, never
from rmaplab.checker.native.search import NativeSearch
from rmaplab.checker.options import Limits, Native
from rmaplab.checker.tables import Tables
from rmaplab.checker.walker import Walker
from rmaplab.litmus.reader import read_text
from rmaplab.runner.choice import find_kernel
from rmaplab.runner.scenario import build

LITMUS = """
litmus three-exits-and-ksmd
\"\"\"Three generations exit at once while ksmd scans the youngest.\"\"\"

setup
    A: mmap 0 2
    A: write 0 2 = 1
    A: fork B
    B: write 0 2 = 2
    B: fork C
    C: write 0 2 = 5
    C: madvise 0 2 mergeable
    ksmd: scan 2
CPU0
    A: exit
CPU1
    B: exit
CPU2
    C: exit
CPU3
    ksmd: scan
finally
    ksmd: scan
expect
    * clean
"""


def walk(walker: Walker, states: int) -> Walk:
    """The full walk, up to so many states."""
    limits = Limits(states, seconds=36_000.0, memory=1 << 20)
    return NativeSearch(walker, False, limits, None, never).run()


def main() -> None:
    """Measure one walk."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--states", type=int, default=10_000_000)
    parser.add_argument("--cores", type=int, choices=(1, 2), default=2)
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--kernel", default="v2.6.38")
    asked = parser.parse_args()

    scenario = build(
        read_text(LITMUS.lstrip(), "three-exits-and-ksmd"), find_kernel(asked.kernel).kernel
    )
    scenario.machine.freeze()
    walker = Walker(Tables(scenario), Native(exact=asked.exact, cores=asked.cores))
    walk(walker, 50_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, cpu = time.perf_counter(), time.process_time()
    found = walk(walker, asked.states)
    wall, used = time.perf_counter() - began, time.process_time() - cpu
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{found.states:,} states, {found.transitions:,} steps, depth {found.depth}")
    print(f"findings: {len(found.findings)}; {found.limit or 'every interleaving'}")
    print(f"{wall:.1f} s, {used:.1f} CPU s: {found.states / used:,.0f} states a CPU second")
    print(
        f"{most / 1024:,.0f} MiB at most: {(most - before) * 1024 / found.states:.1f} bytes a state"
    )


if __name__ == "__main__":
    main()
