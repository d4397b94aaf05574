"""What all checks of a kernel reached together, as text."""

from __future__ import annotations

from rmaplab.checker.verdict import Coverage, Outcome, Result
from rmaplab.report.coverage import render_coverage

RESULTS = [
    Result(name, "v2.6.36", Outcome("clean", True, 1000, 2000, 0.5), None) for name in ("a", "b")
]
COVERAGE = (
    Coverage("anon_vma_unlink", "kernel/rmap.py", (3, 4), (5, 6, 9)),
    Coverage("drop_anon_vma", "kernel/rmap.py", (13,), ()),
    Coverage("page_lock_anon_vma", "kernel/rmap.py", (), (20, 21)),
    Coverage("interface", "kernel/rmap.py", (), ()),
)


def test_sums_functions_and_percentages() -> None:
    assert render_coverage("v2.6.36", RESULTS, COVERAGE) == (
        "Coverage of v2.6.36 by 2 checks, set-up apart: 2,000 states, 4,000 transitions\n"
        "  2 of 4 functions entered, 3 of 8 lines reached (37 %)\n"
        "  function         lines   reached  never reached\n"
        "  anon_vma_unlink  2 of 5  40 %     kernel/rmap.py:5-6, 9\n"
        "  1 reached in full: drop_anon_vma\n"
        "  1 never entered: page_lock_anon_vma\n"
    )


def test_nothing_reached_of_nothing() -> None:
    assert render_coverage("v2.6.36", [], ()) == (
        "Coverage of v2.6.36 by 0 checks, set-up apart: 0 states, 0 transitions\n"
        "  0 of 0 functions entered, 0 of 0 lines reached (100 %)\n"
    )


def test_many_names_are_wrapped() -> None:
    many = [Coverage(f"function_number_{n}", "kernel/rmap.py", (), (n,)) for n in range(1, 30)]

    lines = render_coverage("v2.6.36", RESULTS, many).splitlines()

    assert max(map(len, lines)) <= 100
    assert lines[2].startswith("  29 never entered: function_number_1, ")
    assert lines[3].startswith("    function_number_")
