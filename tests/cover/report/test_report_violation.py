"""The headings by class, the accesses, the lives and the ledger."""

from __future__ import annotations

import pytest

from rmaplab.checker.verdict import (
    VIOLATIONS,
    Access,
    Frame,
    LedgerEntry,
    LifeEvent,
    Outcome,
    Reference,
    Result,
    TraceStep,
    Violation,
)
from rmaplab.report.heading import heading
from rmaplab.report.violation import render_violation

STACK = (Frame("drop_anon_vma", "kernel/ksm.py:7"), Frame("break_cow", "kernel/ksm.py:9"))
LAST = TraceStep(
    1, "ksmd", "ksm_do_scan > f", "spin_lock", "anon_vma#1", "lock", "", "", "kernel/rmap.py:3"
)
TOUCH = Access(1, "ksmd", "spin_lock", "anon_vma#1", "lock", (), STACK)
OTHER = Access(0, "A", "load", "anon_vma#1", "lock", (), (Frame("a_reader", "kernel/rmap.py:9"),))
BORN = LifeEvent("allocated", "anon_vma#1", 0, "A", STACK)


def report(violation, expected=None):
    outcome = Outcome(violation.kind, True, 1, 1, 0.0, (violation,))
    return render_violation(Result("a_litmus", "v2.6.36", outcome, expected))


def references(*changes):
    return tuple(Reference(0, "A", "f > g", "x:1", *change) for change in changes)


def ledger(kind, taken, dropped, final):
    """The ledger's last line, from counts given as (before, after)."""
    entry = LedgerEntry("anon_vma#1", "refcount", references(*taken), references(*dropped), final)
    return report(Violation(kind, "", (), (), (), (entry,))).splitlines()[-1].strip()


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        (
            "use-after-free",
            [
                "BUG: KASAN: slab-use-after-free in f",
                "Write of anon_vma#1.lock by task ksmd on CPU1",
            ],
        ),
        (
            "double-free",
            ["BUG: KASAN: double-free in f", "Free of anon_vma#1 by task ksmd on CPU1"],
        ),
        ("refcount-underflow", ["refcount_t: underflow; use-after-free in f"]),
        ("leak", ["BUG: memory leak", "unreferenced object anon_vma#1"]),
        ("deadlock", ["INFO: task hung in a_reader"]),
        ("bad-unlock", ["WARNING: bad unlock balance detected!"]),
        ("data-race", ["BUG: KCSAN: data-race in a_reader / drop_anon_vma"]),
        ("lock-order", ["WARNING: possible circular locking dependency detected"]),
        ("missed-mapping", ["BUG: rmap: mapping missed in f"]),
        ("wrong-data", ["BUG: rmap: wrong data in f"]),
        ("bug-on", ["kernel BUG at kernel/ksm.py:7!"]),  # where it was raised: STACK's first
        ("sleep-in-atomic", ["BUG: sleeping function called from invalid context in f"]),
        ("growth", ["BUG: slab growth over the bound"]),
    ],
)
def test_headings_bear_the_names_that_the_kernel_gives(kind, lines):
    first = (OTHER, TOUCH) if kind != "deadlock" else (OTHER,)

    assert lines == heading(Violation(kind, "", (LAST,), first, (BORN,)))


@pytest.mark.parametrize("kind", VIOLATIONS)
def test_every_class_can_be_told_from_a_kind_and_a_message_alone(kind):
    assert "something broke\n" in report(Violation(kind, "something broke"))


def test_the_function_is_the_accesss_where_there_is_no_trace():
    violation = Violation("wrong-data", "", (), (TOUCH,))

    assert heading(violation) == ["BUG: rmap: wrong data in drop_anon_vma"]


def test_what_was_freed_has_not_leaked():
    freed = LifeEvent("freed", "anon_vma#1", 0, "A", ())
    left = LifeEvent("allocated", "anon_vma#2", 0, "A", ())
    violation = Violation("leak", "", (), (), (BORN, freed, left))

    assert heading(violation) == ["BUG: memory leak", "unreferenced object anon_vma#2"]


def test_a_result_without_a_violation_has_no_such_report():
    with pytest.raises(ValueError, match=r"a_litmus on v2\.6\.36 is clean"):
        render_violation(Result("a_litmus", "v2.6.36", Outcome("clean", True, 1, 1, 0.0), None))


def test_an_access_names_its_locks_and_its_stack():
    held = Access(1, "ksmd", "store", "page#1", "mapping", ("A.mm.mmap_sem", "b#1.lock"), STACK)

    assert report(Violation("data-race", "", (), (held,))).endswith(
        "Write of page#1.mapping by task ksmd on CPU1 (store):\n"
        "  holding: A.mm.mmap_sem, b#1.lock\n"
        "  drop_anon_vma  kernel/ksm.py:7\n"
        "  break_cow      kernel/ksm.py:9\n"
    )


@pytest.mark.parametrize(
    ("expected", "line"),
    [
        (None, "verdict: leak, expected clean"),
        ("leak", "verdict: leak, as expected"),
        ("deadlock", "verdict: leak, expected deadlock"),
    ],
)
def test_the_report_says_what_was_expected(expected, line):
    assert line in report(Violation("leak", ""), expected).splitlines()


class TestBalance:
    """What the ledger's sum gives away."""

    def test_below_zero(self):
        assert (
            ledger("refcount-underflow", [], [(0, -1), (-1, -2)], -2)
            == "final value -2: dropped twice too often"
        )

    def test_below_zero_once_and_hidden_by_a_later_get(self):
        assert (
            ledger("use-after-free", [(-1, 0)], [(0, -1)], 0)
            == "final value 0: dropped once too often"
        )

    def test_more_drops_than_gets_are_right_when_the_count_is_born_as_one(self):
        assert ledger("use-after-free", [], [(1, 0)], 0) == "final value 0"

    def test_left_over_at_a_leak(self):
        assert (
            ledger("leak", [(0, 1), (1, 2), (2, 3)], [], 3)
            == "final value 3: taken 3 times too often, or never dropped"
        )

    def test_left_over_elsewhere_is_nothing_wrong(self):
        assert ledger("deadlock", [(0, 1)], [], 1) == "final value 1"


def test_the_ledger_names_the_caller_of_the_helper():
    ref = Reference(
        1, "ksmd", "ksm_do_scan > hold_anon_vma > get_anon_vma", "kernel/rmap.py:5", 0, 1
    )
    entry = LedgerEntry("anon_vma#1", "refcount", (ref,), (), 1)

    lines = report(Violation("leak", "", (), (), (), (entry,))).splitlines()

    assert (
        "  taken   0 -> 1   CPU1  ksmd  get_anon_vma from hold_anon_vma  kernel/rmap.py:5" in lines
    )
