"""Compaction a turn at a time, as the checker has it, is compaction."""

from __future__ import annotations

from typing import Any

import pytest

from rmaplab.checker.check import check
from rmaplab.history import V2_6_34, V2_6_35, V2_6_38
from rmaplab.litmus.reader import read_text
from rmaplab.machine.traced import TracedMachine
from rmaplab.runner.activities import CompactTurns
from rmaplab.runner.scenario import boot, build
from rmaplab.runner.system import System
from rmaplab.runner.truths import check_truths

HOLES = (1, 4, 6)


def zone(machine: TracedMachine, pageblock: int, pages: int, pinned: int) -> System:
    """A process with some pages, of which one is pinned and some are gone again."""
    text = f"litmus x\npageblock {pageblock}\n"
    system = boot(read_text(text), V2_6_35, machine)
    assert system.mmap("A", 0, pages) == 0
    assert system.write("A", 0, pages, c=7) == 0
    for page in HOLES:
        if page < pages:
            system.madvise("A", page, advice="dontneed")
    system.pin("A", pinned)
    return system


def frames_after(by_turns: bool, pageblock: int, pages: int, pinned: int) -> list[int]:
    machine = TracedMachine(1)
    with machine.running(0, "kcompactd"):
        system: Any = zone(machine, pageblock, pages, pinned)
        if by_turns:
            turns = machine.static(CompactTurns, "compact_control")
            while system.compact_turn(turns):
                pass
        else:
            system.compact()
        check_truths(system)
        return [system.kernel.page_to_pfn(page) for page in system.kernel.page_cachep.live()]


@pytest.mark.parametrize("pinned", [0, 2, 5])
@pytest.mark.parametrize("pages", [6, 8, 30])
@pytest.mark.parametrize("pageblock", [1, 2, 8])
def test_turns_leave_the_frames_that_one_call_leaves(
    pageblock: int, pages: int, pinned: int
) -> None:
    by_turns = frames_after(True, pageblock, pages, pinned)

    assert by_turns == frames_after(False, pageblock, pages, pinned)
    assert pinned in by_turns  # as many references as pins: it cannot move


def test_a_zone_of_eight_frames_has_its_last_one_for_the_first_page() -> None:
    machine = TracedMachine(1)
    with machine.running(0, "kcompactd"):
        system = boot(read_text("litmus x\npageblock 1\n"), V2_6_38, machine)
        system.mmap("A", 0)
        system.write("A", 0, c=1)
        system.compact()

        assert [system.kernel.page_to_pfn(p) for p in system.kernel.page_cachep.live()] == [7]


def test_frames_run_out_during_a_turn() -> None:
    text = "litmus x\npageblock 1\nsetup\n A: mmap 0 8\n A: write 0 8 = 1\nCPU0\n compact\n"

    assert check(build(read_text(text), V2_6_38)).verdict == "clean"


@pytest.mark.parametrize("config", ["", "config CONFIG_MIGRATION=n\n"])
def test_where_there_is_no_compaction_it_is_one_call(config: str) -> None:
    kernel = V2_6_38 if config else V2_6_34
    scenario = build(read_text(f"litmus x\n{config}pageblock 1\nCPU0\n compact\n"), kernel)

    (call,) = scenario.flows[0].calls
    assert (call.repeat, call.run()) == (False, -2)
