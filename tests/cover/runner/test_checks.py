"""Pairs of litmus and kernel, done on one process or several."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from rmaplab.checker.options import NONE, Limits, Options
from rmaplab.errors import InputError
from rmaplab.history import KERNELS, V2_6_38
from rmaplab.litmus.model import Litmus
from rmaplab.litmus.reader import read_text
from rmaplab.runner.checks import plan, run_check, run_checks
from rmaplab.runner.choice import NamedKernel

ONE_PAGE = "setup\n A: mmap 0\n A: write 0 = 1\n"


def named(name: str) -> NamedKernel:
    return NamedKernel(name, KERNELS[name])


def litmus(body: str, name: str = "x") -> Litmus:
    return read_text(f"litmus {name}\n{body}")


def outcome_of(body: str, kernel: str) -> Any:
    (todo,) = plan([litmus(body)], [named(kernel)])
    return run_check(todo, Options()).outcome


def exits(count: int) -> list[Litmus]:
    return [litmus(f"{ONE_PAGE}CPU0\n A: exit\n", f"x{number}") for number in range(count)]


class KilledOnce(V2_6_38):
    """Kills its process the first time."""

    sign: Path

    def dup_mm(self, oldmm: Any) -> Any:
        if not self.sign.exists():
            self.sign.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().dup_mm(oldmm)


class KilledAlways(V2_6_38):
    """Kills its process."""

    def boot(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class TestPlan:
    def test_it_has_all_pairs_litmus_after_litmus(self) -> None:
        checks = plan(exits(2), [named("v2.6.34"), named("seed-v2")])

        assert [(each.litmus.name, each.kernel.name) for each in checks] == [
            ("x0", "v2.6.34"), ("x0", "seed-v2"), ("x1", "v2.6.34"), ("x1", "seed-v2"),
        ]  # fmt: skip

    def test_an_expectation_of_no_kernel_is_bad_input(self) -> None:
        with pytest.raises(InputError, match="there is no kernel"):
            plan([litmus("expect\n v9.9 clean\n")], [named("v2.6.34")])


class TestASetUpThatGoesWrong:
    def test_it_is_a_verdict_with_the_trace_of_the_set_up(self) -> None:
        outcome = outcome_of(f"{ONE_PAGE} A: exit\nCPU0\n A: exit\n", "seed-v2")

        assert outcome.verdict == "refcount-underflow"
        assert outcome.violation.message.startswith("in the set-up: ")
        assert outcome.violation.trace[-1].field == "external_refcount"
        assert outcome.violation.life[0].what == "allocated"

    def test_a_leak_is_found_at_the_end_of_a_set_up_alone(self) -> None:
        body = "processes A B\nallow refcount-underflow\n" + ONE_PAGE
        body += " B: mmap 0\n A: exit\n B: write 0 = 2\n B: exit\n"

        outcome = outcome_of(body, "seed-v2")

        assert outcome.verdict == "leak"


class TestWhatAReportTellsOfTheSetUp:
    def test_no_frame_of_ours_is_in_the_stack_of_an_allocation(self) -> None:
        outcome = outcome_of(f"{ONE_PAGE}CPU0\n A: exit\n", "seed-v2")

        (born,) = outcome.violation.life
        assert born.stack[0].function == "anon_vma_alloc"
        assert born.stack[-1].function == "user_write_once"


class TestOnProcesses:
    def test_each_result_comes_with_its_number(self) -> None:
        checks = plan(exits(3), [named("v2.6.38"), named("seed-v2")])

        found = dict(run_checks(checks, Options(), jobs=2))

        assert sorted(found) == list(range(6))
        for number, result in found.items():
            assert (result.litmus, result.kernel) == (
                checks[number].litmus.name, checks[number].kernel.name,
            )  # fmt: skip

    def test_limits_reach_the_workers(self) -> None:
        checks = plan(exits(2), [named("v2.6.38")])

        results = [
            result for _, result in run_checks(checks, Options(Limits(states=3), NONE), jobs=2)
        ]

        assert [result.verdict for result in results] == ["undetermined"] * 2

    def test_what_a_killed_worker_had_is_begun_once_more(self, tmp_path: Path) -> None:
        KilledOnce.sign = tmp_path / "killed"
        forking = litmus(f"{ONE_PAGE}CPU0\n A: fork B\n B: exit\n A: exit\n")
        checks = plan([forking, *exits(3)], [NamedKernel("mine", KilledOnce)])

        found = dict(run_checks(checks, Options(), jobs=2))

        assert KilledOnce.sign.exists()
        assert [found[number].verdict for number in range(4)] == ["clean"] * 4

    def test_what_kills_its_worker_twice_is_undetermined(self) -> None:
        checks = plan(exits(3), [NamedKernel("mine", KilledAlways), named("v2.6.38")])

        found = dict(run_checks(checks, Options(), jobs=2))

        verdicts = {(result.kernel, result.verdict) for result in found.values()}
        assert verdicts == {("mine", "undetermined"), ("v2.6.38", "clean")}
        assert "was killed" in found[0].outcome.reason

    def test_who_stops_listening_leaves_no_process_behind(self) -> None:
        results = run_checks(plan(exits(4), [named("v2.6.38")]), Options(), jobs=2)
        next(results)

        results.close()  # type: ignore[attr-defined]

        assert children() == []


def children() -> list[int]:
    """The processes of this one that have not ended."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and fields[0] != "Z":
            found.append(int(entry.parent.name))
    return found
