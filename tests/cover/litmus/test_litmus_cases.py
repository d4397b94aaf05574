"""The JSON form of recorded cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rmaplab.errors import InputError, Place
from rmaplab.litmus.cases import read_case
from rmaplab.litmus.model import Litmus
from rmaplab.litmus.reader import read_file, read_text
from rmaplab.litmus.writer import write_text

CASES = sorted((Path(__file__).parents[2] / "cases").glob("*.json"))


def case(*steps: dict[str, Any], **fields: Any) -> Litmus:
    return read_case(json.dumps({"name": "x", "steps": steps, **fields}), "x.json")


def refused(text: str) -> InputError:
    with pytest.raises(InputError) as caught:
        read_case(text, "x.json")
    return caught.value


def test_there_are_eight_recorded_cases() -> None:
    assert len(CASES) == 8


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_recorded_case_keeps_every_step_and_observation(path: Path) -> None:
    document = json.loads(path.read_text())

    litmus = read_file(path)

    assert litmus.name == path.stem == document["name"]
    assert litmus.about == document["about"]
    assert litmus.processes == tuple(document.get("roots", ["A"]))
    assert litmus.ksm == document.get("ksm", {})
    assert list(litmus.observations) == document["expect"]
    assert [list(entry[:2]) for entry in litmus.unstable] == [
        entry[:2] for entry in document["unstable"]
    ]
    assert [step.op for step in litmus.setup] == [step["op"] for step in document["steps"]]
    for step, raw in zip(litmus.setup, document["steps"], strict=True):
        given = {name: value for name, value in raw.items() if name not in ("op", "p", "cs")}
        assert given.items() <= dict(step.args).items()
        assert step.args.get("cs", ()) == tuple(raw.get("cs", ()))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_recorded_case_is_written_as_text_and_read_back(path: Path) -> None:
    litmus = read_file(path)

    again = read_text(write_text(litmus))

    assert [str(step) for step in again.setup] == [str(step) for step in litmus.setup]
    assert (again.name, again.about, again.ksm) == (litmus.name, litmus.about, litmus.ksm)
    assert again.alive == litmus.alive


def test_who_never_exits_is_alive() -> None:
    litmus = case(
        {"op": "fork", "p": "A", "child": "C"},
        {"op": "fork", "p": "C", "child": "D"},
        {"op": "exit", "p": "C"},
        roots=["A", "B"],
    )

    assert litmus.alive == ("A", "B", "D")


def test_unstable_and_drop_are_kept() -> None:
    litmus = case(unstable=[[15, "changed", ["K"]]], drop=["smaps"])

    assert litmus.unstable == ((15, "changed", ("K",)),)
    assert litmus.drop == ("smaps",)


@pytest.mark.parametrize(
    ("step", "args"),
    [
        ({"op": "write", "p": "A", "at": 0, "cs": [7]}, {"at": 0, "n": 1, "c": 7}),
        (
            {"op": "write", "p": "A", "at": 0, "n": 2, "cs": [7, 8], "low": 1},
            {"at": 0, "n": 2, "cs": (7, 8), "low": True},
        ),
        ({"op": "write", "p": "A", "at": 0, "c": 7, "low": 0}, {"at": 0, "n": 1, "c": 7}),
        ({"op": "fault", "p": "A", "at": 0, "write": 1}, {"at": 0, "n": 1, "write": True}),
        ({"op": "prctl_merge", "p": "A", "on": 1}, {"on": True}),
        ({"op": "scan"}, {"k": 1}),
        ({"op": "scan", "p": "ksmd", "k": 3, "fail": 2}, {"k": 3, "fail": 2}),
    ],
)
def test_a_json_step_has_the_operands_of_a_text_step(
    step: dict[str, Any], args: dict[str, Any]
) -> None:
    (read,) = case(step).setup

    assert dict(read.args) == args


def test_bad_json_is_refused_with_line_and_column() -> None:
    error = refused('{\n "name": "x",\n "steps": [,]\n}')

    assert error.place == Place("x.json", 3, 12)
    assert error.message == "is no JSON here: expecting value"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested too deep"),
        ('{"name": ' + "9" * 5000 + "}", "a number too long"),
        ("[]", "is no case: write an object with `name` and `steps`"),
    ],
)
def test_json_that_is_no_case_is_refused(text: str, message: str) -> None:
    assert message in refused(text).message


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "steps: `None` is no list: write one"),
        ({"steps": []}, "name: `None` is no text: write one"),
        ({"name": "a b", "steps": []}, "name: `a b` is no name"),
        ({"name": "x", "steps": {}}, "steps: `{}` is no list"),
        ({"name": "x", "steps": [5]}, "steps[0]: `5` is no object"),
        ({"name": "x", "steps": [], "about": 5}, "about: `5` is no text"),
        ({"name": "x", "steps": [], "roots": "A"}, "roots: `A` is no list"),
        ({"name": "x", "steps": [], "roots": []}, "roots: a case needs a process"),
        ({"name": "x", "steps": [], "roots": ["A", "A"]}, "roots[1]: process `A` stands here"),
        ({"name": "x", "steps": [], "roots": ["a b"]}, "roots[0]: `a b` is no name"),
        ({"name": "x", "steps": [], "roots": ["end"]}, "roots[0]: `end` means something else"),
        ({"name": "x", "steps": [], "ksm": {"run": "1"}}, "ksm.run: `1` is no VALUE"),
        ({"name": "x", "steps": [], "ksm": {"runn": 1}}, "ksm.runn: unknown knob `runn`"),
        ({"name": "x", "steps": [], "expect": [{}]}, "expect: 1 observations for 0 steps"),
        ({"name": "x", "steps": [], "unstable": [[1, "a"]]}, "unstable[0]: `[1, 'a']`: write"),
        ({"name": "x", "steps": [], "unstable": [[1, "a", [2]]]}, "unstable[0]"),
        ({"name": "x", "steps": [], "drop": [5]}, "drop[0]: `5` is no text"),
    ],
)
def test_a_wrong_field_of_a_case_is_named(document: dict[str, Any], message: str) -> None:
    error = refused(json.dumps(document))

    assert error.place == Place("x.json")
    assert error.message.startswith(message)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({}, "steps[1].op: unknown operation `None`"),
        ({"op": ["exit"]}, "steps[1].op: unknown operation"),
        ({"op": "exti", "p": "A"}, "steps[1].op: unknown operation `exti`: did you mean `exit`?"),
        ({"op": "exit"}, "steps[1].p: `exit` needs a process"),
        ({"op": "exit", "p": 5}, "steps[1].p: `5` is no name of a process"),
        ({"op": "exit", "p": "Q"}, "steps[1]: unknown process `Q`: write A"),
        ({"op": "compact", "p": "A"}, "steps[1].p: `compact` is not done by a process"),
        ({"op": "fork", "p": "A"}, "steps[1].child: missing: write a value, CHILD"),
        ({"op": "fork", "p": "A", "child": "A"}, "steps[1]: there is a process `A` already"),
        ({"op": "fork", "p": "A", "child": 5}, "steps[1].child: `5` is no name of a process"),
        ({"op": "read", "p": "A"}, "steps[1].at: missing"),
        ({"op": "read", "p": "A", "at": "0"}, "steps[1].at: `0` is no PAGE"),
        ({"op": "read", "p": "A", "at": True}, "steps[1].at: `True` is no PAGE"),
        ({"op": "read", "p": "A", "at": 0.5}, "steps[1].at: `0.5` is no PAGE"),
        ({"op": "read", "p": "A", "at": -1}, "steps[1].at: `-1` is no PAGE"),
        ({"op": "read", "p": "A", "at": 0, "n": None}, "steps[1].n: `None` is no COUNT"),
        ({"op": "read", "p": "A", "at": 0, "m": 1}, "steps[1].m: unknown field of `read` `m`"),
        ({"op": "mprotect", "p": "A", "at": 0, "prot": 3}, "steps[1].prot: unknown protection"),
        ({"op": "prctl_merge", "p": "A", "on": "yes"}, "steps[1].on: `yes` is neither yes nor no"),
        ({"op": "set", "knob": "run", "value": -1}, "steps[1].value: `-1` is no VALUE"),
        ({"op": "scan", "fail": 0}, "steps[1].fail: `0` is no COUNT"),
        ({"op": "write", "p": "A", "at": 0}, "steps[1].c: missing: write a value, CONTENT"),
        ({"op": "write", "p": "A", "at": 0, "cs": []}, "steps[1].cs: `[]` is no list of contents"),
        ({"op": "write", "p": "A", "at": 0, "cs": [1, "2"]}, "steps[1].cs[1]: `2` is no CONTENT"),
        ({"op": "write", "p": "A", "at": 0, "cs": [1], "c": 1}, "steps[1].cs: there is `c`"),
        ({"op": "write", "p": "A", "at": 0, "cs": [1], "n": 2}, "steps[1].cs: 1 contents for `2`"),
    ],
)
def test_a_wrong_step_is_named_by_index_and_field(step: dict[str, Any], message: str) -> None:
    error = refused(json.dumps({"name": "x", "steps": [{"op": "scan"}, step]}))

    assert error.place == Place("x.json")
    assert error.message.startswith(message)
