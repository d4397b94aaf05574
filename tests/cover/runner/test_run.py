"""Runs in order: against what a real kernel showed, and up to the first wrong state."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kernels import SHOWN

from rmaplab.errors import InputError
from rmaplab.history import KERNELS, V2_6_34, V2_6_38, SeedV2
from rmaplab.history.lookup import in_range
from rmaplab.litmus.model import Litmus
from rmaplab.litmus.reader import read_file, read_text
from rmaplab.runner.observe import LATER_COUNTERS
from rmaplab.runner.run import Difference, kernel_name, run, verify
from rmaplab.runner.texts import render_difference, render_run, run_document

CASES = Path(__file__).parents[2] / "cases"
FIELDS = ("ret", "pages", "frames", "bytes", "changed", "ksm", "vmas", "smaps", "proc_ksm")

#: Recorded on 6.18; these hold in every field on every kernel here.
HOLD = (
    "cow_child_writes",
    "cow_last_owner_after_exit",
    "ksm_ltp01_small",
    "ksm_two_processes",
    "mprotect_split_join",
    "mremap_move_part_after_fork",
)


class ChecksumFirst(V2_6_38):
    """d58a361b0350 "mm/ksm: don't waste time searching stable tree for fast changing page"."""

    def cmp_and_merge_page(self, page: Any, rmap_item: Any) -> None:
        checksum = self.calc_checksum(page)
        if self.page_stable_node(page) is None and rmap_item.oldchecksum != checksum:
            self.remove_rmap_item_from_tree(rmap_item)
            rmap_item.oldchecksum = checksum
            return
        super().cmp_and_merge_page(page, rmap_item)


def recorded(name: str) -> Litmus:
    return read_file(CASES / f"{name}.json")


def differing_fields(litmus: Litmus, kernel: type[V2_6_34]) -> dict[str, int]:
    """Each field that differs, with the first step where it does."""
    result = run(litmus, kernel)
    assert result.violation is None
    alone = {field: tuple(name for name in FIELDS if name != field) for field in FIELDS}
    found = {field: verify(result, replace(litmus, drop=drop)) for field, drop in alone.items()}
    return {field: one.step for field, one in found.items() if one is not None}


@pytest.mark.parametrize("kernel", SHOWN)
@pytest.mark.parametrize("name", HOLD)
def test_a_recorded_case_holds_in_every_field(name: str, kernel: str) -> None:
    if name == "ksm_ltp01_small" and in_range("52d1e606ee73..v5.7", kernel):
        pytest.skip("the last mapping of a merged page is reused there, and then no more")
    litmus = recorded(name)
    result = run(litmus, KERNELS[kernel])

    assert result.violation is None
    assert len(result.observations) == len(litmus.observations)
    assert verify(result, litmus) is None


@pytest.mark.parametrize("kernel", list(SHOWN)[list(SHOWN).index("v2.6.35") :])
def test_a_compaction_moves_low_frames_up_once(kernel: str) -> None:
    """The second one, step 18, has nothing to do, as recorded."""
    assert differing_fields(recorded("fork_tree_move"), KERNELS[kernel]) == {}


def test_there_is_no_compaction_before_2_6_35() -> None:
    result = run(recorded("fork_tree_move"), V2_6_34)

    assert result.violation is None
    assert [seen["ret"] for seen in result.observations[15:18]] == ["ENOENT", 0, "ENOENT"]


def test_a_changed_page_joins_a_stable_one_a_pass_earlier_than_since_6_11() -> None:
    """2.6 searches the stable tree before it looks at the checksum."""
    litmus = recorded("ksm_break_by_write")

    found = differing_fields(litmus, V2_6_38)

    assert set(found.values()) == {13}
    assert set(found) == {"pages", "frames", "changed", "ksm", "smaps", "proc_ksm"}
    assert differing_fields(litmus, ChecksumFirst) == {}


@pytest.mark.parametrize("name", [name for name in HOLD if name.startswith("ksm")])
def test_the_order_of_6_11_changes_no_other_case(name: str) -> None:
    assert differing_fields(recorded(name), ChecksumFirst) == {}


@pytest.mark.parametrize("path", sorted(CASES.glob("*.json")), ids=lambda path: path.stem)
def test_no_case_counts_what_came_later(path: Path) -> None:
    for seen in read_file(path).observations:
        assert not any(seen.get("ksm", {}).get(name) for name in LATER_COUNTERS)
        assert not any(each["zero_pages"] for each in seen.get("proc_ksm", {}).values())


@pytest.mark.parametrize("kernel", SHOWN)
def test_the_last_owner_of_a_pinned_page_writes_in_place_until_v5_9(kernel: str) -> None:
    """09854ba94c6a "mm: do_wp_page() simplification"."""
    text = (
        "litmus x\nprocesses A\nsetup\n A: mmap 0\n A: write 0 = 1\n A: fork B\n B: exit\n"
        " A: pin 0\n A: write 0 = 2\n A: unpin 0\n"
    )

    written = run(read_text(text), KERNELS[kernel]).observations[5]

    changed = {"A": [[0, 1]]} if in_range("09854ba94c6a..", kernel) else {}
    assert (written["changed"], written["bytes"]) == (changed, {"A": [[0, 1, "2"]]})


@pytest.mark.parametrize(
    "knob", ["max_page_sharing", "merge_across_nodes", "use_zero_pages", "smart_scan",
             "stable_node_chains_prune_millisecs"],
)  # fmt: skip
def test_a_knob_that_came_later_is_einval_and_left_out_where_it_is_declared(knob: str) -> None:
    text = f"litmus x\nprocesses A\nksm {knob}=1\nsetup\n set {knob} 1\n"

    result = run(read_text(text), V2_6_38)

    assert result.violation is None
    assert result.observations[0]["ret"] == "EINVAL"


def test_scan_is_that_many_passes() -> None:
    steps = "setup\n A: mmap 0 2\n A: write 0 2 = 5\n A: madvise 0 2 mergeable\n"

    one = run(read_text(f"litmus x\n{steps} ksmd: scan\n"), V2_6_38)
    two = run(read_text(f"litmus x\n{steps} ksmd: scan 2\n"), V2_6_38)

    assert one.observations[-1]["ksm"]["pages_volatile"] == 2
    assert two.observations[-1]["ksm"]["pages_sharing"] == 1


def test_blocks_run_one_after_the_other() -> None:
    text = (
        "litmus x\nsetup\n A: mmap 0\n A: write 0 = 1\n A: fork B\nCPU0\n A: write 0 = 2\n"
        "CPU1\n B: write 0 = 3\nfinally\n A: exit\n"
    )

    result = run(read_text(text), V2_6_38)

    assert result.texts[-3:] == ["A: write 0 = 2", "B: write 0 = 3", "A: exit"]
    assert [seen["changed"] for seen in result.observations[3:]] == [{"A": [[0, 1]]}, {}, {}]
    assert result.observations[-1]["bytes"] == {"B": [[0, 1, "3"]]}


def test_a_wrong_state_ends_the_run() -> None:
    text = "litmus x\nsetup\n A: mmap 0\n A: write 0 = 1\n A: exit\n"

    result = run(read_text(text), SeedV2)

    assert result.violation is not None
    assert (result.violation.kind, result.violation.step) == ("refcount-underflow", 3)
    assert len(result.observations) == 2
    assert "refcount-underflow in step 3 (A: exit): external_refcount" in render_run(result)
    assert run_document(result)["violation"]["text"] == "A: exit"


def test_a_truth_that_fails_after_a_step_ends_the_run() -> None:
    class Loses(V2_6_38):
        def page_dup_rmap(self, page: Any) -> None:
            pass

    text = "litmus x\nsetup\n A: mmap 0\n A: write 0 = 1\n A: fork B\n"

    result = run(read_text(text), Loses)

    assert result.violation is not None
    assert (result.violation.kind, result.violation.step) == ("missed-mapping", 3)
    assert len(result.observations) == 3


def test_a_merged_page_that_is_not_found_ends_no_run_held_against_a_real_kernel() -> None:
    text = "litmus x\nsetup\n A: mmap 0 2\n A: write 0 2 = 1\n A: fork B\n"
    litmus = read_text(text + " B: madvise 0 2 mergeable\n ksmd: scan 2\n A: read 0\n")

    alone, held = run(litmus, V2_6_38), run(litmus, V2_6_38, real=True)

    assert alone.violation is not None
    assert (alone.violation.kind, alone.violation.step) == ("missed-mapping", 5)
    assert held.violation is None and len(held.observations) == 6


def test_the_frame_freed_last_is_the_next_one() -> None:
    """A real 6.18 takes another: there `changed` has page 2."""
    text = "litmus x\nsetup\n A: mmap 0 8\n A: mlock 0\n A: mlock 2\n A: mremap 0 1 2 to 1\n"

    last = run(read_text(text), KERNELS["v6.18"]).observations[-1]

    assert last["pages"]["A"] == [[0, 1, "none"], [1, 2, "own"], [3, 5, "none"]]
    assert last["changed"] == {}


def test_what_is_written_after_a_ballast_is_moved_by_every_compaction() -> None:
    text = """litmus x
    setup
        A: mmap 0 2
        ballast
        A: write 0 2 = 1 low
        compact
        A: mmap 4 2
        ballast
        A: write 4 2 = 2 low
        compact
        A: munmap 4 2
        A: mmap 4 2
        A: write 4 2 = 2 low
        compact
    """

    shown = run(read_text(text), KERNELS["v6.18"]).observations

    assert [shown[step]["changed"] for step in (3, 7, 11)] == [
        {"A": [[0, 2]]}, {"A": [[4, 2]]}, {"A": [[4, 2]]},
    ]  # fmt: skip


def test_a_tree_unlike_the_list_is_a_wrong_state() -> None:
    class LosesVma(V2_6_38):
        def _vma_link_list(self, mm: Any, vma: Any, prev: Any) -> None:
            if mm.mmap is None:
                super()._vma_link_list(mm, vma, prev)

    result = run(read_text("litmus x\nsetup\n A: mmap 0\n A: mmap 4\n"), LosesVma)

    assert result.violation is not None
    assert (result.violation.kind, result.violation.step) == ("bug-on", 2)


def test_a_pinned_page_of_nobody_is_no_leak_until_it_is_let_go() -> None:
    text = (
        "litmus x\nprocesses A B\nsetup\n A: mmap 0\n A: write 0 = 1\n A: pin 0\n A: exit\n"
        " B: mmap 0\n A: unpin 0\n"
    )

    assert run(read_text(text), V2_6_38).violation is None


def changed_case(name: str, path: list[Any], value: Any, **fields: Any) -> Litmus:
    """A recorded case with one part of its observations replaced."""
    document = json.loads((CASES / f"{name}.json").read_text()) | fields
    part = document["expect"]
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return replace(
        recorded(name),
        observations=tuple(document["expect"]),
        unstable=tuple((step, field, tuple(keys)) for step, field, keys in document["unstable"]),
        drop=tuple(document.get("drop", ())),
    )


def test_the_first_difference_is_told() -> None:
    litmus = changed_case("cow_child_writes", [4, "pages", "B"], [[0, 4, "own"]])

    difference = verify(run(litmus, V2_6_38), litmus)

    got = [[0, 2, "own"], [2, 1, "f0"], [3, 1, "f1"]]
    assert difference == Difference(5, "B: write 0 = 10", "pages", "B", [[0, 4, "own"]], got)
    assert render_difference(difference) == (
        "step 5 (B: write 0 = 10): pages of B: expected 0-3: own, got 0-1: own, 2: f0, 3: f1"
    )


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ([2, "ret"], "ENOMEM", "step 3 (A: fork B): ret: expected ENOMEM, got 0"),
        (
            [2, "frames", "f0", "maps"],
            3,
            "step 3 (A: fork B): frames f0: expected maps 3, slots 2, got maps 2, slots 2",
        ),
        (
            [1, "changed", "A"],
            [[0, 1]],
            "step 2 (A: write 0 = 1 2 3 4): changed of A: expected 0, got nothing",
        ),
        (
            [3, "ksm", "pages_shared"],
            1,
            "step 4 (B: write 0 2 = 9): ksm pages_shared: expected 1, got 0",
        ),
        ([3, "changed"], {}, "step 4 (B: write 0 2 = 9): changed of B: expected nothing, got 0-1"),
    ],
)
def test_a_difference_reads_as_a_line(path: list[Any], value: Any, told: str) -> None:
    litmus = changed_case("cow_child_writes", path, value)

    difference = verify(run(litmus, V2_6_38), litmus)

    assert difference is not None
    assert render_difference(difference) == told


@pytest.mark.parametrize(
    "fields",
    [
        {"unstable": [[4, "pages", ["B"]]]},
        {"unstable": [[4, "pages", []]]},
        {"drop": ["pages"]},
    ],
)
def test_what_is_unstable_or_dropped_is_not_compared(fields: dict[str, Any]) -> None:
    litmus = changed_case("cow_child_writes", [4, "pages", "B"], [], **fields)

    assert verify(run(litmus, V2_6_38), litmus) is None


def test_another_process_of_an_unstable_field_is_compared() -> None:
    litmus = changed_case("cow_child_writes", [4, "pages", "B"], [], unstable=[[4, "pages", ["A"]]])

    assert verify(run(litmus, V2_6_38), litmus) is not None


def test_nothing_to_verify_against_is_the_users_mistake() -> None:
    litmus = read_text("litmus x\nsetup\n A: mmap 0\n", "x.litmus")

    with pytest.raises(InputError, match="take a case that has `expect`"):
        verify(run(litmus, V2_6_38), litmus)


def test_a_document_has_the_observations_and_the_difference() -> None:
    litmus = changed_case("cow_child_writes", [0, "ret"], 1)
    result = run(litmus, V2_6_38)

    document = json.loads(json.dumps(run_document(result, verify(result, litmus))))

    assert document["litmus"] == "cow_child_writes"
    assert document["kernel"] == "v2.6.38"
    slabs = [step.pop("slab") for step in document["steps"]]
    assert document["steps"] == json.loads((CASES / "cow_child_writes.json").read_text())["expect"]
    assert slabs[2] == {"anon_vma": 2, "anon_vma_chain": 3}
    assert document["difference"]["expected"] == 1
    assert "violation" not in document


def test_the_text_has_a_block_for_each_step() -> None:
    text = "litmus x\nsetup\n A: mmap 0 2\n A: write 0 = 1\n A: fork B\n B: read 9\n B: exit\n"

    assert render_run(run(read_text(text), V2_6_38)) == (
        "x on v2.6.38\n"
        "\n  1  A: mmap 0 2\n     A  pages 0-1: none, 9: none\n        vmas 0-1: rw\n"
        "\n  2  A: write 0 = 1\n     A  pages 0: own, 1: none, 9: none\n        bytes 0: 1\n"
        "     slab  anon_vma 1, anon_vma_chain 1\n"
        "\n  3  A: fork B\n     A  pages 0: f0, 1: none, 9: none\n"
        "     B  pages 0: f0, 1: none, 9: none\n        bytes 0: 1\n        vmas 0-1: rw\n"
        "     frames  f0 maps 2, slots 2\n     slab  anon_vma 2, anon_vma_chain 3\n"
        "\n  4  B: read 9 -> EFAULT\n"
        "\n  5  B: exit\n     A  pages 0: own, 1: none, 9: none\n     B  is gone\n"
        "     frames  nothing\n     slab  anon_vma 1, anon_vma_chain 1\n"
    )


def test_a_kernel_is_called_by_its_release() -> None:
    assert kernel_name(V2_6_38) == "v2.6.38"
    assert kernel_name(SeedV2) == "seed-v2"
    assert kernel_name(ChecksumFirst) == "ChecksumFirst"
