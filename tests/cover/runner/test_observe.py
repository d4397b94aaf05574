"""Observations: the fields of a recorded case, from small states worked out by hand."""

from __future__ import annotations

from typing import Any

from rmaplab.history import V2_6_38
from rmaplab.litmus.reader import read_text
from rmaplab.machine.direct import DirectMachine
from rmaplab.runner.observe import frames_of, observe, watched_slots
from rmaplab.runner.run import run
from rmaplab.runner.system import System


def last(steps: str, header: str = "processes A") -> dict[str, Any]:
    """The observation after the last step."""
    litmus = read_text(f"litmus x\n{header}\nsetup\n" + steps)
    result = run(litmus, V2_6_38)
    assert result.violation is None
    return result.observations[-1]


def test_the_watched_slots_are_all_that_steps_name() -> None:
    litmus = read_text("litmus x\nsetup\n A: mmap 0 2\n A: mremap 0 2 3 to 8\n A: read 20\n")

    assert watched_slots(litmus) == (0, 1, 2, 8, 9, 10, 20)


def test_a_page_read_first_is_the_zero_page_and_takes_no_memory() -> None:
    seen = last(" A: mmap 0 3\n A: read 1\n")

    assert seen["pages"] == {"A": [[0, 1, "none"], [1, 1, "zero"], [2, 1, "none"]]}
    assert seen["bytes"] == {"A": [[1, 1, "0"]]}
    assert seen["smaps"]["A"] == {"rss": 0, "shared": 0, "private": 0, "anon": 0, "ksm": 0}


def test_a_write_after_a_read_changes_the_frame() -> None:
    seen = last(" A: mmap 0 2\n A: read 0\n A: write 0 2 = 7\n")

    assert seen["changed"] == {"A": [[0, 1]]}


def test_runs_end_where_slots_are_not_neighbours() -> None:
    seen = last(" A: mmap 0 2\n A: mmap 4 2\n A: write 0 2 = 7\n A: write 4 2 = 7\n")

    assert seen["pages"] == {"A": [[0, 2, "own"], [4, 2, "own"]]}
    assert seen["vmas"] == {"A": [[0, 2, "rw"], [4, 2, "rw"]]}


def test_a_vma_is_whole_and_one_without_a_watched_page_is_left_out() -> None:
    litmus = read_text("litmus x\nsetup\n A: mmap 2 3\n")
    system = System(V2_6_38, DirectMachine(), ("A",))
    system.mmap("A", 2, 3)
    system.mmap("A", 10, 2)
    system.write("A", 2, 3, c=1)
    system.write("A", 10, 2, c=1)

    seen = observe(system, watched_slots(litmus)[:1], frames_of(system, ()), 0)

    assert seen["vmas"] == {"A": [[2, 3, "rw"]]}
    assert seen["smaps"]["A"]["rss"] == 12
    assert seen["pages"] == {"A": [[2, 1, "own"]]}


def test_frames_that_unwatched_pages_share_still_count_their_maps() -> None:
    system = System(V2_6_38, DirectMachine(), ("A",))
    system.mmap("A", 0)
    system.write("A", 0, c=5)
    system.fork("A", "B")
    system.munmap("A", 0)
    system.fork("B", "C")

    seen = observe(system, (0,), {}, 0)

    assert seen["pages"] == {"A": [[0, 1, "none"]], "B": [[0, 1, "f0"]], "C": [[0, 1, "f0"]]}
    assert seen["frames"] == {"f0": {"maps": 2, "slots": 2}}


def test_the_name_of_an_error_is_that_of_the_call() -> None:
    assert last(" A: mmap 0\n A: mprotect 0 r\n A: write 0 = 1\n")["ret"] == "EFAULT"
    assert last(" A: mmap 0\n A: mmap 0\n")["ret"] == "ENOMEM"
    assert last(" A: mmap 0\n set max_page_sharing 2\n")["ret"] == "EINVAL"
    assert last(" A: mmap 0\n A: write 0 = 1\n fail 1 A: fork B\n B: read 0\n")["ret"] == "ESRCH"


def test_a_merged_page_with_one_mapping_keeps_its_k() -> None:
    steps = " A: mmap 0 2\n A: write 0 2 = 5\n A: madvise 0 2 mergeable\n ksmd: scan 2\n"

    seen = last(steps + " A: write 0 = 6\n")

    assert seen["pages"] == {"A": [[0, 1, "own"], [1, 1, "k0"]]}
    assert seen["frames"] == {"k0": {"maps": 1, "slots": 1}}
    assert seen["smaps"]["A"] == {"rss": 8, "shared": 0, "private": 8, "anon": 8, "ksm": 4}
    assert seen["proc_ksm"] == {"A": {"rmap_items": 2, "zero_pages": 0, "merging_pages": 2}}
    assert seen["vmas"] == {"A": [[0, 2, "rw", "mg"]]}


def test_without_ksm_its_counters_are_zero() -> None:
    seen = last(" A: mmap 0\n A: write 0 = 5\n", "processes A\nconfig CONFIG_KSM=n")

    assert set(seen["ksm"].values()) == {0}
    assert seen["proc_ksm"]["A"]["rmap_items"] == 0


def test_a_process_that_has_gone_is_in_no_field() -> None:
    seen = last(" A: mmap 0\n A: write 0 = 5\n A: fork B\n A: exit\n")

    for field in ("pages", "bytes", "vmas", "smaps", "proc_ksm"):
        assert list(seen[field]) == ["B"]
