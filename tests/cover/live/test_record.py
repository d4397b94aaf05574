"""A case made of several runs: what they did not agree on is left out."""

from __future__ import annotations

from typing import Any

from rmaplab.history import V2_6_38
from rmaplab.litmus.case_writer import write_case
from rmaplab.litmus.cases import read_case
from rmaplab.litmus.reader import read_text
from rmaplab.live.record import recorded
from rmaplab.runner.run import run, verify

LITMUS = read_text(
    "litmus x\nprocesses A B\nksm max_page_sharing=3\nsetup\n"
    + """
    A: mmap 0 4
    A: write 0 = 1 2 3 4
    A: poke 0 2 @9 = 7
    A: fork C
    A: mremap 0 2 3 to 8
    ksmd: scan 2
"""
)


def shown(**changed: Any) -> list[dict[str, Any]]:
    """Observations of two steps."""
    first = {"ret": 0, "changed": {}, "ksm": {"pages_shared": 1, "pages_volatile": 2}}
    return [first, {**first, **changed}]


def test_runs_that_agree_leave_nothing_out() -> None:
    case = recorded(LITMUS, [shown(), shown(), shown()])

    assert (case.unstable, case.drop) == ((), ())
    assert list(case.observations) == shown()


def test_a_key_that_differs_is_left_out_and_named() -> None:
    other = shown(ksm={"pages_shared": 1, "pages_volatile": 5})

    case = recorded(LITMUS, [shown(), shown(), other])

    assert case.unstable == ((1, "ksm", ("pages_volatile",)),)
    assert case.observations[1]["ksm"] == {"pages_shared": 1}
    assert case.observations[0]["ksm"] == {"pages_shared": 1, "pages_volatile": 2}


def test_a_key_that_is_not_in_every_run_is_left_out() -> None:
    case = recorded(LITMUS, [shown(), shown(changed={"K": [[1, 1]]}), shown()])

    assert case.unstable == ((1, "changed", ("K",)),)


def test_a_field_without_keys_that_differs_is_left_out_whole() -> None:
    case = recorded(LITMUS, [shown(), shown(ret="ENOMEM"), shown()])

    assert case.unstable == ((1, "ret", ()),)
    assert "ret" not in case.observations[1]


def test_a_field_that_differs_in_most_steps_is_dropped() -> None:
    runs = [[{"ret": 0, "ksm": {"n": number}}] * 2 for number in range(3)]

    case = recorded(LITMUS, runs)

    assert (case.unstable, case.drop) == ((), ("ksm",))


def test_a_case_is_read_back_as_it_was_written() -> None:
    observations = run(LITMUS, V2_6_38).observations
    case = recorded(LITMUS, [observations, observations])

    back = read_case(write_case(case))

    assert [(step.op, step.process, step.args) for step in back.setup] == [
        (step.op, step.process, step.args) for step in LITMUS.setup
    ]
    assert (back.processes, dict(back.ksm)) == (("A", "B"), {"max_page_sharing": 3})
    assert verify(run(back, V2_6_38), back) is None
