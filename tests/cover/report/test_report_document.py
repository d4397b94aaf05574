"""The JSON document: its contract, field by field."""

from __future__ import annotations

import json

from rmaplab.checker.verdict import (
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
from rmaplab.report.document import document, render_json

FIELDS = {
    "litmus",
    "kernel",
    "verdict",
    "expected",
    "as_expected",
    "complete",
    "states",
    "transitions",
    "seconds",
    "omission",
    "trace",
    "ledger",
    "violations",
    "assumptions",
    "warnings",
}
STEP = TraceStep(
    0, "A", "exit_mmap > f", "spin_lock", "anon_vma#1", "lock", "", "0", "kernel/rmap.py:120"
)
REF = Reference(0, "A", "f", "kernel/rmap.py:1", 0, -1)
FRAME = Frame("f", "kernel/rmap.py:1")
VIOLATION = Violation(
    "refcount-underflow",
    "below zero",
    (STEP,),
    (Access(0, "A", "atomic_dec", "anon_vma#1", "refcount", ("x.lock",), (FRAME,)),),
    (LifeEvent("allocated", "anon_vma#1", 0, "A", (FRAME,)),),
    (LedgerEntry("anon_vma#1", "refcount", (), (REF,), -1),),
)


def told(outcome, expected=None):
    return document([Result("one", "seed-v2", outcome, expected)])["results"][0]


def test_a_clean_result_has_exactly_the_promised_fields():
    assert told(Outcome("clean", True, 3, 4, 0.5)) == {
        "litmus": "one",
        "kernel": "seed-v2",
        "verdict": "clean",
        "expected": None,
        "as_expected": True,
        "complete": True,
        "states": 3,
        "transitions": 4,
        "seconds": 0.5,
        "omission": 0.0,
        "trace": [],
        "ledger": [],
        "violations": [],
        "assumptions": [],
        "warnings": [],
    }


def test_a_violation_adds_what_explains_it():
    got = told(Outcome("refcount-underflow", True, 3, 4, 0.5, (VIOLATION,)))

    assert FIELDS | {"message", "accesses", "life"} == set(got)
    assert got["trace"] == [
        {
            "cpu": 0,
            "task": "A",
            "call": "exit_mmap > f",
            "action": "spin_lock",
            "object": "anon_vma#1",
            "field": "lock",
            "before": "",
            "after": "0",
            "source": "kernel/rmap.py:120",
        }
    ]
    assert [
        (entry["object"], len(entry["taken"]), len(entry["dropped"])) for entry in got["ledger"]
    ] == [("anon_vma#1", 0, 1)]
    assert got["message"] == "below zero"
    assert not got["as_expected"]


def test_every_cause_is_there_with_all_that_explains_it():
    order = Violation("lock-order", "a cycle")
    got = told(Outcome("refcount-underflow", True, 3, 4, 0.5, (VIOLATION, order)))

    first, second = got["violations"]
    assert first["kind"] == "refcount-underflow"
    assert first["title"] == "refcount_t: underflow; use-after-free."
    for name in ("message", "trace", "accesses", "life", "ledger"):
        assert first[name] == got[name] or list(first[name]) == got[name]
    assert (second["kind"], second["message"]) == ("lock-order", "a cycle")


def test_an_undetermined_result_says_why():
    got = told(Outcome("undetermined", False, 3, 4, 0.5, (), "1,000 states"))

    assert FIELDS | {"reason"} == set(got)
    assert got["reason"] == "1,000 states"


def test_the_text_is_one_document_that_reads_back():
    results = [Result("one", "seed-v2", Outcome("leak", True, 1, 1, 0.0, (VIOLATION,)), "leak")] * 2

    text = render_json(results)

    assert json.loads(json.dumps(document(results))) == json.loads(text)
    assert text.endswith("}\n")
