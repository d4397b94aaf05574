"""A struct with a field of each kind, and the machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rmaplab.machine import Machine
from rmaplab.machine.context import RUNNING, Context
from rmaplab.machine.direct import DirectMachine
from rmaplab.machine.traced import TracedMachine

MACHINES = {"direct": DirectMachine, "traced": TracedMachine}


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> Machine:
    return MACHINES[request.param]()


@pytest.fixture
def traced() -> TracedMachine:
    return TracedMachine()


@pytest.fixture
def on() -> Iterator[Callable[[Machine, int], Any]]:
    """A function that goes over to a CPU, whose context is kept."""
    contexts: dict[int, Context] = {}

    def go(machine: Machine, cpu: int) -> Context:
        RUNNING.context = contexts.setdefault(cpu, Context(machine, cpu, f"task{cpu}"))
        return RUNNING.context

    yield go
