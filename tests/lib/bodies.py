"""Bodies of calls that many tests use, and what the checker says of a protocol."""

from __future__ import annotations

from typing import Any

from protocols import Bench, Protocol

from rmaplab.checker.check import check
from rmaplab.checker.options import NONE, Options


def steps_of(protocol: Protocol) -> list[tuple[int, str]]:
    """(CPU, action) of each step of the printed trace."""
    violation = check(Bench(protocol).scenario).violation
    assert violation is not None
    return [(step.cpu, step.action) for step in violation.trace]


def verdict_of(protocol: Protocol) -> str:
    """The verdict, which does not depend on the reduction."""
    verdict = check(Bench(protocol).scenario).verdict
    assert check(Bench(protocol).scenario, Options(reductions=NONE)).verdict == verdict
    return verdict


def storing(name: str, number: int = 1) -> Any:
    def body(*_: Any) -> Any:
        yield "store", name, number

    return body


def adding(name: str, lock: str = "") -> Any:
    def body(*_: Any) -> Any:
        if lock:
            yield "lock", lock
        value = yield "load", name
        yield "store", name, value + 1
        if lock:
            yield "unlock", lock

    return body


def taking(*locks: str) -> Any:
    def body(*_: Any) -> Any:
        for lock in locks:
            yield "lock", lock
        for lock in reversed(locks):
            yield "unlock", lock

    return body


def nothing(*_: Any) -> Any:
    return
    yield


def an_object() -> Any:
    pointer = yield ("alloc",)
    return (pointer,)


def a_counted_object() -> Any:
    pointer = yield ("alloc",)
    yield "set", (pointer, "count"), 2
    return (pointer,)


def dropping(pointer: Any) -> Any:
    last = yield "dec_and_test", (pointer, "count")
    if last:
        yield "free", pointer


def freeing(pointer: Any) -> Any:
    yield "free", pointer
