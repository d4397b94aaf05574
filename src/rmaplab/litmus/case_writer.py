"""Writes a litmus in the JSON form of recorded cases: what `read_case` reads back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from rmaplab.litmus.model import Litmus, Step
from rmaplab.litmus.operations import OPERATIONS, WITHOUT_PROCESS, Number


def write_case(litmus: Litmus) -> str:
    """The case, a line for each step and for each observation.

    All steps are written as done in order. Configurations, bounds and expected verdicts have no
    place in it.
    """
    blocks = [litmus.setup, *litmus.cpus.values(), litmus.finally_]
    head: dict[str, Any] = {"name": litmus.name, "about": litmus.about}
    head["roots"] = list(litmus.processes)
    head |= {"ksm": dict(litmus.ksm)} if litmus.ksm else {}
    head |= {"drop": list(litmus.drop)} if litmus.drop else {}
    head["unstable"] = [[step, field, list(keys)] for step, field, keys in litmus.unstable]
    lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    lines.append(_lines("steps", (_step(step) for block in blocks for step in block)))
    if litmus.observations:
        lines.append(_lines("expect", litmus.observations))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _lines(name: str, entries: Iterable[Any]) -> str:
    written = ",\n".join(f"  {json.dumps(entry)}" for entry in entries)
    return f' "{name}": [\n{written}\n ]'


def _step(step: Step) -> dict[str, Any]:
    written: dict[str, Any] = {"op": step.op}
    if step.op not in WITHOUT_PROCESS:
        written["p"] = step.process
    operands = OPERATIONS[step.op]
    defaults = {each.name: each.default for each in operands if not isinstance(each.kind, Number)}
    return written | {
        name: value
        for name, value in step.args.items()
        if (
            "cs" not in step.args
            if name == "n"
            else name not in defaults or value != defaults[name]
        )
    }
