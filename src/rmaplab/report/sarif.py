"""SARIF 2.1.0: what code hosts show beside the source."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rmaplab import __version__
from rmaplab.checker.verdict import UNDETERMINED, VIOLATIONS, Frame, Result, TraceStep, Violation
from rmaplab.report.heading import title
from rmaplab.report.words import in_a_line, innermost, site

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"

#: Where the sources of this package are in its repository.
PACKAGE = "src/rmaplab"

Object = dict[str, Any]


def render_sarif(results: Sequence[Result]) -> str:
    """A result for each violation, its trace as a code flow with a thread for each CPU.

    One that the litmus expects is suppressed. A limit that was reached is a notification.
    """
    driver = {
        "name": "rmaplab",
        "version": __version__,
        "rules": [{"id": kind, "shortDescription": {"text": kind}} for kind in VIOLATIONS],
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [_invocation(results)],
        "results": [
            _result(result, violation, _level(result, violation))
            for result in results
            for violation in result.outcome.violations
        ],
    }
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _invocation(results: Sequence[Result]) -> Object:
    """What was left undetermined."""
    return {
        "executionSuccessful": True,
        "toolExecutionNotifications": [
            {"level": "warning", "message": {"text": f"{each.title}: {each.outcome.reason}"}}
            for each in results
            if each.verdict == UNDETERMINED
        ],
    }


def _level(result: Result, violation: Violation) -> str:
    """What a litmus expects is no news; what else goes wrong on that kernel is worth a look."""
    if not result.as_expected:
        return "error"
    return "note" if violation.kind == result.expected else "warning"


def _result(result: Result, violation: Violation, level: str) -> Object:
    told: Object = {
        "ruleId": violation.kind,
        "ruleIndex": VIOLATIONS.index(violation.kind),
        "level": level,
        "message": {"text": f"{title(violation)} ({result.title}): {violation.message}"},
        "locations": [_location(site(violation))],
        "partialFingerprints": {"litmusAndKernel/v1": f"{result.litmus}/{result.kernel}"},
    }
    if violation.trace:
        told["codeFlows"] = [{"threadFlows": _thread_flows(violation.trace)}]
    if level == "note":
        justification = f"{result.litmus} expects it on {result.kernel}"
        told["suppressions"] = [{"kind": "external", "justification": justification}]
    return told


def _location(frame: Frame, text: str = "") -> Object:
    file, _, line = frame.source.rpartition(":")
    file = f"{PACKAGE}/{file}" if "/" in file else file  # a user's own file has no folder
    found: Object = {"logicalLocations": [{"name": frame.function, "kind": "function"}]}
    if file:
        region = {"startLine": int(line)}
        found["physicalLocation"] = {"artifactLocation": {"uri": file}, "region": region}
    if text:
        found["message"] = {"text": text}
    return found


def _thread_flows(trace: Sequence[TraceStep]) -> list[Object]:
    """The steps of each CPU; their places in the interleaving are their execution order."""
    return [
        {
            "id": f"CPU{cpu}",
            "locations": [
                {"executionOrder": number, "location": _location(_frame(step), in_a_line(step))}
                for number, step in enumerate(trace, 1)
                if step.cpu == cpu
            ],
        }
        for cpu in sorted({step.cpu for step in trace})
    ]


def _frame(step: TraceStep) -> Frame:
    return Frame(innermost(step.call), step.source)
