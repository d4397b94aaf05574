"""The stack that a litmus's exec builds and moves."""

from __future__ import annotations

import pytest

from rmaplab.checker.check import check
from rmaplab.errors import InputError
from rmaplab.history import KERNELS, V2_6_34, V2_6_38
from rmaplab.litmus.reader import read_text
from rmaplab.runner.run import RunResult, run
from rmaplab.runner.scenario import build, check_steps
from rmaplab.runner.texts import render_run

BUILT = "litmus x\nsetup\n A: mmap 5\n A: write 5 = 9\n A: new_stack 0 = 1 2 3\n"
MIGRATING = BUILT + "CPU0\n A: exec\nCPU1\n A: migrate 0\n"


def ran(steps: str, kernel: str = "v2.6.38") -> RunResult:
    return run(read_text(BUILT + steps), KERNELS[kernel])


@pytest.mark.parametrize("kernel", ["v2.6.34", "v2.6.35", "v2.6.38"])
def test_the_arguments_are_at_the_pages_named_when_exec_is_done(kernel: str) -> None:
    result = ran(" A: exec\n A: read 5\n", kernel)

    assert result.violation is None
    built, begun, old = result.observations[-3:]
    assert (built["pages"]["A"], begun["pages"]["A"]) == (
        [[0, 3, "none"], [5, 1, "own"]],
        [[0, 3, "own"], [5, 1, "none"]],
    )
    assert begun["bytes"]["A"] == [[0, 1, "1"], [1, 1, "2"], [2, 1, "3"]]
    assert old["ret"] == "EFAULT"


def test_it_is_memory_like_any_other() -> None:
    result = ran(" A: exec\n A: write 1 = 5\n A: fork B\n B: write 2 = 7\n A: exit\n B: exit\n")

    assert result.violation is None
    assert result.observations[-2]["bytes"]["B"] == [[0, 1, "1"], [1, 1, "5"], [2, 1, "7"]]


@pytest.mark.parametrize(("kernel", "moves"), [("v2.6.34", True), ("v2.6.35", False)])
def test_its_pages_are_named_by_where_they_will_be(kernel: str, moves: bool) -> None:
    result = ran(" A: migrate 0 3\n A: exec\n A: migrate 0 3\n", kernel)

    before, _, after = (each["ret"] for each in result.observations[-3:])
    assert (before, after) == (0 if moves else "EBUSY", 0)
    assert result.violation is None


def test_one_exec_takes_one_stack() -> None:
    result = ran(" A: exec\n A: exec\n A: new_stack 4 = 8\n A: exec\n")

    assert result.violation is None
    assert [each["pages"]["A"] for each in result.observations[-3:]] == [
        [[0, 3, "none"], [4, 2, "none"]],
        [[0, 3, "none"], [4, 2, "none"]],
        [[0, 3, "none"], [4, 1, "own"], [5, 1, "none"]],
    ]


def test_without_memory_it_is_not_built_or_the_program_is_killed() -> None:
    fails = "litmus x\nsetup\n fail {} A: new_stack 0 = 1 2\n fail {} A: exec\n A: mmap 7\n"
    ends = set()
    for at_first in range(1, 10):
        for then in range(1, 6):
            result = run(read_text(fails.format(at_first, then)), V2_6_38)
            assert result.violation is None
            ends.add(tuple(each["ret"] for each in result.observations))
    # No stack, so that exec has only the mm to allocate; or a stack, but no table to move it to.
    assert ends == {
        ("ENOMEM", "ENOMEM", 0), ("ENOMEM", 0, 0), (0, "ENOMEM", "ESRCH"), (0, 0, 0),
    }  # fmt: skip


@pytest.mark.parametrize("block", ["CPU0", "finally"])
def test_it_is_built_in_the_set_up(block: str) -> None:
    text = f"litmus x\n{block}\n A: new_stack 0 = 1\n A: exec\n"

    with pytest.raises(InputError, match=r"^x\.litmus:3:2: .*move `new_stack` there"):
        check_steps(read_text(text, "x.litmus"))


@pytest.mark.parametrize("steps", ["", " A: read 5\n A: exec\n", "CPU0\n A: exit\n"])
def test_who_has_built_it_does_nothing_before_exec(steps: str) -> None:
    with pytest.raises(InputError, match=r"^x\.litmus:5:2: A is in exec .* be `exec`$"):
        check_steps(read_text(BUILT + steps, "x.litmus"))


@pytest.mark.parametrize("steps", [" A: migrate 0\n A: exec\n", "CPU1\n A: walk 0\n A: exec\n"])
def test_others_may_do_something(steps: str) -> None:
    check_steps(read_text(BUILT + steps))


def test_the_entry_that_migration_leaves_is_a_bug_when_it_is_met() -> None:
    text = MIGRATING + "finally\n A: read 0\n"

    outcome = check(build(read_text(text), V2_6_34))

    assert outcome.violation is not None
    # What the message of a8bef8ff6ea1 shows: include/linux/swapops.h:105.
    assert outcome.violation.message == "migration_entry_to_page: the page is not locked"


def test_a_document_calls_the_program_by_its_process() -> None:
    assert "A in exec  pages 0-2: none" in render_run(ran(" A: exec\n"))


def test_the_checker_finds_the_arguments_too() -> None:
    outcome = check(build(read_text(BUILT + "CPU0\n A: exec\n A: read 0 3\n"), V2_6_38))

    assert outcome.verdict == "clean"
