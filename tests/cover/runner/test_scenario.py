"""From a litmus to the calls that the checker explores."""

from __future__ import annotations

import pytest

from rmaplab.checker.check import check
from rmaplab.errors import InputError
from rmaplab.history import V2_6_34, V2_6_38
from rmaplab.kernel.migrate import MIGRATE_PASSES
from rmaplab.litmus.reader import read_text
from rmaplab.machine import KernelStateError
from rmaplab.machine.faults import BugOn
from rmaplab.runner.scenario import build, check_end, check_steps, oopses

PAGE = "setup\n A: mmap 0 2\n A: write 0 2 = 1\n"


def calls(block: str, setup: str = PAGE) -> list[str]:
    """The calls of CPU0, as `task name`."""
    scenario = build(read_text(f"litmus x\n{setup}CPU0\n{block}"), V2_6_38)
    return [f"{call.task} {call.name}" for call in scenario.flows[0].calls]


class TestRefusals:
    @pytest.mark.parametrize("block", ["CPU0", "finally"])
    def test_a_pin_outside_the_set_up(self, block: str) -> None:
        text = f"litmus x\nsetup\n    A: pin 0\n{block}\n    A: pin 0\n"

        with pytest.raises(InputError, match=r"^x\.litmus:5:5: .*move `pin` there"):
            check_steps(read_text(text, "x.litmus"))

    @pytest.mark.parametrize("step", ["write 0 = 1", "exit", "fork B"])
    def test_a_process_that_exits_on_one_cpu_and_acts_on_another(self, step: str) -> None:
        text = f"litmus x\nCPU0\n    A: exit\nCPU1\n    A: {step}\n"

        with pytest.raises(InputError, match=r"^x\.litmus:3:5: A cannot exit on CPU0 and act on"):
            check_steps(read_text(text, "x.litmus"))

    @pytest.mark.parametrize("step", ["A: migrate 0", "A: reclaim 0", "A: walk 0", "ksmd: scan"])
    def test_the_kernel_may_work_on_its_pages_meanwhile(self, step: str) -> None:
        check_steps(read_text(f"litmus x\nCPU0\n A: exit\nCPU1\n {step}\n"))

    def test_a_switch_that_no_kernel_has(self) -> None:
        with pytest.raises(InputError, match="CONFIG_SMP is not modelled"):
            check_steps(read_text("litmus x\nconfig CONFIG_SMP=y\n"))

    def test_allowing_what_no_run_survives(self) -> None:
        check_steps(read_text("litmus x\nallow use-after-free refcount-underflow\n"))
        with pytest.raises(InputError, match="no run goes on after leak"):
            check_steps(read_text("litmus x\nallow leak\n"))


class TestCalls:
    def test_a_scan_is_a_call_a_pass(self) -> None:
        assert calls(" ksmd: scan 2\n") == ["ksmd scan"] * 2

    def test_a_write_is_a_call_a_page_that_is_tried_again(self) -> None:
        scenario = build(read_text(f"litmus x\n{PAGE}CPU0\n A: write 0 2 = 3\n"), V2_6_38)

        first, second = scenario.flows[0].calls

        assert (first.repeat, second.repeat) == (True, True)
        # An error in the first page ends the step: one call, that of the second page, is left out.
        assert (first.skip, second.skip) == (1, 0)

    def test_a_migration_is_isolation_passes_and_putting_back(self) -> None:
        each = ["kmigrated isolate", *["kmigrated migrate"] * MIGRATE_PASSES, "kmigrated putback"]

        assert calls(" A: migrate 0 2\n") == each * 2

    def test_a_page_that_is_not_there_when_the_cpus_begin_is_not_migrated(self) -> None:
        scenario = build(
            read_text("litmus x\nCPU0\n A: migrate 0\nCPU1\n A: mmap 0\n A: write 0 = 1\n"),
            V2_6_34,
        )

        outcome = check(scenario)

        assert outcome.verdict == "clean"  # it is a use-after-free where the page is found

    def test_the_last_block_waits_for_all_others(self) -> None:
        scenario = build(
            read_text(f"litmus x\n{PAGE}CPU3\n A: read 0\nfinally\n A: exit\n"), V2_6_38
        )

        assert [(flow.cpu, flow.last) for flow in scenario.flows] == [(3, False), (0, True)]

    def test_a_set_up_alone_is_a_scenario_too(self) -> None:
        scenario = build(read_text(f"litmus x\n{PAGE}"), V2_6_38)

        assert [flow.calls for flow in scenario.flows] == [()]
        assert check(scenario).verdict == "clean"


class TestTheDead:
    @pytest.mark.parametrize(
        "step",
        [
            "mmap 4", "write 0 = 2", "poke 0 @1 = 1", "read 0", "fault 0", "fork B", "exit", "exec",
            "munmap 0", "mprotect 0 r", "madvise 0 dontneed", "migrate 0", "reclaim 0", "walk 0",
        ],
    )  # fmt: skip
    def test_a_step_of_a_process_that_has_gone_does_nothing(self, step: str) -> None:
        text = f"litmus x\n{PAGE} A: exit\nCPU0\n A: {step}\n"

        assert check(build(read_text(text), V2_6_38)).verdict == "clean"

    def test_a_fork_that_failed_leaves_a_child_that_is_not_there(self) -> None:
        text = f"litmus x\n{PAGE}CPU0\n fail 1 A: fork B\n B: write 0 = 2\n B: exit\n A: exit\n"

        assert check(build(read_text(text), V2_6_38)).verdict == "clean"


class TestOopses:
    def test_what_kernel_code_raises_is_a_bug(self) -> None:
        with pytest.raises(KernelStateError) as caught, oopses():
            raise LookupError("gone")

        assert caught.value.kind == "bug-on"
        assert caught.value.message.startswith("LookupError: gone at test_scenario.py:")

    @pytest.mark.parametrize("error", [BugOn("x"), InputError("x")])
    def test_our_own_errors_stay_what_they_are(self, error: Exception) -> None:
        with pytest.raises(type(error)) as caught, oopses():
            raise error

        assert caught.value is error


class TestTheEnd:
    def end(self, steps: str, declared: str = "") -> None:
        check_end(read_text(f"litmus x\nprocesses A B\nCPU0\n{steps}\n{declared}\n", "x.litmus"))

    def test_nothing_is_left_unless_it_is_declared(self) -> None:
        with pytest.raises(InputError, match="B never exits: let it, or write `end alive B`"):
            self.end(" A: exit")

    def test_a_child_counts_too(self) -> None:
        with pytest.raises(InputError, match="C never exits"):
            self.end(" A: fork C\n A: exit\n B: exit")

    def test_who_is_declared_alive_may_stay(self) -> None:
        self.end(" A: exit", "end alive B")

    def test_who_is_declared_alive_may_not_exit(self) -> None:
        with pytest.raises(InputError, match="A exits: leave it out of `end alive`"):
            self.end(" A: exit\n B: exit", "end alive A")
