"""What README.md and docs show is what the commands print. `make docs` renews it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from rmaplab.history import V2_6_38
from rmaplab.litmus.operations import OPERATIONS
from rmaplab.litmus.reader import read_text
from rmaplab.runner.scenario import check_steps

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))

import generate  # noqa: E402

DOCUMENTS = generate.documents()
BLOCKS = [block for document in DOCUMENTS for block in generate.blocks(document)]


@pytest.mark.parametrize(
    "block",
    [block for block in BLOCKS if block.name not in generate.SLOW],
    ids=lambda block: f"{block.document.name}-{block.name}",
)
def test_a_shown_output_is_what_is_printed_now(block: generate.Block) -> None:
    assert block.text == block.now()


def test_the_slow_blocks_are_there_for_the_slow_tests() -> None:
    assert {block.name for block in BLOCKS} >= generate.SLOW


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_marker_has_its_end(document: Path) -> None:
    text = document.read_text("utf-8")

    assert len(re.findall("<!-- [$=] ", text)) == text.count("<!-- end -->")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_link_leads_to_a_file(document: Path) -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", document.read_text("utf-8"))

    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_example_of_the_language_is_a_litmus() -> None:
    text = (ROOT / "docs/litmus.md").read_text("utf-8")

    litmus = read_text(text.partition("```text\n")[2].partition("```")[0])

    check_steps(litmus)
    assert (litmus.processes, litmus.alive) == (("A", "B"), ("B",))
    assert [step.op for step in litmus.setup] == ["mmap", "write", "write", *["poke"] * 4]


def test_every_step_is_in_the_list() -> None:
    table = generate.steps()

    assert table.count("\n") == len(OPERATIONS) + 2


def test_the_example_patch_changes_one_function() -> None:
    sys.path.insert(0, str(ROOT / "examples"))
    from mypatch import MyPatch

    own = [name for name in vars(MyPatch) if not name.startswith("__")]
    assert (MyPatch.__bases__, own) == ((V2_6_38,), ["_scan_mm"])


def test_seconds_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "_rmaplab", lambda words: "3 states, 12.34 s\n")

    assert generate.output("rmaplab check x") == "3 states, ... s"


def test_a_table_is_not_rewritten_for_its_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = "<!-- = bugs -->\n| 34 | 0.12 s |\n<!-- end -->\n"
    for now, changed in (("| 34 | 0.15 s |\n", False), ("| 35 | 0.12 s |\n", True)):
        monkeypatch.setitem(generate.TABLES, "bugs", lambda now=now: now)

        assert (generate.rewritten(shown) != shown) is changed
