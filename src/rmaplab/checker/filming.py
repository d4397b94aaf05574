"""Makes a film of a path: walks it again and reads memory before and after each step."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from rmaplab.checker.explain import events_of, reference, show, trace_step
from rmaplab.checker.film import Change, Film, Shot, Thing
from rmaplab.checker.frames import is_kernel_code, short
from rmaplab.checker.program import SetupEvent
from rmaplab.checker.tables import Tables
from rmaplab.checker.trace import Replay, Step, replay
from rmaplab.checker.tries import Node
from rmaplab.checker.verdict import Reference
from rmaplab.machine.cells import Cell, Slot, key_of
from rmaplab.machine.struct import Kind

#: Fields that say where an object stands on a list: the list itself says it, too.
UNSHOWN = (Kind.LIST_ENTRY,)


#: Names the objects that a value points to, where a pointer is not the value itself.
Targets = Callable[[Any], Iterable[str]]


def film(tables: Tables, path: Sequence[int], targets: Targets = lambda _: ()) -> Film:
    """What happens on a path; ValueError if it cannot be walked.

    `targets` knows what values of the modelled system point to.
    """
    trace = tables.with_room(lambda: replay(tables, tuple(path)))
    if trace is None:
        raise ValueError("the path cannot be walked")
    memory = _Memory(tables, targets)
    start = tuple(memory.everything())
    shots = []
    unseen: tuple[Change, ...] = ()
    for step in trace.steps:
        changes = (*unseen, *memory.take(step))
        unseen = changes if step.action.silent else ()
        if not step.action.silent:
            shots.append(Shot(trace_step(tables, step), changes))
    return Film(
        things=tuple(memory.things.values()),
        start=start,
        shots=tuple(shots),
        counted=_counted(tables, trace),
        sources=_sources(step.node for step in trace.steps),
    )


class _Memory:
    """What all cells of objects hold at a moment of the path."""

    def __init__(self, tables: Tables, targets: Targets) -> None:
        self.targets = targets
        self.things: dict[str, Thing] = {}
        self._held: dict[int, Any] = {}
        self._places: dict[int, tuple[Slot, str, Any]] = {}
        self._slots: list[Slot] = []
        for cache in tables.scenario.machine.caches:
            for slot in cache.slots():  # type: ignore[attr-defined]
                self._enter(slot)
        for static in tables.scenario.machine.statics():
            self._enter(static.slot)

    def _enter(self, slot: Slot) -> None:
        """Know the cells of a slot, as they are at the start."""
        self._slots.append(slot)
        if slot.life is not None:
            self._know(slot.life, slot, "life", None)
        for (field, key), cell in slot.cells.items():
            self._know(cell, slot, field, key)

    def _know(self, cell: Cell, slot: Slot, field: str, key: Any) -> None:
        self._places[cell.number] = slot, field, key
        self._held[cell.number] = cell.values[0]

    def everything(self) -> Iterator[Change]:
        """All that live objects hold."""
        for slot in self._slots:
            if self._life(slot) > 0:
                yield from self._whole(slot)

    def take(self, step: Step) -> Iterator[Change]:
        """Go on by one step: what it changed."""
        born = []
        for number, value in step.after.items():
            known = self._places.get(number)
            if known is None or key_of(self._held[number]) == key_of(value):
                continue
            self._held[number] = value
            slot, field, key = known
            if field == "life" and value > 0:
                born.append(slot)
            elif field == "life" or slot not in born:
                yield self._change(slot, field, key, value)
        for slot in born:
            yield from self._whole(slot)

    def _life(self, slot: Slot) -> int:
        """The generation, negative once it is freed; 0 before the first."""
        return 1 if slot.life is None else int(self._held[slot.life.number])

    def _whole(self, slot: Slot) -> Iterator[Change]:
        """All that a live object holds."""
        yield self._change(slot, "life", None, self._life(slot))
        for (field, key), cell in slot.cells.items():
            yield self._change(slot, field, key, self._held[cell.number])

    def _change(self, slot: Slot, field: str, key: Any, value: Any) -> Change:
        thing = self._thing(slot)
        if field == "life":
            return Change(thing.name, field, "alive" if value > 0 else "freed")
        label = field if key is None else f"{field} {key:#x}"
        kind = slot.refs[abs(self._life(slot))].fields[field].kind
        to = dict.fromkeys((*_pointers(value), *self.targets(value)))
        return Change(thing.name, label, _text(kind, value), tuple(to))

    def _thing(self, slot: Slot) -> Thing:
        name = slot.refs[abs(self._life(slot))].name()
        found = self.things.get(name)
        if found is None:
            kind = slot.cache.name if slot.serial else slot.cache.struct.__name__
            memory = f"{kind}#{slot.serial}"
            found = self.things[name] = Thing(name, kind, memory, is_static=not slot.serial)
        return found


def _pointers(value: Any) -> Iterator[str]:
    """The names of the objects that are the value, or in it."""
    if hasattr(value, "slot"):
        yield value.name()
    elif isinstance(value, tuple | frozenset):
        for each in value:
            yield from _pointers(each)


def _text(kind: Kind, value: Any) -> str:
    """A value, and of a lock who holds it."""
    if kind in (Kind.SPINLOCK, Kind.MUTEX, Kind.BITLOCK):
        return "free" if value is None else f"CPU{value}"
    if kind is Kind.RWSEM:
        writer, readers = value
        holders = [f"CPU{writer} writes"] if writer is not None else []
        return ", ".join([*holders, *(f"CPU{cpu} reads" for cpu in readers)]) or "free"
    return show(value)


def _counted(tables: Tables, trace: Replay) -> dict[str, tuple[tuple[int, Reference], ...]]:
    """Who took and dropped references, by `object.field`."""
    found: dict[str, list[tuple[int, Reference]]] = {}
    for number, event in _changes(tables, trace):
        ref: Any = event.ref
        declared = ref.fields.get(event.field) if ref is not None else None
        if declared is not None and declared.least is not None and event.before != event.after:
            label = f"{ref.name()}.{event.field}"
            found.setdefault(label, []).append((number, reference(event)))
    return {label: tuple(changes) for label, changes in found.items()}


def _changes(tables: Tables, trace: Replay) -> Iterator[tuple[int, SetupEvent]]:
    """What happened to single cells, with the number of the step as traces show it."""
    yield from ((0, event) for event in tables.scenario.setup)
    number = 0
    for step in trace.steps:
        number += not step.action.silent
        yield from ((number, event) for event in events_of(tables.scenario, step))


def _sources(nodes: Iterator[Node]) -> dict[str, str]:
    """The text of each line of kernel code that stands on a stack, by `file:line`."""
    places = {
        (file, line)
        for node in nodes
        for function, file, line in node.stack
        if is_kernel_code(function, file)
    }
    return {
        f"{short(file)}:{line}": linecache.getline(file, line).strip()
        for file, line in sorted(places)
    }


def in_order(tables: Tables) -> tuple[int, ...]:
    """The path on which each flow goes on as long as it can, the first one first.

    It ends where a step goes wrong, or nobody can go on.
    """
    return tables.with_room(lambda: tuple(_turns(tables)))


def _turns(tables: Tables) -> Iterator[int]:
    state, column = tables.start(), 0
    while True:
        columns = [node.column for node in tables.runnable(state) if node.action is not None]
        column, stepped = _first_able(tables, state, sorted(columns, key=column.__ne__))
        if stepped is None:
            return
        yield column
        state, fault = stepped
        if fault is not None:
            return


def _first_able(tables: Tables, state: str, columns: list[int]) -> tuple[int, Any]:
    """The first of some flows that need not wait, and what it comes to; (0, None) if all wait."""
    for column in columns:
        stepped = tables.step(state, column)
        if stepped is not None:
            return column, stepped
    return 0, None
