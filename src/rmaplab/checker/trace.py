"""The trace of a finding: cut to what led there, few context switches, replayed, explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rmaplab.checker.findings import Finding
from rmaplab.checker.tables import Tables
from rmaplab.checker.tries import Node
from rmaplab.machine.cells import Action
from rmaplab.machine.faults import KernelStateError


@dataclass(frozen=True)
class Step:
    """One step of a trace: the local state it starts from, and the values round it."""

    node: Node
    before: dict[int, Any]
    after: dict[int, Any]

    @property
    def action(self) -> Action:
        """What it does."""
        assert self.node.action is not None
        return self.node.action


@dataclass(frozen=True)
class Replay:
    """A path that was walked again: its steps, the last state, and what went wrong there."""

    steps: tuple[Step, ...]
    state: str
    fault: KernelStateError | None


def replay(tables: Tables, path: tuple[int, ...]) -> Replay | None:
    """Walk a path again; None if it cannot be walked."""
    state = tables.start()
    steps: list[Step] = []
    fault: KernelStateError | None = None
    for column in path:
        node = tables.node(state, column)
        if fault is not None or node.action is None or node not in tables.runnable(state):
            return None
        before = values_of(tables, state, node.action)
        stepped = tables.step(state, column)
        if stepped is None:
            return None
        state, fault = stepped
        steps.append(Step(node, before, values_of(tables, state, node.action)))
    return Replay(tuple(steps), state, fault)


def values_of(tables: Tables, state: str, action: Action) -> dict[int, Any]:
    """What the cells that an action works on hold in a state, by their numbers."""
    cells = (*action.data, *(cell for cell, _ in action.blind))
    return {cell.number: tables.value(state, cell) for cell in cells}


def shortest(tables: Tables, finding: Finding) -> Replay:
    """The finding's trace, cut to its causal past and with few context switches."""
    whole = replay(tables, finding.path)
    assert whole is not None, "a path of the walk cannot be walked again"
    whole_past = finding.at_end or _after_all_others(tables, whole, finding)
    kept = list(range(len(whole.steps))) if whole_past else _causal_past(tables, whole, finding)
    order = _few_switches(whole.steps, kept)
    short = replay(tables, tuple(whole.steps[place].node.column for place in order))
    if short is not None and _same(tables, short, whole, finding):
        return short
    return whole


def _after_all_others(tables: Tables, whole: Replay, finding: Finding) -> bool:
    """Whether a flow takes part that begins when all others have finished."""
    columns = {*finding.pending, *(step.node.column for step in whole.steps[-1:])}
    return any(tables.last[column] for column in columns)


def _same(tables: Tables, short: Replay, whole: Replay, finding: Finding) -> bool:
    if finding.at_end:
        return short.state == whole.state
    if finding.pending:
        return all(
            tables.node(short.state, column) is tables.node(whole.state, column)
            for column in finding.pending
        )
    return short.fault is not None and short.fault.kind == finding.fault.kind


def _causal_past(tables: Tables, whole: Replay, finding: Finding) -> list[int]:
    """The places of the steps that happen before the finding."""
    steps = whole.steps
    wanted: list[Action] = []
    columns = set(finding.pending)
    for column in finding.pending:
        action = tables.node(whole.state, column).action
        if action is not None:
            wanted.append(action)
    kept: list[int] = []
    for place in range(len(steps) - 1, -1, -1):
        step = steps[place]
        is_last = place == len(steps) - 1 and not finding.pending
        needed = is_last or step.node.column in columns
        if needed or any(step.action.conflicts(other) for other in wanted):
            kept.append(place)
            wanted.append(step.action)
            columns.add(step.node.column)
    return kept[::-1]


def _few_switches(steps: tuple[Step, ...], kept: list[int]) -> list[int]:
    """Reorder independent steps so that each CPU runs as long as it can; the last stays last."""
    waiting = {place: _needs(steps, kept, place) for place in kept}
    order: list[int] = []
    column = steps[kept[0]].node.column if kept else 0
    while waiting:
        ready = [place for place, needs in waiting.items() if not needs]
        final = kept[-1]
        choices = [place for place in ready if place != final] or ready
        same = [place for place in choices if steps[place].node.column == column]
        place = min(same or choices)
        column = steps[place].node.column
        order.append(place)
        del waiting[place]
        for needs in waiting.values():
            needs.discard(place)
    return order


def _needs(steps: tuple[Step, ...], kept: list[int], place: int) -> set[int]:
    """The kept steps that have to come before one."""
    step = steps[place]
    return {
        other
        for other in kept
        if other < place
        and (
            steps[other].node.column == step.node.column
            or steps[other].action.conflicts(step.action)
        )
    }
