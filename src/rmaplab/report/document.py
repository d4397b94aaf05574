"""The results as one JSON document, for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rmaplab.checker.verdict import UNDETERMINED, Result, Violation
from rmaplab.report.heading import title


def document(results: Sequence[Result]) -> dict[str, Any]:
    """Every result with all its violations; what it says of the nearest is also its own."""
    return {"results": [_result(result) for result in results]}


def render_json(results: Sequence[Result]) -> str:
    """The document as text, ending in a newline."""
    return json.dumps(document(results), indent=2, ensure_ascii=False) + "\n"


def _result(result: Result) -> dict[str, Any]:
    outcome = result.outcome
    violation = outcome.violation
    told: dict[str, Any] = {
        "litmus": result.litmus,
        "kernel": result.kernel,
        "verdict": result.verdict,
        "expected": result.expected,
        "as_expected": result.as_expected,
        "complete": outcome.complete,
        "states": outcome.states,
        "transitions": outcome.transitions,
        "seconds": outcome.seconds,
        "omission": outcome.omission,
        "trace": [asdict(step) for step in violation.trace] if violation else [],
        "ledger": [asdict(entry) for entry in violation.ledger] if violation else [],
        "violations": [_violation(each) for each in outcome.violations],
        "assumptions": list(result.assumptions),
        "warnings": list(result.warnings),
    }
    if outcome.coverage:
        told["coverage"] = [asdict(each) for each in outcome.coverage]
    if violation:
        told |= _explained(violation)
    if result.verdict == UNDETERMINED:
        told["reason"] = outcome.reason
    if outcome.same_as:
        told["same_as"] = outcome.same_as
    return told


def _violation(violation: Violation) -> dict[str, Any]:
    return {"kind": violation.kind, "title": title(violation), **asdict(violation)}


def _explained(violation: Violation) -> dict[str, Any]:
    return {
        "message": violation.message,
        "accesses": [asdict(access) for access in violation.accesses],
        "life": [asdict(event) for event in violation.life],
    }
