"""The walk in compiled code says what the walk in plain Python says, and brute force."""

from __future__ import annotations

import sys

import pytest
from agreement import hold_native_reduced_walk, hold_native_walk, natively
from brute import enumerate_all
from hypothesis import HealthCheck, example, given, settings
from protocols import Bench, Protocol, Turn, flows
from random_protocols import protocols

from rmaplab.checker import exploration
from rmaplab.checker import walker as walker_module
from rmaplab.checker.native.ready import COMPILER, Compiler, stamp
from rmaplab.checker.options import NONE, Limits, Native
from rmaplab.machine import BUG_ON


def counting(name: str, times: int) -> object:
    def body(*_: object) -> object:
        for number in range(times):
            yield "store", name, number

    return body


def at_once(*_: object) -> object:
    BUG_ON(True)
    yield "load", "x"


def reading(*names: str) -> object:
    def body(*_: object) -> object:
        for name in names:
            yield "load", name

    return body


def storing(*names: str) -> object:
    def body(*_: object) -> object:
        for name in names:
            yield "store", name, 1

    return body


NAMES = tuple("abcdefghijklmnopqrstuvwxyz")
#: Values that outgrow their bits, cells that begin to vary, calls wrong at once, a last flow.
WIDE = Protocol(flows(counting("x", 40), reading("x", "x")), marked=("x",))
MANY = Protocol(flows(storing(*NAMES), storing("a", "b")), marked=NAMES)
WRONG = Protocol(flows(at_once, reading("x")), marked=("x",))
LATE = Protocol(
    ((Turn(counting("x", 3)),), (Turn(reading("x")),), (Turn(at_once),)),
    marked=("x",),
    last=frozenset({2}),
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(protocols())
@example(WIDE)
@example(MANY)
@example(WRONG)
@example(LATE)
def test_the_native_walk_is_the_plain_one(protocol: Protocol) -> None:
    answer = enumerate_all(protocol)
    hold_native_reduced_walk(protocol, answer)
    native, _ = hold_native_walk(Bench(protocol).walker())

    if not answer.nearest:
        assert (native.states, native.transitions) == (answer.states, answer.steps)
    else:
        assert native.finding is not None
        assert len(native.finding.path) == answer.length()
        assert {each.fault.kind for each in native.findings.values()} >= set(answer.nearest)


def test_fingerprints_tell_how_probable_an_omission_is() -> None:
    walker = Bench(WIDE).walker()

    walk = natively(walker)

    assert walk.omission == walk.states**2 / 2**65
    assert natively(walker, native=Native(exact=True)).omission == 0


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(states=100), "more than 100 states"),
        (Limits(seconds=0.0), "more than 0 s"),
        (Limits(memory=1), "more than 1 MiB of memory"),
    ],
)
def test_a_limit_ends_the_walk(limits: Limits, reason: str) -> None:
    assert natively(Bench(WIDE).walker(), limits).limit == reason
    assert Bench(WIDE).walk(limits=limits).limit == reason


def test_a_walk_that_outgrows_plain_python_goes_on_in_compiled_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(COMPILER, "ready", lambda: True)
    walker = Bench(WIDE).walker()
    walker.native = Native(start=100)

    assert walker.walk(NONE, Limits()).omission
    assert not Bench(WIDE).walk().omission


def test_without_compiled_code_plain_python_goes_on_and_a_limit_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    stamp.cache_clear()  # it was asked for before, in this process
    compiler = Compiler()
    for module in (walker_module, exploration):
        monkeypatch.setattr(module, "COMPILER", compiler)
    walker = Bench(WIDE).walker()
    walker.native = Native(start=100)

    whole = walker.walk(NONE, Limits())
    limited = walker.walk(NONE, Limits(states=500))

    assert (whole.states, whole.omission) == (Bench(WIDE).walk().states, 0)
    assert limited.limit.startswith("more than 500 states (numba cannot be imported: ")
