"""The matrix, and what a clean verdict covered."""

from __future__ import annotations

import pytest

from rmaplab.checker.verdict import VERDICTS, Coverage, Outcome, Result, Violation
from rmaplab.report.matrix import CODES, render_clean, render_matrix
from rmaplab.report.words import ranges


def result(litmus, kernel, got, expected=None, reason="", **more):
    wrong = got not in ("clean", "undetermined")
    violations = (Violation(got, f"why {got}"),) if wrong else ()
    outcome = Outcome(got, not reason, 1, 1, 0.5, violations, reason, **more)
    return Result(litmus, kernel, outcome, expected)


def test_every_verdict_has_a_code_of_its_own():
    assert set(VERDICTS) == set(CODES)
    assert len(CODES) == len(set(CODES.values()))


def test_surprises_are_marked_and_told_in_full():
    text = render_matrix([result("one", "v3.8", "leak"), result("two", "v3.8", "clean", "clean")])

    assert text == (
        "     v3.8\n"
        "     |\n"
        "one  leak!\n"
        "two  .\n"
        "\n"
        ". = clean   leak = leak   ! = not as expected\n"
        "\n"
        "Not as expected:\n"
        "  litmus  kernel  expected  got\n"
        "  one     v3.8    clean     leak\n"
        "    why leak\n"
        "\n"
        "2 checks, 1 as expected, 1 not, 0 undetermined\n"
    )


def test_a_cell_with_further_causes_is_marked():
    both = (Violation("leak", "why"), Violation("data-race", "why"))
    outcome = Outcome("leak", True, 1, 1, 0.5, both)

    text = render_matrix([Result("one", "v3.8", outcome, "leak")])

    assert "one  leak+\n" in text
    assert "leak = leak   + = and other causes\n" in text


def test_clean_verdicts_that_say_nothing_are_told_with_their_kernels():
    outcome = Outcome("clean", True, 1, 1, 0.5)
    results = [
        Result("one", kernel, outcome, "clean", (), ("nothing is freed",)) for kernel in ("a", "b")
    ]

    assert "Clean, but it says nothing:\n  one: nothing is freed\n    on a, b\n" in render_matrix(
        results
    )
    assert "  warning: nothing is freed\n" in render_clean(results[0])


def test_a_bug_that_is_missing_is_a_surprise():
    text = render_matrix([result("one", "v3.8", "clean", "leak")])

    assert "one  .!\n" in text
    assert text.endswith("1 check, 0 as expected, 1 not, 0 undetermined\n")


@pytest.mark.parametrize("expected", [None, "leak", "undetermined"])
def test_undetermined_is_never_a_pass(expected):
    text = render_matrix([result("one", "v3.8", "undetermined", expected, "1,000 states")])

    assert "one  ?\n" in text
    assert "    1,000 states\n" in text
    assert text.endswith("1 check, 0 as expected, 0 not, 1 undetermined\n")


def test_a_check_not_made_leaves_its_cell_empty():
    cells = [("a", "v1"), ("b", "v2")]

    lines = render_matrix([result(*cell, "clean") for cell in cells]).splitlines()

    assert lines[3:5] == ["a  .", "b     ."]


def test_no_checks_is_a_summary_of_nothing():
    assert render_matrix([]) == "0 checks, 0 as expected, 0 not, 0 undetermined\n"


def test_twelve_kernels_and_all_verdicts_stay_within_120_columns():
    kernels = [f"{number:012x}" for number in range(12)]
    results = [
        result("a_litmus_with_a_name_of_28_ch", kernel, verdict, "clean")
        for kernel, verdict in zip(kernels, VERDICTS, strict=False)
    ]

    table = render_matrix(results).split("\n\n")[0]

    assert max(map(len, table.splitlines())) <= 120


def test_a_clean_verdict_tells_what_it_covered():
    coverage = (
        Coverage("whole", "kernel/rmap.py", (1, 2), ()),
        Coverage("partly", "kernel/rmap.py", (10,), (11, 12, 14)),
        Coverage("unused", "kernel/ksm.py", (), (5,)),
    )

    assert render_clean(result("one", "v3.8", "clean", coverage=coverage)) == (
        "one on v3.8: clean\n"
        "  every interleaving: 1 state, 1 transition, 0.50 s\n"
        "  3 functions, 3 of 7 lines reached\n"
        "  never reached:\n"
        "    partly  kernel/rmap.py:11-12, 14\n"
        "  never entered: unused\n"
    )


def test_functions_reached_in_full_are_only_counted():
    coverage = (Coverage("whole", "kernel/rmap.py", (1, 2), ()),)

    text = render_clean(result("one", "v3.8", "clean", coverage=coverage))

    assert text.endswith("  1 function, 2 of 2 lines reached\n")


def test_an_unfinished_walk_does_not_call_itself_complete():
    text = render_clean(result("one", "v3.8", "undetermined", None, "out of memory"))

    assert "one on v3.8: undetermined (expected clean)\n  out of memory\n" in text
    assert "NOT every interleaving" in text
    assert "lines reached: not recorded" in text


@pytest.mark.parametrize(
    ("numbers", "text"),
    [((), ""), ((3,), "3"), ((4, 3), "3-4"), ((1, 3, 5, 6, 7), "1, 3, 5-7")],
)
def test_neighbouring_lines_become_ranges(numbers, text):
    assert text == ranges(numbers)
