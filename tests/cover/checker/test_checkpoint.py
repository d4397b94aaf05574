"""A walk that is killed goes on from its checkpoint, and ends as if nobody had killed it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from agreement import numbers
from protocols import Bench, Protocol, flows

from rmaplab.checker.exploration import Progress, Walk, never
from rmaplab.checker.native.checkpoint import load
from rmaplab.checker.native.search import NativeSearch
from rmaplab.checker.options import Limits, Native
from rmaplab.checker.tables import Tables
from rmaplab.checker.walker import Walker
from rmaplab.errors import InputError
from rmaplab.history import KERNELS
from rmaplab.litmus.shipped import shipped
from rmaplab.runner.scenario import build

#: Nearly 400,000 states, with an underflow among them; reduced, the other has 60,000 and a race.
FULL = "exit-of-three-generations", "seed-v2"
REDUCED = "swapin-of-a-slot-used-again", "v2.6.34"


def walker_of(checkpoint: str = "", reduced: bool = False, identity: str = "same") -> Walker:
    """A walker of the scenario that knows nothing yet."""
    name, kernel = REDUCED if reduced else FULL
    (litmus,) = (litmus for litmus in shipped() if litmus.name == name)
    scenario = build(litmus, KERNELS[kernel])
    scenario.machine.freeze()
    native = Native(checkpoint=checkpoint, interval=0.0, identity=identity)
    return Walker(Tables(scenario), native)


def walk(
    walker: Walker,
    limits: Limits | None = None,
    progress: Progress | None = None,
    reduced: bool = False,
) -> Walk:
    futures = walker.futures if reduced else None
    search = NativeSearch(
        walker.tables, walker.native, limits or Limits(), progress, never, futures
    )
    return search.run()


def told(walker: Walker, found: Walk) -> str:
    """All that the walk gives, as text."""
    states, transitions, depth, causes, ends = numbers(walker, found)
    return repr((states, transitions, depth, sorted(causes.items()), sorted(ends)))


def killed_at_a_random_moment(path: Path, reduced: bool, moments: random.Random) -> bool:
    """Whether a process that walks was killed, some time after it saved; it may end before."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(path), *["reduced"] * reduced],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    before = path.stat().st_mtime_ns if path.exists() else 0
    while process.poll() is None and not (path.exists() and path.stat().st_mtime_ns > before):
        time.sleep(0.005)
    time.sleep(moments.uniform(0, 0.2))
    process.kill()
    return process.wait() < 0


def questions_in(path: Path) -> int:
    """How much the walk knew that a checkpoint is of; 0 if there is none."""
    saved = load(str(path), "same")
    return len(saved.facts["asked"]) if saved is not None else 0


@pytest.mark.parametrize("reduced", [False, True])
def test_killed_walks_go_on(tmp_path: Path, reduced: bool) -> None:
    undisturbed = walker_of(reduced=reduced)
    expected = told(undisturbed, walk(undisturbed, reduced=reduced))
    path = tmp_path / "walk"

    kills, moments = 0, random.Random(4)
    while kills < 4 or questions_in(path) <= 100:  # one that ends takes its checkpoint along
        kills += killed_at_a_random_moment(path, reduced, moments)
    walker = walker_of(str(path), reduced)
    saved = load(str(path), "same")
    asked: list[int] = []
    found = walk(walker, None, lambda *_: asked.append(len(walker.tables.asked)), reduced)

    assert saved is not None
    assert asked[0] >= len(saved.facts["asked"]) > 100, "it did not go on but began anew"
    assert told(walker, found) == expected
    assert not path.exists(), "the checkpoint of a walk that ended is of no use"


@pytest.mark.parametrize("exact", [False, True])
def test_a_limit_leaves_a_checkpoint(tmp_path: Path, exact: bool) -> None:
    path = str(tmp_path / "walk")
    native = Native(checkpoint=path, exact=exact)
    counts = []
    for limit in (2_000, 30_000, 60_000):
        walker = walker_of()
        walker.native = native
        counts.append(walk(walker, Limits(states=limit)).states)

    assert 2_000 < counts[0] < 30_000 < counts[1] < 60_000 < counts[2]


def test_another_check_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "walk")
    walk(walker_of(path), Limits(states=100))

    with pytest.raises(InputError, match="of another check"):
        walk(walker_of(path, identity="other"))


@pytest.mark.parametrize("content", [b"", b"something else", b"PK\x03\x04 cut short"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "walk"
    path.write_bytes(content)

    with pytest.raises(InputError, match="no checkpoint that can be read"):
        walk(walker_of(str(path)))


def test_findings_of_all_kinds_come_back(tmp_path: Path) -> None:
    def racing(*_: object) -> object:
        yield "store", "x", 1
        yield "lock", "a"
        yield "lock", "b"

    def also(*_: object) -> object:
        yield "store", "x", 2
        yield "lock", "b"
        yield "lock", "a"

    def slow(*_: object) -> object:
        for number in range(40):
            yield "store", "y", number

    bench = Bench(
        Protocol(flows(racing, also, slow), values=("x",), marked=("y",), locks=("a", "b"))
    )
    path = str(tmp_path / "walk")
    plain = walk(bench.walker())
    native = Native(checkpoint=path, interval=0.0)
    for limit in range(50, plain.states, 400):
        walker = bench.walker()
        walker.native = native
        walk(walker, Limits(states=limit))
    walker = bench.walker()
    walker.native = native

    assert set(walk(walker).findings) == set(plain.findings)
    assert {cause[0] for cause in plain.findings} >= {"data-race", "deadlock", "bad-unlock"}


if __name__ == "__main__":
    is_reduced = sys.argv[2:] == ["reduced"]
    walk(walker_of(sys.argv[1], is_reduced), reduced=is_reduced)
