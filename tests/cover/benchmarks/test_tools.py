"""What the tools of the bench print, as recorded, is read right."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

from bench import Row, better, compare, shortest
from tools import (
    Found,
    ToolError,
    read_check,
    read_harmony,
    read_protocol,
    read_spin,
    run,
)

SPIN = """
(Spin Version 6.5.2 -- 6 December 2019)
	+ Partial Order Reduction

Full statespace search for:
	assertion violations	+
	invalid end states	+

State-vector 104 byte, depth reached 111, errors: {errors}
     5800 states, stored
     9522 states, matched
    15322 transitions (= stored+matched)
        2 atomic steps
"""


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        ("pan:1: assertion violated av_alive[dr] (at depth 93)", "use-after-free"),
        ("pan:1: assertion violated (av_alive[a]||(rcu&(1<<a))) (at depth 9)", "use-after-free"),
        ("pan:1: assertion violated (av_ref[da]>=0) (at depth 107)", "refcount-underflow"),
        ("pan:1: assertion violated  !(av_alive[i]) (at depth 99)", "leak"),
        ("pan:1: assertion violated (pg_mapcount>0) (at depth 12)", "(pg_mapcount>0)"),
        ("pan:1: invalid end state (at depth 45)", "deadlock"),
    ],
)
def test_an_error_of_spin_has_the_kind_of_its_assertion(told: str, verdict: str) -> None:
    assert read_spin(told + SPIN.format(errors=1)) == Found(verdict, 5800, 15322)


def test_spin_without_errors_is_clean() -> None:
    assert read_spin(SPIN.format(errors=0)) == Found("clean", 5800, 15322)


def test_a_search_of_spin_that_was_cut_short_is_no_verdict() -> None:
    with pytest.raises(ToolError):
        read_spin("error: max search depth too small" + SPIN.format(errors=0))


HARMONY = """* Phase 3: Scan states
    * 812 states (time 0.05s, mem=0.000GB, diameter=12)
    * 600/1200 computations/edges
    * 6462 states (time 0.13s, mem=0.000GB, diameter=53)
    * 4185/18014 computations/edges
* Phase 4: Further analysis
"""


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        ("    * **No issues found**", "clean"),
        ('* Line 79: Harmony assertion failed: ["refcount underflow", 0]', "refcount-underflow"),
        ('* Line 33: Harmony assertion failed: ["use after free (past RCU)", 1]', "use-after-free"),
        ('* Line 343: Harmony assertion failed: ["leaked avc", 2]', "leak"),
    ],
)
def test_harmony_is_read_by_its_last_figures(told: str, verdict: str) -> None:
    assert read_harmony(HARMONY + told) == Found(verdict, 6462, 18014)


def test_harmony_that_says_something_else_is_an_error() -> None:
    with pytest.raises(ToolError):
        read_harmony(HARMONY + "* **Non-terminating state**")


def test_the_protocol_shows_a_trace_for_each_kind_the_shortest() -> None:
    traces = [("use-after-free", 50), ("double-free", 41), ("use-after-free", 23)]
    told = {"verdict": "use-after-free", "states": 9, "transitions": 12}
    told["violations"] = [{"kind": kind, "length": length} for kind, length in traces]

    found = read_protocol(json.dumps(told))

    assert found == Found("use-after-free", 9, 12, tuple(traces))
    assert shortest(found.traces) == [("use-after-free", 23), ("double-free", 41)]


def test_a_check_of_the_full_kernel_is_read() -> None:
    told = {"verdict": "leak", "states": 7, "transitions": 8, "trace": [{}, {}]}

    assert read_check(json.dumps({"results": [told]})) == Found("leak", 7, 8, (("leak", 2),))


def test_all_processes_of_a_tool_count(tmp_path: Path) -> None:
    script = "import time; time.sleep(0.05); print('done')"

    output, once = run([[sys.executable, "-c", script]], str(tmp_path))
    _, twice = run([[sys.executable, "-c", script]] * 2, str(tmp_path))

    assert output == "done\n"
    assert once.wall >= 0.05 and twice.wall >= 0.1
    assert once.peak > 1 and once.cpu > 0


def test_a_tool_that_breaks_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="exit status 2\nno"):
        run([[sys.executable, "-c", "import sys; print('no'); sys.exit(2)"]], str(tmp_path))


def row(tool: str, wall: float, states: int, verdict: str = "clean") -> Row:
    return Row("S4", "FIXED", tool, verdict, states, 0, wall, wall / 2, 0.0, ())


def test_the_faster_build_of_spin_is_the_one_that_counts() -> None:
    slow, fast, other = row("spin -O2", 2, 9), row("spin -O0", 1, 9), row("harmony", 3, 9)

    assert better([slow, fast, other]) == [fast, other]


@pytest.mark.parametrize(
    ("ours", "missed"),
    [
        ([row("rmaplab", 2.0, 100)], []),
        ([row("rmaplab", 2.1, 100)], ["time"]),
        ([row("rmaplab", 2.0, 101)], ["states"]),
        ([row("rmaplab", 2.0, 0, "leak"), row("rmaplab --first", 0.5, 0)], ["first", "verdict"]),
    ],
)
def test_a_target_is_met_or_missed(ours: list[Row], missed: list[str]) -> None:
    peers = [row("spin -O0", 30.0, 10_000), row("harmony", 20.0, 12_000)]

    comparison = compare([*peers, *ours])

    assert comparison.missed == missed
    assert comparison.time == pytest.approx(ours[-1].wall_s / 20)
