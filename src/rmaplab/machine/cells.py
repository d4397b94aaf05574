"""Shared memory of the traced machine: cells, the slots they belong to, actions on them."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any, NamedTuple

from rmaplab.machine.faults import KernelStateError

#: A rule on the values of all cells of an action: the new values and a response, or BLOCKED.
Rule = Callable[..., Any]


def key_of(value: Any) -> Any:
    """What tells a value from others: True is not 1, nor is (True,) the same as (1,)."""
    if isinstance(value, tuple):
        return type(value), tuple(map(key_of, value))
    return type(value), value


class Place(NamedTuple):
    """Where a cell is: the kind of a field, the slot, the field, the entry of it if it has some.

    Besides fields, `what` is "life" of a slot, "freed" of a cache by CPU, or "readers" by CPU.
    """

    what: Any
    owner: Any
    field: str = ""
    key: Any = None


class Cell:
    """One unit of shared memory: a field of an object.

    While exploring, values are known by number, 0 being the value at the start;
    `position` is the cell's place in a state, 0 while it never changed.
    """

    __slots__ = ("current", "label", "number", "numbers", "place", "position", "users", "values")

    def __init__(self, number: int, label: str, initial: Any, place: Place) -> None:
        self.number = number
        self.label = label
        self.place = place
        self.current = initial
        self.users: list[Action] = []
        self.freeze()

    def freeze(self) -> None:
        """Let the current value be number 0."""
        self.position = 0
        self.values = [self.current]
        self.numbers = {key_of(self.current): 0}

    def intern(self, value: Any) -> int:
        """The number of a value."""
        key = key_of(value)
        number = self.numbers.get(key)
        if number is None:
            number = self.numbers[key] = len(self.values)
            self.values.append(value)
        return number


class Guard:
    """The condition that a pointer's object lives, or that an RCU reader may still look at it.

    `life` holds the generation; `readers` what was freed under this CPU's read-side section,
    for memory that stays of its type. `gentle` accesses only look, or lock.
    A `lenient` run goes on as a kernel without KASAN does: such memory stays what it is.
    """

    __slots__ = ("generation", "gentle", "lenient", "life", "readers", "ref")

    def __init__(
        self,
        ref: Any,
        life: Cell,
        generation: int,
        readers: Cell | None,
        gentle: bool,
        lenient: bool,
    ) -> None:
        self.ref = ref
        self.life = life
        self.generation = generation
        self.readers = readers
        self.gentle = gentle
        self.lenient = lenient

    def _may_look(self, freed: Any) -> bool:
        """Whether this CPU's read-side section keeps the memory, and the access only looks."""
        return self.gentle and freed is not None and self.ref in freed

    def check(self, life: int, freed: Any, field: str) -> None:
        """Raise use-after-free unless the access is legal."""
        if life == self.generation:
            return
        if self.readers is not None and (self.lenient or self._may_look(freed)):
            return
        name = self.ref.name()
        raise KernelStateError(
            "use-after-free", f"access to {field} of {name}, which is freed", self.ref, field
        )


class Action:
    """One step on shared memory: which cells it touches, and the rule for their values.

    `cells[:guarded]` are what the guards look at; the rule works on the rest, of which those
    flagged in `written` may change. `blind` are stores that depend on nothing.
    `waits`: in some state of memory the CPU has to wait.

    `looks` takes the numbers of its cells out of a state: what it does there is in `table` by them.

    The masks say of what the action depends: two of which neither writes what the other reads or
    writes can be put in either order.
    """

    __slots__ = (
        "blind",
        "cells",
        "cpu",
        "field",
        "guarded",
        "guards",
        "looks",
        "name",
        "number",
        "plain",
        "read_mask",
        "ref",
        "rule",
        "silent",
        "table",
        "varying",
        "waits",
        "write_mask",
        "written",
    )

    def __init__(
        self,
        number: int,
        name: str,
        cpu: int,
        ref: Any,
        field: str,
        guards: tuple[Guard, ...],
        data: tuple[Cell, ...],
        written: tuple[bool, ...],
        rule: Rule,
        blind: tuple[tuple[Cell, Any], ...],
        plain: bool,
        waits: bool,
    ) -> None:
        self.number = number
        self.name = name
        self.cpu = cpu
        self.ref = ref
        self.field = field
        self.guards = guards
        self.rule = rule
        self.blind = blind
        self.plain = plain
        self.waits = waits
        self.silent = name in ("pop", "push") or _is_hidden(ref, field)
        watched: list[Cell] = []
        for guard in guards:
            watched.append(guard.life)
            if guard.readers is not None:
                watched.append(guard.readers)
        self.guarded = len(watched)
        self.cells = (*watched, *data)
        self.written = written
        self.read_mask = 0
        self.write_mask = 0
        self._set_masks(data)
        self.table: dict[Any, Any] = {}
        self.varying: tuple[int, ...] = ()
        self.looks: Callable[[str], Any] = _at_nothing
        for cell in (*self.cells, *(cell for cell, _ in blind)):
            cell.users.append(self)
        self.forget()

    def _set_masks(self, data: tuple[Cell, ...]) -> None:
        """What readers keep is not read: it changes for a guard only with the object's life.

        What a free resets is not written: who touches it looks at the life that the free ends.
        """
        for cell in (*(guard.life for guard in self.guards), *data):
            self.read_mask |= 1 << cell.number
        for cell, written in zip(data, self.written, strict=True):
            if written:
                self.write_mask |= 1 << cell.number
        for cell, _ in self.blind if self.name != "free" else ():
            self.write_mask |= 1 << cell.number

    @property
    def data(self) -> tuple[Cell, ...]:
        """The cells that the rule works on."""
        return self.cells[self.guarded :]

    def forget(self) -> None:
        """Drop what was computed: a cell of this action began to vary."""
        self.table = {}
        self.varying = tuple(cell.position for cell in self.cells if cell.position)
        self.looks = itemgetter(*self.varying) if self.varying else _at_nothing

    def evaluate(self, values: list[Any]) -> Any:
        """Apply to the values of `cells`: (new values of `data`, response) or BLOCKED."""
        place = 0
        for guard in self.guards:
            life = values[place]
            freed = values[place + 1] if guard.readers is not None else None
            place += 2 if guard.readers is not None else 1
            guard.check(life, freed, self.field)
        return self.rule(*values[self.guarded :])

    def conflicts(self, other: Action) -> bool:
        """Whether the order of the two can matter."""
        return bool(
            self.read_mask & other.write_mask
            or self.write_mask & (other.read_mask | other.write_mask)
        )

    def __repr__(self) -> str:
        return f"{self.name}({self.label()})"

    def label(self) -> str:
        """The object and field that it is about."""
        name = self.ref.name() if self.ref is not None else ""
        return f"{name}.{self.field}" if self.field and name else name or self.field


def _at_nothing(state: str) -> str:
    """What an action looks at while none of its cells varies."""
    return ""


def _is_hidden(ref: Any, field: str) -> bool:
    """Whether a field is bookkeeping that no trace shows."""
    declared = ref.fields.get(field) if ref is not None else None
    return declared is not None and bool(declared.hidden)


class Slot:
    """A place in memory where objects of one struct live one after the other."""

    __slots__ = ("cache", "cells", "index", "life", "refs", "serial")

    def __init__(self, cache: Any, index: int, serial: int, life: Cell | None) -> None:
        self.cache = cache
        self.index = index
        self.serial = serial
        self.life = life
        self.cells: dict[Any, Cell] = {}
        self.refs: dict[int, Any] = {}
