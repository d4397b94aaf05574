"""The command line: what it prints, and with which status it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command import refused, rmaplab

from rmaplab.checker.options import Reduction
from rmaplab.cli.exploring import REDUCTIONS

ROOT = Path(__file__).parents[2]
FIELDS = {
    "litmus", "kernel", "verdict", "expected", "as_expected", "complete", "states", "transitions",
    "seconds", "trace", "ledger", "violations", "assumptions", "warnings", "omission",
}  # fmt: skip
STEP_FIELDS = {
    "cpu", "task", "call", "action", "object", "field", "before", "after", "source",
}  # fmt: skip
QUICK = ("root-drops-itself", "--kernel", "v2.6.38")


@pytest.fixture
def litmus(tmp_path: Path) -> Any:
    """A function from the text of a litmus to its path."""

    def write(text: str, name: str = "x.litmus") -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


class TestReductions:
    def states(self, *options: str) -> int:
        done = rmaplab("check", "walk-during-fork", "-k", "v2.6.36", "--format", "json", *options)
        return int(json.loads(done.stdout)["results"][0]["states"])

    def test_each_can_be_left_out_and_all_of_them_are_known(self) -> None:
        assert [each.value for each in Reduction] == list(REDUCTIONS)

    def test_without_any_the_walk_is_the_full_one(self) -> None:
        left_out = [part for name in REDUCTIONS for part in ("--without", name)]

        assert self.states(*left_out) == self.states("--full") > self.states()

    def test_without_one_more_states_are_stored(self) -> None:
        assert self.states("--without", "unstored") > self.states()


class TestStatus:
    def test_a_clean_check_ends_with_0(self) -> None:
        done = rmaplab("check", *QUICK)

        assert done.exit_code == 0
        assert done.stdout.startswith("root-drops-itself on v2.6.38: clean\n")
        assert not done.stdout.endswith("\n\n")

    def test_an_expected_violation_ends_with_0_and_is_told(self) -> None:
        done = rmaplab("check", "root-drops-itself", "--kernel", "seed-v2")

        assert done.exit_code == 0
        assert "verdict: refcount-underflow, as expected" in done.stdout

    def test_a_violation_that_nobody_expects_ends_with_1(self, litmus: Any) -> None:
        path = litmus("litmus x\nsetup\n A: mmap 0\n A: write 0 = 1\nCPU0\n A: exit\n")

        done = rmaplab("check", path, "--kernel", "seed-v2")

        assert done.exit_code == 1
        assert "verdict: refcount-underflow, expected clean" in done.stdout

    def test_clean_where_a_violation_is_expected_ends_with_1(self, litmus: Any) -> None:
        path = litmus("litmus x\nCPU0\n A: exit\nexpect\n * leak\n")

        assert rmaplab("check", path, "--kernel", "v2.6.38").exit_code == 1

    @pytest.mark.parametrize("limit", [("--max-states", "10"), ("--max-seconds", "0")])
    def test_a_limit_is_undetermined_and_never_a_pass(self, limit: tuple[str, str]) -> None:
        done = rmaplab("check", "cow-both-write", "--kernel", "v2.6.38", *limit)

        assert done.exit_code == 3
        assert "undetermined" in done.stdout
        assert "NOT every interleaving" in done.stdout

    def test_a_limit_is_no_pass_even_where_it_is_expected(self, litmus: Any) -> None:
        path = litmus("litmus x\nCPU0\n A: mmap 0\nend alive A\nexpect\n * undetermined\n")

        assert rmaplab("check", path, "--max-states", "1", "-k", "v2.6.38").exit_code == 3

    def test_a_violation_outweighs_a_limit(self, litmus: Any) -> None:
        path = litmus("litmus x\nsetup\n A: mmap 0\n A: write 0 = 1\nCPU0\n A: exit\n")

        limit = ("--max-states", "100", "--full", "--jobs", "1")
        done = rmaplab("check", path, "cow-both-write", "-k", "seed-v2", "-k", "v2.6.38", *limit)

        assert "1 not, 2 undetermined" in done.stdout
        assert done.exit_code == 1

    def test_a_run_that_goes_wrong_ends_with_1(self) -> None:
        done = rmaplab("run", "root-drops-itself", "--kernel", "seed-v2")

        assert done.exit_code == 1
        assert "refcount-underflow in step 3 (A: exit)" in done.stdout

    def test_a_run_without_wrong_state_ends_with_0(self) -> None:
        assert rmaplab("run", "root-drops-itself").exit_code == 0


class TestJson:
    def test_a_check_is_one_document(self) -> None:
        words = ("root-drops-itself", "-k", "seed-v2", "-k", "v2.6.38", "--format", "json")

        document = json.loads(rmaplab("check", *words).stdout)

        assert set(document) == {"results"}
        violated, clean = document["results"]
        assert set(violated) >= FIELDS
        assert set(clean) >= FIELDS
        assert (violated["verdict"], violated["as_expected"]) == ("refcount-underflow", True)
        assert (clean["verdict"], clean["trace"], clean["ledger"]) == ("clean", [], [])
        assert all(set(step) == STEP_FIELDS for step in violated["trace"])

    def test_nothing_expected_is_null(self, litmus: Any) -> None:
        words = (litmus("litmus x\nCPU0\n A: exit\n"), "-k", "v2.6.38", "--format", "json")

        (result,) = json.loads(rmaplab("check", *words).stdout)["results"]

        assert (result["expected"], result["as_expected"]) == (None, True)

    def test_a_run_is_one_document(self) -> None:
        document = json.loads(rmaplab("run", "root-drops-itself", "--format", "json").stdout)

        assert set(document) == {"litmus", "kernel", "steps"}
        assert len(document["steps"]) == 3

    def test_a_replay_is_one_document_with_the_counts_of_the_text(self) -> None:
        log = str(ROOT / "tests/data/pipeline.strace")

        document = json.loads(rmaplab("run", "--strace", log, "--format", "json").stdout)

        assert (document["replayed"]["mmap"], document["replayed"]["fork"]) == (50, 5)
        assert {key: item for key, item in document["skipped"][-1].items() if key != "why"} == {
            "call": "wait4",
            "times": 7,
        }
        assert document["violation"] is None


class TestSeveral:
    def test_what_is_named_twice_is_checked_once(self) -> None:
        words = ("root-drops-itself",) * 2 + ("-k", "v2.6.34", "-k", "v2.6.35", "-k", "v2.6.34")

        assert "\n2 checks, 2 as expected" in rmaplab("check", *words).stdout

    def test_one_process_and_two_say_the_same(self) -> None:
        words = ("root-drops-itself", "recycled-root-leaks", "scan-against-exit")
        words += ("-k", "seed-v2", "-k", "v2.6.38", "--format", "json")

        alone, together = (
            json.loads(rmaplab("check", *words, "--jobs", jobs).stdout)["results"]
            for jobs in ("1", "2")
        )

        for result in (*alone, *together):
            del result["seconds"]
        assert alone == together

    def test_diagrams_come_before_the_matrix(self) -> None:
        words = ("root-drops-itself", "-k", "seed-v2", "-k", "v2.6.38", "--diagrams")

        out = rmaplab("check", *words).stdout

        assert out.index("*** REFCOUNT-UNDERFLOW ***") < out.index("2 checks, 2 as expected")

    def test_the_full_walk_says_the_same(self) -> None:
        assert rmaplab("check", *QUICK, "--full").exit_code == 0


class TestSeveralCauses:
    """The bad unlock, and the races that go with it."""

    WORDS = ("unlock-of-another-root", "--kernel", "76545066c852")

    def test_the_nearest_is_told_in_full_and_the_others_are_listed(self) -> None:
        out = rmaplab("check", *self.WORDS).stdout

        assert out.startswith("WARNING: bad unlock balance detected!\n")
        assert "  2  data-race" in out and "  3  data-race" in out

    def test_each_is_told_in_full_by_its_number(self) -> None:
        out = rmaplab("check", *self.WORDS, "--violation", "2").stdout

        assert out.startswith("BUG: KCSAN: data-race in ")
        assert "*** DATA-RACE ***" in out and "  1  bad-unlock" in out

    def test_a_number_that_there_is_not_is_bad_input(self) -> None:
        said = refused("check", *self.WORDS, "--violation", "4")

        assert "--violation 4: there are 3" in said

    def test_it_is_of_one_check(self) -> None:
        said = refused("check", self.WORDS[0], "--violation", "1")

        assert "name one LITMUS and one --kernel" in said

    def test_the_document_has_all_of_them(self) -> None:
        (result,) = json.loads(rmaplab("check", *self.WORDS, "--format", "json").stdout)["results"]

        assert [each["kind"] for each in result["violations"]] == [
            "bad-unlock", "data-race", "data-race",
        ]  # fmt: skip
        assert result["violations"][0]["trace"] == result["trace"]


class TestCoverage:
    WORDS = ("root-drops-itself", "exit-of-three-generations", "-k", "v2.6.38", "--coverage")

    def test_the_checks_of_a_kernel_are_put_together_on_however_many_processes(self) -> None:
        one = rmaplab("check", *self.WORDS, "-j", "1").stdout
        two = rmaplab("check", *self.WORDS, "-j", "2").stdout

        assert one == two
        assert "Coverage of v2.6.38 by 2 checks, set-up apart: " in one
        assert "never entered: " in one and "anon_vma_fork" in one

    def test_what_one_check_alone_reaches_is_less(self) -> None:
        def reached(*words: str) -> int:
            (line,) = (
                line
                for line in rmaplab("check", *words).stdout.splitlines()
                if " entered, " in line
            )
            return int(line.split(" entered, ")[1].split()[0].replace(",", ""))

        assert reached(self.WORDS[0], *self.WORDS[2:]) < reached(*self.WORDS)

    def test_a_document_has_the_lines_where_they_are_asked_for(self) -> None:
        words = (*QUICK, "--format", "json")

        (without,) = json.loads(rmaplab("check", *words).stdout)["results"]
        (with_lines,) = json.loads(rmaplab("check", *words, "--coverage").stdout)["results"]

        assert set(without) == FIELDS
        assert {"function", "file", "reached", "missed"} == set(with_lines["coverage"][0])


class TestSwitches:
    """What is compiled out: the counts of 2.6.35 and later are there for either switch."""

    CASES = ("root-drops-itself", "root-dies-under-pinned-child", "migration-pins-freed-anon-vma")

    def verdicts(self, kernel: str, *switches: str) -> list[str]:
        words = [word for switch in switches for word in ("--config", f"{switch}=n")]
        done = rmaplab("check", *self.CASES, "-k", kernel, *words, "--format", "json")
        return [result["verdict"] for result in json.loads(done.stdout)["results"]]

    def test_one_of_the_two_is_enough_for_the_patch_to_underflow(self) -> None:
        under = "refcount-underflow"

        assert self.verdicts("seed-v2", "CONFIG_KSM") == [under] * 3
        assert self.verdicts("seed-v2", "CONFIG_MIGRATION") == [under] * 3

    def test_without_both_get_and_drop_are_compiled_out(self) -> None:
        assert self.verdicts("seed-v2", "CONFIG_KSM", "CONFIG_MIGRATION") == ["clean"] * 3

    def test_without_ksm_nobody_pins_the_child(self) -> None:
        assert self.verdicts("root-lock") == ["clean", "use-after-free", "use-after-free"]
        assert self.verdicts("root-lock", "CONFIG_KSM") == ["clean", "clean", "use-after-free"]

    def test_without_migration_nobody_pins_what_is_freed(self) -> None:
        assert self.verdicts("root-lock", "CONFIG_MIGRATION") == [
            "clean", "use-after-free", "clean",
        ]  # fmt: skip

    def test_without_ksm_its_knobs_are_errors_and_no_bug_of_the_kernel(self, litmus: Any) -> None:
        path = litmus(
            "litmus x\nksm run=1\nsetup\n unmerge_all\n set run 1\n ksmd: scan\nend alive A\n"
        )
        words = (path, "-k", "v2.6.38", "--config", "CONFIG_KSM=n")

        assert rmaplab("check", *words).exit_code == 0
        ran = rmaplab("run", *words)
        assert ran.exit_code == 0
        assert "unmerge_all -> EINVAL" in ran.stdout
