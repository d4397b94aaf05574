"""From a finding to a violation: the trace in words, stacks, lives of the object, the ledger."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rmaplab.checker.findings import Finding
from rmaplab.checker.frames import Stack, call_path, kernel_frames
from rmaplab.checker.lock_order import taken_at
from rmaplab.checker.program import Scenario, SetupEvent
from rmaplab.checker.tables import Tables
from rmaplab.checker.trace import Replay, Step, shortest
from rmaplab.checker.tries import Node
from rmaplab.checker.verdict import (
    Access,
    Frame,
    LedgerEntry,
    LifeEvent,
    Reference,
    TraceStep,
    Violation,
)
from rmaplab.machine.cells import Action, Cell
from rmaplab.machine.struct import Kind


def show(value: Any, cell_field: str = "") -> str:
    """A value of memory as reports print it."""
    if value is None:
        return "NULL"
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return "[" + ", ".join(show(item) for item in value) + "]"
    if hasattr(value, "name") and callable(value.name):
        return str(value.name())
    if hasattr(value, "label") and callable(value.label):
        return str(value.label())
    return str(value)


def explain(tables: Tables, finding: Finding) -> Violation:
    """All that a report tells about a finding."""
    trace = shortest(tables, finding)
    fault = finding.fault
    if fault.after is not None:  # the step was stopped: tell what it would have left
        last = trace.steps[-1]
        last.after[last.action.data[0].number] = fault.after
    flows = tables.scenario.flows
    steps = tuple(trace_step(tables, step) for step in trace.steps if not step.action.silent)
    nodes = [tables.node(trace.state, column) for column in finding.pending]
    if not nodes and not finding.at_end and trace.steps:
        nodes = [_faulty(tables, trace)]
    subject = fault.subject
    if subject is None and not finding.at_end:
        subject = _subject(trace)
    if finding.pending:
        steps += tuple(pending_step(tables, node) for node in nodes if node.action is not None)
    return Violation(
        kind=fault.kind,
        message=fault.message,
        trace=steps,
        accesses=tuple(_access(tables, node) for node in nodes),
        life=tuple(_life(tables.scenario, trace, subject, flows)),
        ledger=tuple(_ledgers(tables.scenario, trace, subject)),
    )


def _faulty(tables: Tables, trace: Replay) -> Node:
    """The local state whose action, or what came of it, is wrong."""
    last = trace.steps[-1].node
    after = tables.node(trace.state, last.column)
    return after if after.fault is not None else last


def _subject(trace: Replay) -> Any:
    return trace.steps[-1].action.ref if trace.steps else None


def _task(tables: Tables, node: Node) -> str:
    calls = tables.scenario.flows[node.column].calls
    return calls[min(node.call, len(calls) - 1)].task


def _main_cell(step: Step) -> Cell | None:
    """The cell that an action is shown by: one that changes, if any."""
    cells = [*step.action.data, *(cell for cell, _ in step.action.blind)]
    changed = [cell for cell in cells if step.before[cell.number] != step.after[cell.number]]
    return next(iter(changed or cells), None)


def trace_step(tables: Tables, step: Step) -> TraceStep:
    """A step as reports show it."""
    cell = _main_cell(step)
    frames = kernel_frames(step.node.stack)
    return TraceStep(
        cpu=step.action.cpu,
        task=_task(tables, step.node),
        call=call_path(step.node.stack),
        action=step.action.name,
        object=step.action.ref.name() if step.action.ref is not None else "",
        field=step.action.field,
        before=show(step.before[cell.number]) if cell else "",
        after=show(step.after[cell.number]) if cell else "",
        source=frames[0].source if frames else "",
    )


def pending_step(tables: Tables, node: Node) -> TraceStep:
    """What a flow is about to do."""
    action = node.action
    assert action is not None
    frames = kernel_frames(node.stack)
    return TraceStep(
        cpu=action.cpu,
        task=_task(tables, node),
        call=call_path(node.stack),
        action=action.name,
        object=action.ref.name() if action.ref is not None else "",
        field=action.field,
        before="",
        after="",
        source=frames[0].source if frames else "",
    )


def _access(tables: Tables, node: Node) -> Access:
    action = node.action
    return Access(
        cpu=tables.scenario.flows[node.column].cpu,
        task=_task(tables, node),
        action=action.name if action is not None else "",
        object=action.ref.name() if action is not None and action.ref is not None else "",
        field=action.field if action is not None else "",
        locks=tuple(lock.label() for lock in node.held),
        stack=kernel_frames(node.stack),
        effect=_effect(action) if action is not None else "",
        marked=action is not None and not action.plain,
        taken_at=tuple(_innermost(taken_at(node, lock)) for lock in node.held),
    )


def _effect(action: Action) -> str:
    """What an action does to its field, in KCSAN's words."""
    if not action.blind and not any(action.written):
        return "read"
    return "read-write" if action.data else "write"


def _innermost(stack: Stack) -> Frame:
    return next(iter(kernel_frames(stack)), Frame("", ""))


# Lives and references


def _slot(ref: Any) -> Any:
    return getattr(ref, "slot", None)


def _life(scenario: Scenario, trace: Replay, subject: Any, flows: Any) -> Iterable[LifeEvent]:
    """The allocation and the free of the object, in this life of its memory."""
    slot = _slot(subject)
    if slot is None or slot.life is None:
        return
    for event in _events(scenario, trace):
        if event.cell != slot.life.number:
            continue
        begins = event.action == "alloc" and event.after == subject.generation
        ends = event.action == "free" and event.before == subject.generation
        if begins or ends:
            what = "allocated" if begins else "freed"
            frames = kernel_frames(event.stack)
            yield LifeEvent(what, subject.name(), event.cpu, event.task, frames)


def _events(scenario: Scenario, trace: Replay) -> Iterable[SetupEvent]:
    """What happened to lives and counts, in the set-up and in the trace."""
    yield from scenario.setup
    for step in trace.steps:
        yield from events_of(scenario, step)


def events_of(scenario: Scenario, step: Step) -> Iterable[SetupEvent]:
    """What a step did to each cell that it works on, as a set-up is remembered."""
    call = scenario.flows[step.node.column].calls[step.node.call]
    for cell in step.action.data:
        yield SetupEvent(
            step.action.cpu,
            call.task,
            step.action.name,
            cell.number,
            step.action.ref,
            step.before[cell.number],
            step.after[cell.number],
            step.node.stack,
            step.action.field,
        )


def _ledgers(scenario: Scenario, trace: Replay, subject: Any) -> Iterable[LedgerEntry]:
    """The counts of the object, and of those of its kind that the trace takes or drops."""
    if _slot(subject) is None:
        return
    events = list(_events(scenario, trace))
    for ref in dict.fromkeys((subject, *(step.action.ref for step in trace.steps))):
        slot = _slot(ref)
        if slot is None or slot.life is None or slot.cache is not _slot(subject).cache:
            continue
        lived = _while_alive(events, ref)
        for name, declared in ref.fields.items():
            if declared.kind is Kind.ATOMIC and declared.least is not None:
                entry = _ledger(ref.cell(name).number, ref.name(), name, lived)
                if entry.taken or entry.dropped:
                    yield entry


def _while_alive(events: list[SetupEvent], ref: Any) -> list[SetupEvent]:
    """The events from the object's allocation on, until its memory is another object's."""
    births = [
        (event.after, place)
        for place, event in enumerate(events)
        if event.cell == ref.slot.life.number and event.action == "alloc"
    ]
    begin = next((place for life, place in births if life == ref.generation), 0)
    end = next((place for life, place in births if life == ref.generation + 1), len(events))
    return events[begin:end]


def reference(event: SetupEvent) -> Reference:
    """A change of a count, as reports tell it."""
    before, after = event.before, event.after
    assert isinstance(before, int) and isinstance(after, int)
    frames = kernel_frames(event.stack)
    source = frames[0].source if frames else ""
    return Reference(event.cpu, event.task, call_path(event.stack), source, before, after)


def _ledger(number: int, name: str, field: str, events: list[SetupEvent]) -> LedgerEntry:
    taken: list[Reference] = []
    dropped: list[Reference] = []
    final = 0
    for event in events:
        if event.cell != number or event.before == event.after:
            continue
        change = reference(event)
        (taken if change.after > change.before else dropped).append(change)
        final = change.after
    return LedgerEntry(name, field, tuple(taken), tuple(dropped), final)
