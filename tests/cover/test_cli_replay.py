"""check --save-trace and replay: exit statuses, what is printed, bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command import refused, rmaplab


@pytest.fixture
def saved(tmp_path: Path) -> str:
    path = str(tmp_path / "trace.json")
    rmaplab("check", "root-drops-itself", "-k", "seed-v2", "--save-trace", path)
    return path


def test_a_trace_is_met_again(saved: str) -> None:
    done = rmaplab("replay", saved)

    assert done.exit_code == 0
    assert done.stdout == (
        "root-drops-itself on seed-v2: refcount-underflow after the same 32 steps\n"
    )


def test_on_the_cured_kernel_the_root_is_freed_where_the_patch_drops_it(saved: str) -> None:
    done = rmaplab("replay", saved, "--kernel", "76545066c852")

    assert done.exit_code == 1
    _, differs, *_, recorded, here = done.stdout.splitlines()
    assert differs == "76545066c852: differs first at step 31 (another step)"
    assert recorded.split()[:2] == ["seed-v2", "CPU0"] and "load(anon_vma#1.root)" in recorded
    assert here.split()[:2] == ["76545066c852", "CPU0"] and "free(anon_vma#1)" in here


def test_a_kernel_of_the_users_own_is_found_again(tmp_path: Path) -> None:
    path = str(tmp_path / "trace.json")
    patch = tmp_path / "mine.py"
    patch.write_text("from rmaplab.history import SeedV2\nclass Mine(SeedV2):\n    pass\n")
    rmaplab("check", "root-drops-itself", "-k", f"{patch}:Mine", "--save-trace", path)

    assert rmaplab("replay", path).exit_code == 0


def test_the_same_steps_without_the_fault_are_a_difference(saved: str) -> None:
    document = json.loads(Path(saved).read_text())
    document["steps"].pop()
    Path(saved).write_text(json.dumps(document))

    done = rmaplab("replay", saved)

    assert done.exit_code == 1
    assert "the same steps, but nothing is wrong at their end" in done.stdout


def test_another_value_is_told(saved: str) -> None:
    document = json.loads(Path(saved).read_text())
    document["steps"][2]["after"] = "77"
    document["steps"][3]["action"] = "another"
    Path(saved).write_text(json.dumps(document))

    done = rmaplab("replay", saved)

    assert "seed-v2: differs first at step 4 (another step)" in done.stdout
    assert "seed-v2: the first other value is left by step 3" in done.stdout
    assert "1 -> 77" in done.stdout and "1 -> 0" in done.stdout


def test_a_clean_check_writes_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"

    done = rmaplab("check", "root-drops-itself", "-k", "v2.6.38", "--save-trace", str(path))

    assert done.exit_code == 0
    assert not path.exists()
    assert done.stderr == f"nothing is wrong: {path} is not written\n"


class TestBadInput:
    def test_a_trace_is_of_one_check(self, tmp_path: Path) -> None:
        two = ("-k", "seed-v2", "-k", "v2.6.38")

        said = refused("check", "root-drops-itself", *two, "--save-trace", str(tmp_path / "x"))

        assert "name one LITMUS and one --kernel" in said

    def test_a_trace_that_cannot_be_written(self, tmp_path: Path) -> None:
        words = ("check", "root-drops-itself", "-k", "seed-v2", "--save-trace", str(tmp_path))

        assert "Is a directory" in refused(*words)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "1:1: no JSON"),
            ("[]", "is no trace: write one with `check --save-trace`"),
            ('{"form": "another"}', "is no trace"),
            ('{"form": "rmaplab-trace-1"}', "`verdict` is missing, or no str"),
            ("[" * 100_000, "cannot be read as a trace"),
        ],
    )
    def test_what_is_no_trace(self, tmp_path: Path, text: str, said: str) -> None:
        path = tmp_path / "trace.json"
        path.write_text(text)

        assert said in refused("replay", str(path))

    @pytest.mark.parametrize("path", ["missing.json", "."])
    def test_what_is_no_file(self, path: str) -> None:
        assert "cannot be read as a trace" in refused("replay", path)

    @pytest.mark.parametrize(
        ("field", "value", "said"),
        [
            ("verdict", "clean", "`verdict` is none of use-after-free"),
            ("pending", 33, "`pending` is not between 0 and 32"),
            ("pending", True, "`pending` is missing, or no int"),
            ("steps", [3], "`steps` has something else than objects"),
            ("steps", [{"cpu": "0"}], "`cpu` is missing, or no int"),
            ("litmus", "litmus", "trace.json (litmus):1"),
            ("kernel", "v2.6.99", "--kernel v2.6.99: "),
        ],
    )
    def test_a_field_that_cannot_be(self, saved: str, field: str, value: Any, said: str) -> None:
        document = json.loads(Path(saved).read_text())
        document[field] = value
        Path(saved).write_text(json.dumps(document))

        assert said in refused("replay", saved)
