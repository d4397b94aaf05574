"""The walk in compiled code says what the walk in plain Python says, and brute force."""

from __future__ import annotations

from agreement import hold_native_walk
from brute import enumerate_all
from hypothesis import HealthCheck, example, given, settings
from protocols import Bench, Protocol, Turn, flows
from random_protocols import protocols

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
WIDE = Protocol(flows(counting("x", 300), reading("x", "x")), marked=("x",))
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
    native, _ = hold_native_walk(Bench(protocol).walker())

    if not answer.nearest:
        assert (native.states, native.transitions) == (answer.states, answer.steps)
    else:
        assert native.finding is not None
        assert len(native.finding.path) == answer.length()
        assert {each.fault.kind for each in native.findings.values()} >= set(answer.nearest)
