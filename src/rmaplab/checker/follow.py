"""Follows a recorded trace, by the names of its steps: the same, or where it first differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rmaplab.checker.explain import pending_step, trace_step
from rmaplab.checker.names import Names
from rmaplab.checker.program import Scenario
from rmaplab.checker.tables import Tables
from rmaplab.checker.trace import Step, values_of
from rmaplab.checker.tries import Node
from rmaplab.checker.verdict import TraceStep
from rmaplab.machine.faults import KernelStateError


@dataclass(frozen=True)
class Difference:
    """The number of a step, from 1; what was recorded there; what is done here, and why not it."""

    number: int
    recorded: TraceStep | None
    here: TraceStep | None
    why: str


@dataclass(frozen=True)
class Followed:
    """The steps taken here, and what came of it.

    `fault` is what went wrong after the last step. `other_value` is the first step that left
    another value than recorded; `difference` the step at which the flow went another way.
    `path` has the flow of each step, those that traces do not show included.
    """

    steps: tuple[TraceStep, ...]
    path: tuple[int, ...]
    fault: KernelStateError | None = None
    other_value: Difference | None = None
    difference: Difference | None = None


def follow(scenario: Scenario, recorded: Sequence[TraceStep], pending: int = 0) -> Followed:
    """Take the recorded steps again; the last `pending` of them were only about to happen.

    Steps are known by CPU, action, object and field, so that a trace can be followed on another
    kernel, and objects by where they turn up. What a CPU does in between on bookkeeping that traces
    do not show, it does again.
    """
    scenario.machine.freeze()
    tables = Tables(scenario)
    caches: Any = scenario.machine.caches
    settled = [f"{cache.name}#{slot.serial}" for cache in caches for slot in cache.slots()]
    return tables.with_room(lambda: _Follower(tables, recorded, pending, Names(settled)).run())


class _Follower:
    """One attempt."""

    def __init__(
        self, tables: Tables, recorded: Sequence[TraceStep], pending: int, names: Names
    ) -> None:
        self.tables = tables
        self.names = names
        self.recorded = recorded
        self.taken = len(recorded) - pending
        self.state = tables.start()
        self.steps: list[TraceStep] = []
        self.path: list[int] = []
        self.fault: KernelStateError | None = None
        self.other_value: Difference | None = None

    def run(self) -> Followed:
        for number, wanted in enumerate(self.recorded, 1):
            difference = self._differs(number, wanted)
            if difference is not None:
                return self._result(difference)
        self._settle()
        if self.fault is None and not self._running():
            self.fault = self.tables.check_end(self.state)
        return self._result(None)

    def _result(self, difference: Difference | None) -> Followed:
        return Followed(
            tuple(self.steps), tuple(self.path), self.fault, self.other_value, difference
        )

    def _running(self) -> tuple[Node, ...]:
        return self.tables.runnable(self.state)

    def _differs(self, number: int, wanted: TraceStep) -> Difference | None:
        """Take one step; why not, if it cannot be taken here."""
        if self.fault is not None:
            return Difference(number, wanted, None, f"it went wrong before: {self.fault.message}")
        node = self._next_of(wanted.cpu)
        if node is None:
            return Difference(number, wanted, None, f"CPU{wanted.cpu} has finished")
        if self.fault is not None:
            return self._differs(number, wanted)
        here = pending_step(self.tables, node)
        if _kind(here) != _kind(wanted) or not self.names.are_one(wanted.object, here.object):
            return Difference(number, wanted, here, "another step")
        if number > self.taken:
            self.steps.append(here)
            return None
        here_after = self._take(node)
        if here_after is None:
            return Difference(number, wanted, here, "it has to wait")
        as_wanted = here_after.after == self.names.as_here(wanted.after)
        if self.other_value is None and not as_wanted and self.fault is None:
            self.other_value = Difference(number, wanted, here_after, "another value")
        return None

    def _next_of(self, cpu: int) -> Node | None:
        """The local state of a CPU before its next step that traces show.

        The flow that comes last begins when the others have done all, bookkeeping included.
        """
        self._settle(cpu)
        if self._of(cpu) is None:
            self._settle()
        return self._of(cpu)

    def _of(self, cpu: int) -> Node | None:
        flows = self.tables.scenario.flows
        return next((node for node in self._running() if flows[node.column].cpu == cpu), None)

    def _settle(self, cpu: int | None = None) -> None:
        """Take the steps that traces do not show, as far as they go: of one CPU or of all."""
        flows = self.tables.scenario.flows
        moved = True
        while moved and self.fault is None:
            moved = any(
                self._take(node) is not None
                for node in self._running()
                if node.action is not None and node.action.silent
                if cpu in (None, flows[node.column].cpu)
            )

    def _take(self, node: Node) -> TraceStep | None:
        """Let it go: the step as traces show it; None if it has to wait."""
        assert node.action is not None
        before = values_of(self.tables, self.state, node.action)
        stepped = self.tables.step(self.state, node.column)
        if stepped is None:
            return None
        self.path.append(node.column)
        self.state, self.fault = stepped
        after = values_of(self.tables, self.state, node.action)
        shown = trace_step(self.tables, Step(node, before, after))
        if not node.action.silent:
            self.steps.append(shown)
        return shown


def _kind(step: TraceStep) -> tuple[int, str, str]:
    return step.cpu, step.action, step.field
