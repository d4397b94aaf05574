"""What a verdict rests on, and the clean ones that say nothing."""

from __future__ import annotations

from rmaplab.checker.options import Options
from rmaplab.checker.verdict import Result
from rmaplab.history import KERNELS
from rmaplab.litmus.reader import read_text
from rmaplab.runner.checks import plan, run_check
from rmaplab.runner.choice import NamedKernel
from rmaplab.runner.claims import assumptions_of

TWO = "litmus x\nprocesses A B\nsetup\n A: mmap 0\n A: write 0 = 1\n B: mmap 0\n"


def result_of(text: str, kernel: str = "v2.6.36") -> Result:
    (todo,) = plan([read_text(text)], [NamedKernel(kernel, KERNELS[kernel])])
    return run_check(todo, Options())


class TestVacuousLitmuses:
    def test_two_processes_that_have_nothing_in_common(self) -> None:
        text = (
            TWO + "CPU0\n A: write 0 = 2\nCPU1\n B: write 0 = 3\nend alive A B\nexpect\n * clean\n"
        )

        result = result_of(text)

        assert result.verdict == "clean"
        assert "no two CPUs touch a common field: their order cannot matter" in result.warnings

    def test_an_expectation_of_what_cannot_happen(self) -> None:
        text = (
            "litmus x\nsetup\n A: mmap 0\n A: write 0 = 1\nCPU0\n A: read 0\nend alive A\n"
            "expect\n seed-v2 double-free\n v2.6.36 clean\n"
        )

        assert result_of(text).warnings == (
            "no object is ever freed: a double-free could not happen",
        )

    def test_a_set_up_alone_checks_nothing(self) -> None:
        text = "litmus x\nsetup\n A: mmap 0\n A: write 0 = 1\n A: exit\nexpect\n * clean\n"

        assert result_of(text).warnings == (
            "nothing is allocated, freed, counted, locked or mapped: no verdict could fail",
        )

    def test_a_litmus_in_which_it_could_go_wrong_is_not_warned_of(self) -> None:
        text = (
            "litmus x\nsetup\n A: mmap 0\n A: write 0 = 1\nCPU0\n A: exit\n"
            "expect\n seed-v2 refcount-underflow\n v2.6.36 clean\n"
        )

        assert result_of(text).warnings == ()

    def test_a_violation_is_none(self) -> None:
        text = "litmus x\nsetup\n A: mmap 0\n A: write 0 = 1\nCPU0\n A: exit\nexpect\n * leak\n"

        assert result_of(text, "seed-v2").warnings == ()


class TestAssumptions:
    def test_of_what_the_litmus_says_nothing_is_left_out(self) -> None:
        text = (
            "litmus x\nallow use-after-free\nconfig CONFIG_KSM=n\n"
            "setup\n A: mmap 0\n A: write 0 = 1\nCPU0\n fail 2 A: fork B\n B: exit\n A: exit\n"
        )

        assert assumptions_of(read_text(text))[3:] == (
            "the set-up, 2 steps, runs in order before all else",
            "every allocation succeeds, but allocation 2 of `A: fork`",
            "the kernel goes on after a use-after-free",
            "CONFIG_KSM=n",
        )

    def test_of_a_bare_litmus_only_what_all_rest_on(self) -> None:
        assert assumptions_of(read_text("litmus x\nCPU0\n A: exit\n"))[3:] == (
            "every allocation succeeds",
        )
