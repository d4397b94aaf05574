"""Traces that last: a file with the litmus, the kernel's name and the steps by their names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from rmaplab.checker.follow import Followed, follow
from rmaplab.checker.verdict import VIOLATIONS, TraceStep, Violation
from rmaplab.errors import InputError, Place
from rmaplab.kernel.kernel import Kernel
from rmaplab.litmus.model import Litmus
from rmaplab.litmus.reader import read_text
from rmaplab.litmus.writer import write_text
from rmaplab.runner.scenario import build

FORM = "rmaplab-trace-1"

#: Verdicts whose last steps, one for each CPU concerned, were only about to happen.
ABOUT_TO = ("data-race", "deadlock")


@dataclass(frozen=True)
class SavedTrace:
    """A violation's steps, and all that is needed to take them again."""

    litmus: Litmus
    kernel: str
    verdict: str
    message: str
    steps: tuple[TraceStep, ...]
    pending: int


def save(path: str, litmus: Litmus, kernel: str, violation: Violation) -> None:
    """Write a violation's trace; OSError if the file cannot be written."""
    document = {
        "form": FORM,
        "litmus": write_text(litmus),
        "kernel": kernel,
        "verdict": violation.kind,
        "message": violation.message,
        "pending": pending_of(violation),
        "steps": [asdict(step) for step in violation.trace],
    }
    Path(path).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def pending_of(violation: Violation) -> int:
    """How many of the last steps were only about to happen."""
    return len(violation.accesses) if violation.kind in ABOUT_TO else 0


def is_trace(path: str) -> bool:
    """Whether a file looks like one that `save` wrote."""
    try:
        with open(path, "rb") as file:
            return FORM.encode() in file.read(200)
    except OSError:
        return False


def load(path: str) -> SavedTrace:
    """Read a trace that `save` wrote; InputError for anything else."""
    try:
        document = json.loads(Path(path).read_text())
    except json.JSONDecodeError as error:
        raise InputError(f"no JSON: {error.msg}", Place(path, error.lineno, error.colno)) from None
    except (OSError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InputError(f"cannot be read as a trace: {error}", Place(path)) from None
    if not isinstance(document, dict) or document.get("form") != FORM:
        message = f"is no trace: write one with `check --save-trace` (`form` is {FORM})"
        raise InputError(message, Place(path))
    return _Reader(document, path).trace()


class _Reader:
    """One document under conversion; errors name the field."""

    def __init__(self, document: Mapping[str, Any], path: str) -> None:
        self.document = document
        self.path = path

    def trace(self) -> SavedTrace:
        verdict = self._field(self.document, "verdict", str)
        if verdict not in VIOLATIONS:
            raise self._bad("verdict", f"is none of {', '.join(VIOLATIONS)}")
        steps = tuple(map(self._step, self._field(self.document, "steps", list)))
        pending = self._field(self.document, "pending", int)
        if not 0 <= pending <= len(steps):
            raise self._bad("pending", f"is not between 0 and {len(steps)}, the number of steps")
        text = self._field(self.document, "litmus", str)
        return SavedTrace(
            read_text(text, f"{self.path} (litmus)"),
            self._field(self.document, "kernel", str),
            verdict,
            self._field(self.document, "message", str),
            steps,
            pending,
        )

    def _step(self, raw: Any) -> TraceStep:
        if not isinstance(raw, dict):
            raise self._bad("steps", "has something else than objects")
        kinds = {"cpu": int}
        return TraceStep(
            **{
                each.name: self._field(raw, each.name, kinds.get(each.name, str))
                for each in fields(TraceStep)
            }
        )

    def _field(self, owner: Mapping[str, Any], name: str, kind: type) -> Any:
        if not isinstance(owner.get(name), kind) or isinstance(owner[name], bool):
            raise self._bad(name, f"is missing, or no {kind.__name__}")
        return owner[name]

    def _bad(self, name: str, why: str) -> InputError:
        return InputError(f"`{name}` {why}", Place(self.path))


def replay(trace: SavedTrace, kernel: type[Kernel]) -> Followed:
    """Take the steps again on a kernel; KernelStateError if its set-up goes wrong."""
    return follow(build(trace.litmus, kernel), trace.steps, trace.pending)
