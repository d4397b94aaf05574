"""Executions under random schedules: what they find is real, and found again by its seed."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import pytest
from agreement import LIMITS
from bodies import taking
from command import refused, rmaplab
from hypothesis import HealthCheck, given, settings
from protocols import Bench, Protocol, Turn, flows
from random_protocols import protocols

from rmaplab.checker import sampling
from rmaplab.checker.check import check
from rmaplab.checker.exploration import never
from rmaplab.checker.options import NONE, Limits, Options, Sample
from rmaplab.checker.sampling import Sampled, sample


def sampled(protocol: Protocol, wanted: Sample, first: bool = False) -> Sampled:
    return sample(Bench(protocol).walker().tables, wanted, LIMITS, first)


def counting(name: str, times: int) -> Any:
    def body(*_: Any) -> Any:
        for number in range(times):
            yield "store", name, number

    return body


INDEPENDENT = Protocol(flows(counting("x", 20), counting("y", 20)), marked=("x", "y"))
DEADLOCK = Protocol(flows(taking("a", "b"), taking("b", "a")), locks=("a", "b"))
RACE = Protocol(flows(counting("x", 2), counting("x", 2)), values=("x",))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(protocols())
def test_what_a_sample_finds_the_full_walk_finds_as_near(protocol: Protocol) -> None:
    bench = Bench(protocol)
    walker = bench.walker()
    walk = walker.walk(NONE, LIMITS, enough=never)

    for depth in (0, 3):
        found = sample(walker.tables, Sample(20, seed=1, depth=depth), LIMITS).findings
        for cause, finding in found.items():
            assert cause in walk.findings
            assert len(walk.findings[cause].path) <= len(finding.path)


@pytest.mark.parametrize("depth", [0, 2])
def test_a_seed_gives_the_same_executions_again(depth: int) -> None:
    paths = [
        [finding.path for finding in sampled(DEADLOCK, Sample(50, seed, depth)).findings.values()]
        for seed in (7, 7)
    ]

    assert paths[0] == paths[1] != []


def test_many_executions_find_a_deadlock_and_a_race() -> None:
    assert {cause[0] for cause in sampled(DEADLOCK, Sample(100)).findings} == {"deadlock"}
    assert {cause[0] for cause in sampled(RACE, Sample(100)).findings} == {"data-race"}


def test_first_ends_at_the_first_that_is_no_race() -> None:
    assert sampled(RACE, Sample(30), first=True).executions == 30
    assert sampled(DEADLOCK, Sample(500), first=True).executions < 500


def switches(execution: tuple[int, ...]) -> int:
    return len(list(groupby(execution))) - 1


@pytest.mark.parametrize(("depth", "most"), [(1, 1), (2, 2), (3, 3)])
def test_pct_switches_where_a_flow_ends_and_where_priorities_fall(
    monkeypatch: pytest.MonkeyPatch, depth: int, most: int
) -> None:
    paths = []
    execute = sampling._Sampling.execute

    def kept(self: Any, schedule: Any) -> None:
        execute(self, schedule)
        paths.append(tuple(self.way))

    monkeypatch.setattr(sampling._Sampling, "execute", kept)
    sampled(INDEPENDENT, Sample(200, depth=depth))

    assert {len(path) for path in paths} == {40}
    assert max(map(switches, paths)) == most


def test_a_daemon_that_never_ends_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    def turn(*_: Any) -> Any:
        yield "load", "x"
        return True

    monkeypatch.setattr(sampling, "MOST_STEPS", 100)
    protocol = Protocol(((Turn(turn, repeat=True),),), marked=("x",))

    assert sampled(protocol, Sample(3)).caveat.endswith("; 3 ended after 100 steps")


def test_a_limit_of_time_ends_it() -> None:
    tables = Bench(INDEPENDENT).walker().tables

    done = sample(tables, Sample(1000), Limits(seconds=0.0))

    assert (done.executions, done.limit) == (1, "more than 0 s")


def test_a_sample_without_violation_is_undetermined() -> None:
    outcome = check(Bench(INDEPENDENT).scenario, Options(sample=Sample(5)))

    assert (outcome.verdict, outcome.complete, outcome.executions) == ("undetermined", False, 5)
    assert outcome.reason == "a sample proves nothing"
    assert outcome.transitions == 5 * 40


class TestCommand:
    WORDS = ("check", "root-drops-itself", "-k")

    def test_a_violation_is_told_as_ever(self) -> None:
        done = rmaplab(*self.WORDS, "seed-v2", "--random", "3", "--seed", "5")

        assert done.exit_code == 0
        assert "verdict: refcount-underflow, as expected" in done.stdout

    def test_without_one_the_exit_status_is_that_of_undetermined(self) -> None:
        done = rmaplab(*self.WORDS, "v2.6.38", "--random", "3", "--pct", "2")

        assert done.exit_code == 3
        assert "3 executions, " in done.stdout and "executions/s" in done.stdout

    def test_a_seed_needs_a_number_of_executions(self) -> None:
        assert "say how many" in refused(*self.WORDS, "seed-v2", "--seed", "5")
        assert "say how many" in refused(*self.WORDS, "seed-v2", "--pct", "5")
