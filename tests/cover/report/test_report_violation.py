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
TOUCH = Access(1, "ksmd", "spin_lock", "anon_vma#1", "lock", (), STACK, "read-write", True)
OTHER = Access(
    0, "A", "load", "anon_vma#1", "lock", (), (Frame("a_reader", "kernel/rmap.py:9"),), "read"
)
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
        (
            "refcount-underflow",
            [
                "refcount_t: underflow; use-after-free.",
                "WARNING: CPU: 1 Comm: ksmd at kernel/rmap.py:3 f",
            ],
        ),
        ("leak", ["BUG: memory leak", "unreferenced object anon_vma#1 (struct anon_vma)"]),
        ("deadlock", ["INFO: task hung in a_reader"]),
        (
            "bad-unlock",
            [
                "WARNING: bad unlock balance detected!",
                "ksmd/CPU1 is trying to release lock (anon_vma#1.lock) at:",
                " f kernel/rmap.py:3",
            ],
        ),
        ("data-race", ["BUG: KCSAN: data-race in a_reader / drop_anon_vma"]),
        ("lock-order", ["WARNING: possible circular locking dependency detected"]),
        ("missed-mapping", ["BUG: rmap: mapping missed in f"]),
        ("wrong-data", ["BUG: rmap: wrong data in f"]),
        ("bug-on", ["kernel BUG at kernel/ksm.py:7!"]),  # where it was raised: STACK's first
        (
            "sleep-in-atomic",
            ["BUG: sleeping function called from invalid context at kernel/rmap.py:3"],
        ),
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

    assert heading(violation) == [
        "BUG: memory leak",
        "unreferenced object anon_vma#2 (struct anon_vma)",
    ]


def test_a_result_without_a_violation_has_no_such_report():
    with pytest.raises(ValueError, match=r"a_litmus on v2\.6\.36 is clean"):
        render_violation(Result("a_litmus", "v2.6.36", Outcome("clean", True, 1, 1, 0.0), None))


def test_an_access_names_its_locks_and_its_stack():
    locks = ("A.mm.mmap_sem", "b#1.lock")
    sites = (Frame("unmerge", "kernel/ksm.py:2"), Frame("", ""))
    held = Access(1, "ksmd", "store", "page#1", "mapping", locks, STACK, "write", False, sites)

    assert report(Violation("data-race", "", (), (held,))).endswith(
        "write to page#1.mapping by task ksmd on cpu 1 (store):\n"
        "  drop_anon_vma  kernel/ksm.py:7\n"
        "  break_cow      kernel/ksm.py:9\n"
        "2 locks held by ksmd/CPU1:\n"
        " #0: A.mm.mmap_sem, at: unmerge kernel/ksm.py:2\n"
        " #1: b#1.lock\n"
    )


def test_a_marked_side_of_a_race_says_so():
    lines = report(Violation("data-race", "", (), (OTHER, TOUCH))).splitlines()

    assert "read to anon_vma#1.lock by task A on cpu 0 (load):" in lines
    assert "read-write (marked) to anon_vma#1.lock by task ksmd on cpu 1 (spin_lock):" in lines


def test_a_task_that_waits_for_its_own_lock_recurses():
    held = ("anon_vma#1.lock",)
    own = Access(1, "ksmd", "spin_lock", "anon_vma#1", "lock", held, STACK, "", True, STACK[1:])

    lines = report(Violation("deadlock", "", (LAST,), (own,))).splitlines()

    assert lines[0] == "WARNING: possible recursive locking detected"
    at = lines.index("ksmd/CPU1 is trying to acquire lock:")
    assert lines[at + 1 : at + 5] == [
        " anon_vma#1.lock, at: drop_anon_vma kernel/ksm.py:7",
        "",
        "but task is already holding lock:",
        " anon_vma#1.lock, at: break_cow kernel/ksm.py:9",
    ]


def test_a_lock_that_is_held_at_the_end_of_a_call():
    left = Access(1, "ksmd", "", "", "", ("b#1.lock",), ())
    message = "the call returns with b#1.lock held"

    assert heading(Violation("bad-unlock", message, (LAST,), (left,))) == [
        "WARNING: lock held when returning to user space!",
        "ksmd/CPU1 is leaving the kernel with locks still held!",
    ]


@pytest.mark.parametrize(
    "message",
    ["NULL pointer dereference: no mm", "AttributeError: 'NoneType' object has no attribute"],
)
def test_a_null_pointer_is_called_by_its_name(message):
    assert heading(Violation("bug-on", message, (LAST,), (TOUCH,))) == [
        "BUG: unable to handle kernel NULL pointer dereference in drop_anon_vma"
    ]


def test_of_a_wrong_end_no_function_is_to_blame():
    assert heading(Violation("missed-mapping", "", (LAST,))) == ["BUG: rmap: mapping missed"]


class TestSeveralCauses:
    """The nearest in full, the others in a line each; any of them on demand."""

    def result(self):
        first = Violation("use-after-free", "", (LAST,), (TOUCH,))
        second = Violation("data-race", "", (LAST, LAST), (OTHER, TOUCH))
        outcome = Outcome("use-after-free", True, 1, 1, 0.0, (first, second))
        return Result("a_litmus", "v2.6.36", outcome, None)

    def test_the_others_are_listed_with_their_lengths(self):
        assert render_violation(self.result()).endswith(
            "Other causes, the nearest first; --violation N tells one in full:\n"
            "  2  data-race  2 steps  BUG: KCSAN: data-race in a_reader / drop_anon_vma\n"
        )

    def test_one_is_told_in_full_by_its_number(self):
        lines = render_violation(self.result(), number=2).splitlines()

        assert lines[0] == "BUG: KCSAN: data-race in a_reader / drop_anon_vma"
        assert "verdict: use-after-free, expected clean; this is data-race" in lines
        assert lines[-1].split()[:4] == ["1", "use-after-free", "1", "step"]

    def test_there_is_no_third(self):
        with pytest.raises(ValueError, match="2 violations, not 3"):
            render_violation(self.result(), number=3)


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
