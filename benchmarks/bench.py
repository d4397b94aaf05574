"""The bench of checkers: the anon_vma root-reference protocol in SPIN, Harmony and rmaplab.

    python benchmarks/bench.py [S1 ...]

Prints a row for each run and what they come to, and writes build/bench.json.
benchmarks/README.md says what is measured.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from tools import TOOLS, VARIANTS, Cost, Found, missing

SCENARIOS = ("S1", "S2", "S3", "S4", "S5")
FILE = Path(__file__).resolve().parent.parent / "build" / "bench.json"
#: The median of so many runs, unless one takes longer than so many seconds.
RUNS, LONG = 3, 5.0
#: rmaplab's time and states, as parts of the best peer's and of SPIN's.
TARGETS = {
    "S1": (0.5, 0.1),
    "S2": (0.5, 0.1),
    "S3": (0.5, 0.1),
    "S4": (0.1, 0.01),
    "S5": (0.2, 0.01),
}
#: Where the target for the time means every variant, not FIXED alone.
ALL_VARIANTS = ("S1", "S2", "S3")
#: Seconds in which the first violation is to be reported.
FIRST = 0.5


@dataclass(frozen=True)
class Row:
    """One tool on one configuration."""

    scenario: str
    variant: str
    tool: str
    verdict: str
    states: int
    transitions: int
    wall_s: float
    cpu_s: float
    peak_mib: float
    #: Of each violation shown: its kind, and the steps of its trace.
    traces: tuple[tuple[str, int], ...]


def measure(scenario: str, variant: str, tool: str) -> Row:
    """Run a tool as often as it takes, and keep the median of the seconds."""
    costs: list[Cost] = []
    found: Found | None = None
    while len(costs) < RUNS and not any(cost.wall > LONG for cost in costs):
        with tempfile.TemporaryDirectory() as folder:
            found, cost = TOOLS[tool](scenario, variant, folder)
        costs.append(cost)
    assert found is not None
    return Row(
        scenario,
        variant,
        tool,
        found.verdict,
        found.states,
        found.transitions,
        round(statistics.median(cost.wall for cost in costs), 3),
        round(statistics.median(cost.cpu for cost in costs), 3),
        round(max(cost.peak for cost in costs), 1),
        found.traces,
    )


def better(rows: Sequence[Row]) -> list[Row]:
    """The rows with the faster of SPIN's two builds only."""
    spins = [row for row in rows if row.tool.startswith("spin")]
    best = min(spins, key=lambda row: row.wall_s, default=None)
    return [row for row in rows if row is best or row not in spins]


def configuration(scenario: str, variant: str, tools: Sequence[str]) -> list[Row]:
    """The rows of one configuration, printed."""
    rows: list[Row] = []
    for tool in tools:
        if tool != "rmaplab --first" or rows[-1].verdict != "clean":
            rows.append(measure(scenario, variant, tool))
    rows = better(rows)
    for row in rows:
        print(line(row), flush=True)
    return rows


# The tables

HEADER = (
    f"{'':2} {'':8} {'tool':15} {'verdict':18} {'states':>9} {'transitions':>11} "
    f"{'wall s':>7} {'cpu s':>7} {'MiB':>6}  traces"
)


def line(row: Row) -> str:
    """A row of the table."""
    traces = ", ".join(f"{kind} {steps}" for kind, steps in shortest(row.traces))
    return (
        f"{row.scenario:2} {row.variant:8} {row.tool:15} {row.verdict:18} {row.states:9,} "
        f"{row.transitions:11,} {row.wall_s:7.2f} {row.cpu_s:7.2f} {row.peak_mib:6.0f}  {traces}"
    ).rstrip()


def shortest(traces: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """The shortest trace of each kind of error."""
    found: dict[str, int] = {}
    for kind, steps in traces:
        found[kind] = min(steps, found.get(kind, steps))
    return sorted(found.items(), key=lambda item: item[1])


@dataclass(frozen=True)
class Comparison:
    """rmaplab against its peers on one configuration; None where there is nothing to compare."""

    scenario: str
    variant: str
    #: Its seconds, as a part of the best peer's: from start to end, and of CPU time; where there
    #: is an error, to the first one.
    time: float | None
    cpu: float | None
    #: Its states, as a part of SPIN's: where both went through all of them, not to an error.
    states: float | None
    #: Seconds to the report of the first violation.
    first: float | None
    agree: bool

    @property
    def missed(self) -> list[str]:
        """The targets that it misses."""
        time, states = TARGETS[self.scenario]
        meant = self.variant == "FIXED" or self.scenario in ALL_VARIANTS
        checks = [
            ("time", meant and self.time is not None and self.time > time),
            ("states", meant and self.states is not None and self.states > states),
            ("first", self.first is not None and self.first >= FIRST),
            ("verdict", not self.agree),
        ]
        return [name for name, wrong in checks if wrong]


def compare(rows: Sequence[Row]) -> Comparison:
    """What the rows of one configuration come to."""
    by_tool = {row.tool.split()[0] if "-O" in row.tool else row.tool: row for row in rows}
    ours = by_tool["rmaplab"]
    peers = [by_tool[tool] for tool in ("spin", "harmony") if tool in by_tool]
    spin, first = by_tool.get("spin"), by_tool.get("rmaplab --first")
    alike = first or ours  # peers end at the first error, too
    return Comparison(
        ours.scenario,
        ours.variant,
        alike.wall_s / min(peer.wall_s for peer in peers) if peers else None,
        alike.cpu_s / min(peer.cpu_s for peer in peers) if peers else None,
        ours.states / spin.states if spin and ours.verdict == "clean" else None,
        first.wall_s if first else None,
        all((peer.verdict == "clean") == (ours.verdict == "clean") for peer in peers),
    )


def verdict_of(comparison: Comparison) -> str:
    """A row of the table of ratios."""
    ratios = (comparison.time, comparison.cpu, comparison.states, comparison.first)
    cells = [f"{'-':>7}" if ratio is None else f"{ratio:7.3f}" for ratio in ratios]
    missed = ", ".join(comparison.missed)
    return (
        f"{comparison.scenario:2} {comparison.variant:8} {' '.join(cells)}  "
        f"{'missed: ' + missed if missed else 'met'}"
    )


def main(scenarios: Sequence[str]) -> None:
    """Measure, print, write."""
    lacking = missing()
    for tool, how in lacking.items():
        print(f"{tool} is not there, and is left out: {how}")
    tools = [tool for tool in TOOLS if tool not in lacking]
    print(HEADER)
    groups = [
        configuration(scenario, variant, tools) for scenario in scenarios for variant in VARIANTS
    ]
    print("\nrmaplab's seconds and CPU seconds / the best peer's, its states / SPIN's")
    print(f"{'':11} {'wall':>7} {'cpu':>7} {'states':>7} {'first s':>7}  targets")
    for rows in groups:
        print(verdict_of(compare(rows)))
    FILE.parent.mkdir(exist_ok=True)
    machine = f"{platform.platform()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}"
    told = {"machine": machine, "rows": [asdict(row) for rows in groups for row in rows]}
    FILE.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:] or SCENARIOS)
