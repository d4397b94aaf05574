"""KTAP, JUnit and SARIF: read back by parsers that are not ours."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from junitparser import Error, Failure, JUnitXml
from sarif_pydantic import Sarif

import rmaplab
from rmaplab.checker.verdict import Access, Frame, Outcome, Result, TraceStep, Violation
from rmaplab.report.junit import render_junit
from rmaplab.report.ktap import render_ktap
from rmaplab.report.sarif import PACKAGE, render_sarif

LINE = "kernel/rmap/anon_vma.py:120"
FRAME = Frame("drop_anon_vma", LINE)


def step(cpu: int, action: str, source: str = LINE) -> TraceStep:
    return TraceStep(
        cpu, "A", "exit_mmap > drop_anon_vma", action, "anon_vma#1", "lock", "0", "1", source
    )


LEAK = Violation("leak", "anon_vma#1 is left")
UNDERFLOW = Violation(
    "refcount-underflow",
    "below zero, a NUL \0 and <a tag> in the message",
    (step(0, "spin_lock"), step(1, "load"), step(0, "atomic_dec", "mypatch.py:7")),
    (Access(0, "A", "atomic_dec", "anon_vma#1", "refcount", (), (FRAME,)),),
)


def result(litmus: str, kernel: str, *violations: Violation, expected: str | None = None) -> Result:
    verdict = violations[0].kind if violations else "clean"
    return Result(litmus, kernel, Outcome(verdict, True, 3, 4, 0.5, violations), expected)


def limited(litmus: str, kernel: str) -> Result:
    outcome = Outcome("undetermined", False, 3, 4, 0.5, (), "more than 2 states")
    return Result(litmus, kernel, outcome, "clean")


RESULTS = [
    result("one", "v2.6.34"),
    result("one", "seed-v2", UNDERFLOW, LEAK, expected="refcount-underflow"),
    result("two", "v2.6.34", UNDERFLOW, LEAK),
    limited("two", "seed-v2"),
    result("three", "file.py:Mine"),
]


class TestKtap:
    def test_litmuses_are_tests_and_kernels_their_subtests(self) -> None:
        lines = render_ktap(RESULTS).splitlines()

        assert lines[:2] == ["KTAP version 1", "1..3"]
        assert [line for line in lines if re.match("(not )?ok", line)] == [
            "ok 1 one",
            "not ok 2 two",
            "ok 3 three",
        ]
        assert [line.strip() for line in lines if re.match("  (not )?ok", line)] == [
            "ok 1 v2.6.34",
            "ok 2 seed-v2",
            "not ok 1 v2.6.34",
            "not ok 2 seed-v2 # TIMEOUT more than 2 states",
            "ok 1 file.py:Mine",
        ]
        assert [line for line in lines if "1.." in line] == ["1..3", "  1..2", "  1..2", "  1..1"]

    def test_all_else_is_a_diagnostic_line(self) -> None:
        known = re.compile(r"(  )?(KTAP version 1|1\.\.\d+|(not )?ok \d+ .*|# ?.*|#)$")

        assert [line for line in render_ktap(RESULTS).splitlines() if not known.match(line)] == []

    def test_only_what_is_not_expected_is_told_in_full(self) -> None:
        assert render_ktap(RESULTS).count("# litmus: ") == 1


class TestJunit:
    def test_a_public_parser_counts_the_same(self, tmp_path: Path) -> None:
        read = JUnitXml.fromstring(render_junit(RESULTS).encode())

        assert (read.tests, read.failures, read.errors) == (5, 1, 1)
        assert [(suite.name, len(list(suite))) for suite in read] == [
            ("one", 2),
            ("two", 2),
            ("three", 1),
        ]

    def test_the_failure_has_the_report_and_the_limit_is_an_error(self) -> None:
        suites = list(JUnitXml.fromstring(render_junit(RESULTS).encode()))
        failed, limited_ = list(suites[1])

        (failure,) = failed.result
        assert isinstance(failure, Failure)
        assert failure.message == "refcount-underflow, expected clean"
        assert "<a tag>" in failure.text and "kernel: v2.6.34" in failure.text
        (error,) = limited_.result
        assert isinstance(error, Error) and error.message == "more than 2 states"
        assert [case.result for case in suites[0]] == [[], []]


def sarif(results: list[Result]) -> Any:
    text = render_sarif(results)
    Sarif.model_validate_json(text)
    return json.loads(text)["runs"][0]


class TestSarif:
    def test_each_violation_is_a_result_of_a_known_rule(self) -> None:
        run = sarif(RESULTS)

        rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
        assert [(one["ruleId"], one["level"]) for one in run["results"]] == [
            ("refcount-underflow", "note"),
            ("leak", "warning"),
            ("refcount-underflow", "error"),
            ("leak", "error"),
        ]
        assert all(rules[one["ruleIndex"]] == one["ruleId"] for one in run["results"])

    def test_only_the_expected_one_is_suppressed(self) -> None:
        suppressed = ["suppressions" in one for one in sarif(RESULTS)["results"]]

        assert suppressed == [True, False, False, False]

    def test_a_limit_is_a_notification(self) -> None:
        (told,) = sarif(RESULTS)["invocations"][0]["toolExecutionNotifications"]

        assert told["message"]["text"] == "two on seed-v2: more than 2 states"

    def test_the_trace_has_a_thread_for_each_cpu_in_the_order_of_the_interleaving(self) -> None:
        flow = sarif(RESULTS)["results"][0]["codeFlows"][0]["threadFlows"]

        assert [
            (thread["id"], [place["executionOrder"] for place in thread["locations"]])
            for thread in flow
        ] == [("CPU0", [1, 3]), ("CPU1", [2])]
        places = [place["location"]["physicalLocation"] for place in flow[0]["locations"]]
        assert [
            (place["artifactLocation"]["uri"], place["region"]["startLine"]) for place in places
        ] == [("src/rmaplab/kernel/rmap/anon_vma.py", 120), ("mypatch.py", 7)]

    def test_sources_are_where_the_repository_has_them(self) -> None:
        assert Path(rmaplab.__file__).parent.as_posix().endswith(PACKAGE)

    def test_what_has_no_place_has_no_location(self) -> None:
        (_, leak, *_) = sarif(RESULTS)["results"]

        assert "physicalLocation" not in leak["locations"][0]


@pytest.mark.parametrize("render", [render_ktap, render_junit, render_sarif])
def test_no_results_are_a_document_too(render: Any) -> None:
    assert render([]).endswith("\n")
