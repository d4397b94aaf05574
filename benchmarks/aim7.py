"""One parent and many children that write all its pages: the load on which AIM7 met anon_vma.

    PYTHONPATH=src python benchmarks/aim7.py --children 1000 --pages 1000 --kernel v2.6.38

Prints the seconds of each phase on the direct machine, the peak memory of this process, and how
many VMAs a walk of the reverse map visits for each page while all children live.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Callable
from time import perf_counter

from rmaplab.costs import Distribution
from rmaplab.history.lookup import find
from rmaplab.machine.direct import DirectMachine
from rmaplab.runner.compare import walks_of
from rmaplab.runner.system import System

PARENT = "parent"


def timed(seconds: dict[str, float], phase: str, work: Callable[[], None]) -> None:
    """Do the work and note how long it took."""
    begin = perf_counter()
    work()
    seconds[phase] = seconds.get(phase, 0.0) + perf_counter() - begin


def done(ret: int) -> None:
    """Stop at an operation that failed."""
    if ret:
        raise SystemExit(f"an operation failed: {ret}")


def start(system: System, pages: int) -> None:
    """The parent maps its pages and writes them."""
    done(system.mmap(PARENT, 0, pages))
    done(system.write(PARENT, 0, pages, c=1))


def fork_all(system: System, children: int) -> None:
    """All children are forked before the first of them writes."""
    for number in range(children):
        done(system.fork(PARENT, f"child{number}"))


def write_all(system: System, children: int, pages: int) -> None:
    """Each child writes each page, and so gets its own copy."""
    for number in range(children):
        done(system.write(f"child{number}", 0, pages, c=number + 2))


def exit_all(system: System, children: int) -> None:
    """The children end in the order of their birth, and then the parent."""
    for number in range(children):
        done(system.exit(f"child{number}"))
    done(system.exit(PARENT))


def measure(children: int, pages: int, kernel: str) -> None:
    """Run all phases and print the figures."""
    seconds: dict[str, float] = {}
    machine = DirectMachine()
    system = System(find(kernel), machine, (PARENT,))
    walks: list[Distribution] = []
    with machine.running(0, PARENT):
        timed(seconds, "start", lambda: start(system, pages))
        timed(seconds, "fork", lambda: fork_all(system, children))
        timed(seconds, "write", lambda: write_all(system, children, pages))
        walking: dict[str, float] = {}
        timed(walking, "walk", lambda: walks.append(walks_of(system)))
        timed(seconds, "exit", lambda: exit_all(system, children))
    total = sum(seconds.values())
    phases = ", ".join(f"{phase} {took:.2f}" for phase, took in seconds.items())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{kernel}, {children} children, {pages} pages each")
    print(f"{total:.2f} s ({phases}), {total / (children * pages) * 1e6:.1f} us a copied page")
    print(f"{peak:.0f} MiB at most")
    (visited,) = walks
    figures = f"mean {visited.mean:.2f}, worst {visited.worst}, of {visited.total} pages"
    print(f"VMAs visited for a page: {figures}")
    print(f"({walking['walk']:.2f} s for these walks, not counted above)")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--children", type=int, default=1000)
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--kernel", default="v2.6.38")
    options = parser.parse_args()
    measure(options.children, options.pages, options.kernel)


if __name__ == "__main__":
    main()
