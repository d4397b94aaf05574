"""Writes a litmus in the text language: what `read_text` reads back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from rmaplab.litmus.model import Litmus, Step
from rmaplab.litmus.operations import OPERATIONS, Operand, marked

INDENT = "    "


def write_text(litmus: Litmus) -> str:
    """The litmus as text.

    What only a recorded case has (observations, `unstable`, `drop`) has no place in it.
    """
    lines = [*_header(litmus), "", *_blocks(litmus), *_ending(litmus)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _header(litmus: Litmus) -> Iterable[str]:
    yield f"litmus {litmus.name}"
    if litmus.about:
        yield _docstring(litmus.about)
    yield f"processes {' '.join(litmus.processes)}"
    if litmus.config:
        switches = {name: "y" if on else "n" for name, on in litmus.config.items()}
        yield f"config {_assignments(switches)}"
    if litmus.ksm:
        yield f"ksm {_assignments(litmus.ksm)}"
    if litmus.bound:
        yield f"bound {_assignments(litmus.bound)}"
    if litmus.pageblock is not None:
        yield f"pageblock {litmus.pageblock}"
    if litmus.allow:
        yield f"allow {' '.join(litmus.allow)}"


def _docstring(about: str) -> str:
    escaped = re.sub(r'"(?="|\Z)', r"\"", about.replace("\\", r"\\"))
    return f'"""\n{escaped}\n"""' if "\n" in about else f'"""{escaped}"""'


def _assignments(values: Mapping[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())


def _blocks(litmus: Litmus) -> Iterable[str]:
    if litmus.setup:
        yield from _block("setup", litmus.setup)
    for cpu, steps in litmus.cpus.items():
        yield from _block(f"CPU{cpu}", steps)
    if litmus.finally_:
        yield from _block("finally", litmus.finally_)


def _block(title: str, steps: Iterable[Step]) -> Iterable[str]:
    yield title
    for step in steps:
        yield INDENT + write_step(step)


def _ending(litmus: Litmus) -> Iterable[str]:
    if litmus.alive:
        yield f"end alive {' '.join(litmus.alive)}"
    if litmus.expect:
        yield "expect"
        width = max(len(expectation.kernels) for expectation in litmus.expect)
        for expectation in litmus.expect:
            yield f"{INDENT}{expectation.kernels:{width}}  {expectation.verdict}"


def write_step(step: Step) -> str:
    """One step as the text language writes it."""
    words = [f"fail {step.args['fail']}"] if "fail" in step.args else []
    if step.process is not None:
        words.append(f"{step.process}:")
    words.append(step.op)
    words += [_operand(operand, step.args) for operand in OPERATIONS[step.op]]
    return " ".join(word for word in words if word)


def _operand(operand: Operand, args: Mapping[str, Any]) -> str:
    if operand.several and "cs" in args:
        return " ".join([operand.mark, *map(str, args["cs"])])
    if operand.name == "n" and "cs" in args:
        return ""  # as many pages as contents
    value = args.get(operand.name, operand.default)
    if operand.is_flag:
        return operand.mark if value else ""
    needed = operand.name == "n" and "new_n" in args  # or the new count would read as the old
    if value is None or (operand.optional and value == operand.default and not needed):
        return ""
    if isinstance(value, bool):
        value = "on" if value else "off"
    return marked(operand.mark, value)
