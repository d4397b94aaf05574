"""JUnit's XML: what most CI servers read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from xml.etree import ElementTree

from rmaplab.checker.verdict import CLEAN, UNDETERMINED, Result
from rmaplab.report.violation import render_violation

#: What XML 1.0 cannot hold, escaped or not.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(results: Sequence[Result]) -> str:
    """A suite for each litmus, a case for each kernel.

    A verdict other than the expected is a failure; a limit that was reached is an error.
    """
    root = _element("testsuites", results, name="rmaplab")
    for name, group in groupby(results, lambda each: each.litmus):
        ofthis = list(group)
        suite = _element("testsuite", ofthis, name=name)
        suite.extend(map(_case, ofthis))
        root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _element(tag: str, results: Sequence[Result], name: str) -> ElementTree.Element:
    return ElementTree.Element(
        tag,
        name=_text(name),
        tests=str(len(results)),
        failures=str(sum(_failed(result) for result in results)),
        errors=str(sum(result.verdict == UNDETERMINED for result in results)),
        time=f"{sum(result.outcome.seconds for result in results):.3f}",
    )


def _failed(result: Result) -> bool:
    return not result.as_expected and result.verdict != UNDETERMINED


def _case(result: Result) -> ElementTree.Element:
    seconds = f"{result.outcome.seconds:.3f}"
    case = ElementTree.Element(
        "testcase", classname=_text(result.litmus), name=_text(result.kernel), time=seconds
    )
    if result.verdict == UNDETERMINED:
        reason = _text(result.outcome.reason)
        ElementTree.SubElement(case, "error", type=UNDETERMINED, message=reason)
    elif _failed(result):
        message = f"{result.verdict}, expected {result.expected or CLEAN}"
        failure = ElementTree.SubElement(case, "failure", type=result.verdict, message=message)
        if result.outcome.violation is not None:
            failure.text = _text(render_violation(result))
    states = f"{result.verdict}: {result.outcome.states} states"
    ElementTree.SubElement(case, "system-out").text = states
    return case


def _text(text: str) -> str:
    return _FORBIDDEN.sub("?", text)
