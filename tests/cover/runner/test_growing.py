"""Memory that grows: the heap by `brk`, a stack by being touched; and what is known of it then."""

from __future__ import annotations

from typing import Any

import pytest

from rmaplab.checker.options import Limits, Options
from rmaplab.errors import InputError
from rmaplab.history import KERNELS
from rmaplab.litmus.reader import read_text
from rmaplab.litmus.writer import write_text
from rmaplab.runner.checks import Check, run_check
from rmaplab.runner.choice import NamedKernel
from rmaplab.runner.run import RunResult, run

HEAP_AND_STACK = """
litmus t
setup
    A: brk 3
    A: write 0 3 = 1 2 3
    A: brk 1
    A: brk 2
    A: mmap 8 growsdown r
"""


def run_steps(*steps: str, kernel: str = "v2.6.36") -> RunResult:
    return run(read_text("\n".join(["litmus t", "setup", *steps])), KERNELS[kernel])


def mapped(result: RunResult, process: str = "A") -> list[Any]:
    return [run[:2] for run in result.observations[-1]["vmas"][process]]


def held(result: RunResult, process: str = "A") -> Any:
    return result.observations[-1]["bytes"][process]


def returned(result: RunResult) -> list[Any]:
    return [seen["ret"] for seen in result.observations]


def test_a_heap_shrinks_and_what_comes_back_is_fresh() -> None:
    result = run_steps("A: brk 3", "A: write 0 3 = 1 2 3", "A: brk 1", "A: brk 2", "A: read 1")

    assert (returned(result), result.violation) == ([0] * 5, None)
    assert mapped(result) == [[0, 2]]
    assert (
        held(result)
        == run_steps("A: brk 2", "A: write 0 = 1", "A: read 1").observations[-1]["bytes"]["A"]
    )


def test_a_heap_ends_where_something_else_is_and_keeps_a_page_away() -> None:
    result = run_steps("A: mmap 4", "A: brk 3", "A: brk 4", "A: brk 0")

    assert returned(result) == [0, 0, "ENOMEM", 0]
    assert mapped(result) == [[4, 1]]


def test_a_program_begins_without_a_heap_and_a_child_with_its_parents() -> None:
    result = run_steps("A: brk 2", "A: fork B", "A: exec", "A: brk 1", "B: brk 3")

    assert returned(result) == [0] * 5
    assert (mapped(result, "A"), mapped(result, "B")) == ([[0, 1]], [[0, 3]])


def test_a_stack_grows_down_to_what_is_touched_and_nothing_else_does() -> None:
    result = run_steps("A: mmap 4 growsdown", "A: write 2 = 1", "A: write 5 = 1", "A: read 0")

    assert returned(result) == [0, 0, "EFAULT", 0]
    assert mapped(result) == [[0, 5]]
    assert returned(run_steps("A: mmap 4", "A: write 3 = 1")) == [0, "EFAULT"]


@pytest.mark.parametrize(
    "before",
    [
        ["A: madvise 2 dontfork", "A: fork B"],  # not inherited: the child's stack starts above
        ["A: fork B", "B: mremap 1 3 1 to 8"],  # fails after 2 and 3 have been unmapped
    ],
    ids=["not-inherited", "half-a-mremap"],
)
def test_a_stack_grows_anew_over_what_was_there(before: list[str]) -> None:
    write = ["A: mmap 4 growsdown", "A: write 2 = 5", "A: munmap 1"]

    result = run_steps(*write, *before, "B: read 2")

    assert result.violation is None
    assert returned(result)[-1] == 0


def test_the_checker_knows_what_a_stack_of_a_child_holds() -> None:
    litmus = read_text(
        "litmus t\nsetup\nA: mmap 4 growsdown\nA: write 2 = 5\nA: madvise 2 dontfork\n"
        "CPU0\nA: fork B\nB: read 2\nB: exit\nCPU1\nksmd: scan\nfinally\nA: exit\n"
    )
    todo = Check(litmus, NamedKernel("v2.6.36", KERNELS["v2.6.36"]), "clean")

    assert run_check(todo, Options(Limits(states=300_000, seconds=60))).verdict == "clean"


def test_swapoff_brings_pages_back_and_swapon_lets_them_go_again() -> None:
    gone = ["A: mmap 0", "A: write 0 = 7", "A: swap_out 0"]

    result = run_steps(*gone, "swapoff", "swapoff", "A: swap_out 0", "swapon", "A: swap_out 0")

    assert returned(result)[3:] == [0, "EINVAL", "EBUSY", 0, 0]
    assert [seen["pages"]["A"][0][2] for seen in result.observations[2:4]] == ["none", "own"]
    assert result.violation is None


def test_the_steps_are_written_as_they_are_read() -> None:
    assert "A: mmap 8 growsdown r\n" in write_text(read_text(HEAP_AND_STACK))
    assert write_text(read_text(HEAP_AND_STACK)) == write_text(
        read_text(write_text(read_text(HEAP_AND_STACK)))
    )
    with pytest.raises(InputError, match="PROCESS: brk COUNT"):
        read_text("litmus t\nsetup\nA: brk\n")
