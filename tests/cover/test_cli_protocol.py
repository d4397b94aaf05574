"""`rmaplab protocol`: files of the user's own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from command import refused, rmaplab

from rmaplab.checker.options import Native, Options
from rmaplab.checker.protocol import Protocol, check_protocol
from rmaplab.checker.verdict import Result
from rmaplab.runner.identity import identified
from rmaplab.userfile import run_file

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "entry_cache.py")
SOURCE = """
from rmaplab.protocol import *

class Word(Struct):
    word = value(0)

class Racy(Protocol):
    cpus = ("store", "store")
    def setup(self):
        self.word = self.static(Word, "word")
    def store(self):
        self.word.word = 1
"""


def test_all_protocols_of_a_file_make_a_matrix() -> None:
    done = rmaplab("protocol", EXAMPLE)

    assert done.exit_code == 0
    assert done.stdout.startswith("            entry_cache.py\n")
    assert "EntryCache  .\nCareless    uaf+\n" in done.stdout


def test_one_protocol_is_reported_in_full() -> None:
    done = rmaplab("protocol", f"{EXAMPLE}:Careless")

    assert done.exit_code == 0
    assert (
        "protocol: Careless of entry_cache.py\nverdict: use-after-free, as expected" in done.stdout
    )
    assert "litmus" not in done.stdout


def test_what_is_not_expected_gives_1(tmp_path: Path) -> None:
    file = tmp_path / "racy.py"
    file.write_text(SOURCE)

    done = rmaplab("protocol", str(file))

    assert done.exit_code == 1
    assert "BUG: KCSAN: data-race in store / store" in done.stdout
    assert "verdict: data-race, expected clean" in done.stdout


def test_a_limit_that_is_reached_gives_3() -> None:
    done = rmaplab("protocol", f"{EXAMPLE}:EntryCache", "--max-seconds", "0")

    assert done.exit_code == 3
    assert "EntryCache of entry_cache.py: undetermined (expected clean)" in done.stdout


def test_an_interruption_shows_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(protocol: type[Protocol], *_: Any, **__: Any) -> Result:
        if protocol.__name__ == "Careless":
            raise KeyboardInterrupt
        return check_protocol(protocol)

    monkeypatch.setattr("rmaplab.checker.protocol.check_protocol", interrupted)

    done = rmaplab("protocol", EXAMPLE)

    assert (done.exit_code, done.stderr) == (130, "interrupted: 1 of 2 checks done\n")
    assert "EntryCache  .\n" in done.stdout


@pytest.mark.parametrize("options", [(), ("--full",), ("--first",)])
def test_json_has_a_result_for_each(options: tuple[str, ...]) -> None:
    done = rmaplab("protocol", EXAMPLE, "--format", "json", *options)

    results = json.loads(done.stdout)["results"]
    assert [(each["litmus"], each["kernel"], each["verdict"]) for each in results] == [
        ("EntryCache", "entry_cache.py", "clean"),
        ("Careless", "entry_cache.py", "use-after-free"),
    ]


def test_a_full_walk_has_more_states() -> None:
    states = [
        json.loads(rmaplab("protocol", f"{EXAMPLE}:EntryCache", "--format", "json", *full).stdout)[
            "results"
        ][0]["states"]
        for full in ((), ("--full",))
    ]

    assert states[0] < states[1]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("{example}:Nobody", "has no protocol `Nobody`: it has EntryCache, Careless"),
        ("{folder}/none.py", "there is no file"),
        ("{folder}/text", "is not a Python file: its name should end in .py"),
        ("{folder}/empty.py", "has no protocol: derive a class from rmaplab.protocol.Protocol"),
        ("{folder}/broken.py", "broken.py does not run: ZeroDivisionError: division by zero"),
        ("{folder}/dumb.py", 'Dumb: say what runs at once, as in cpus = ("reader", "writer")'),
    ],
)
def test_what_cannot_be_checked_is_said_in_a_line(tmp_path: Path, name: str, told: str) -> None:
    for file, source in {
        "text": "",
        "empty.py": "from rmaplab.protocol import Protocol",
        "broken.py": "1 / 0",
        "dumb.py": "from rmaplab.protocol import Protocol\nclass Dumb(Protocol):\n    pass",
    }.items():
        (tmp_path / file).write_text(source)

    assert told in refused("protocol", name.format(example=EXAMPLE, folder=tmp_path))


def test_check_says_how_a_protocol_is_checked() -> None:
    name = os.path.join("examples", "entry_cache.py")

    assert f"Write `rmaplab protocol {name}`" in refused("check", name)


def test_a_checkpoint_is_of_one_protocol(tmp_path: Path) -> None:
    words = ("protocol", EXAMPLE, "--full", "--checkpoint", str(tmp_path / "file"))

    assert "--checkpoint is for one check: name one FILE.py:CLASS" in refused(*words)


def test_the_checkpoints_of_two_protocols_are_not_taken_for_each_other() -> None:
    right, broken = (item for item in vars(run_file(Path(EXAMPLE))).values() if is_protocol(item))
    options = Options(native=Native(checkpoint="file"))

    marks = [identified(options, None, each).native.identity for each in (right, broken, right)]

    assert marks[0] == marks[2] != marks[1]
    assert identified(Options(), None, right) == Options()


def is_protocol(item: object) -> bool:
    return isinstance(item, type) and issubclass(item, Protocol) and item is not Protocol
