"""What is explored: flows of control, each a sequence of calls into the modelled kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rmaplab.machine.traced import TracedMachine


@dataclass(frozen=True)
class Call:
    """One call: a system call, or one turn of a daemon's loop.

    With `repeat` it is called again as long as it returns True.
    When it returns False, the `skip` calls after it are left out.
    `fail` lets that allocation of the call fail, counted from 1.
    """

    task: str
    name: str
    run: Callable[[], object]
    repeat: bool = False
    skip: int = 0
    fail: int = 0


@dataclass(frozen=True)
class Flow:
    """The calls of one CPU, in order. The `last` flow begins when all others have finished."""

    cpu: int
    calls: tuple[Call, ...]
    last: bool = False


@dataclass(frozen=True)
class SetupEvent:
    """A step of the set-up that reports come back to: an allocation, a count changed, a lock taken.

    `held` are the locks held before it.
    """

    cpu: int
    task: str
    action: str
    cell: int
    ref: object
    before: object
    after: object
    stack: tuple[tuple[str, str, int], ...]
    field: str = ""
    held: tuple[Any, ...] = ()


@dataclass
class Scenario:
    """A machine after its set-up, what runs on it, and what must hold when all have finished.

    `check_end` looks at memory without touching it, and raises KernelStateError.
    """

    machine: TracedMachine
    flows: tuple[Flow, ...]
    check_end: Callable[[], None]
    setup: list[SetupEvent] = field(default_factory=list)
