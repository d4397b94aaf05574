"""A renaming that swaps two flows: their columns, their CPUs, and the objects that each alone has.

It is guessed, and then held to every answer that the tables give: `hold` compares what an action
does with what its image does in the image of the state.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NoReturn, cast

from rmaplab.checker.tables import Tables
from rmaplab.checker.tries import Node
from rmaplab.machine.cells import Action, Cell, Place, Slot, key_of
from rmaplab.machine.struct import Kind
from rmaplab.machine.traced_part import Part
from rmaplab.machine.traced_slab import Ref

#: What can be done to a list without looking at its order.
ORDER_BLIND = frozenset({
    "list_add", "list_add_tail", "list_add_after", "list_add_before", "list_del", "list_empty",
    "list_is_singular", "INIT_LIST_HEAD", "free",
})  # fmt: skip

LOCKS = frozenset({Kind.SPINLOCK, Kind.MUTEX, Kind.BITLOCK})


class AsymmetryError(Exception):
    """Flows that were taken for equal are not: what was concluded from it has to go."""


class OrderError(AsymmetryError):
    """The order of a list matters, or does not, other than was thought: begin again."""


class Unordered:
    """The lists of which no step looks at the order: their values are told by what is on them."""

    def __init__(self) -> None:
        self.cells: dict[Cell, None] = {}
        self._looked_at: set[Cell] = set()
        self._numbers: dict[Cell, tuple[int, dict[Any, int]]] = {}

    def add(self, *cells: Cell) -> NoReturn:
        """Let the order of these not matter, if no step looked at it; never returns."""
        if self._looked_at.intersection(cells):
            raise AsymmetryError
        self.cells.update(dict.fromkeys(cells))
        raise OrderError

    def look(self, cell: Cell) -> None:
        """Somebody looks at the order of this one."""
        self._looked_at.add(cell)
        if cell in self.cells:
            del self.cells[cell]
            raise OrderError

    def number(self, cell: Cell, value: Any) -> int:
        """The first number of a value that is the same up to order."""
        if cell not in self.cells:
            return cell.intern(value)
        cell.intern(value)
        seen, known = self._numbers.get(cell, (0, {}))
        for each in range(seen, len(cell.values)):
            known.setdefault(_content(cell.values[each]), each)
        self._numbers[cell] = len(cell.values), known
        return known[_content(value)]


def _content(value: Any) -> Any:
    return frozenset(Counter(value).items())


class Renaming:
    """Two flows swapped, with all that is theirs."""

    def __init__(self, tables: Tables, unordered: Unordered, first: int, second: int) -> None:
        flows = tables.scenario.flows
        self.machine = tables.scenario.machine
        self.swapped = first, second
        self.columns = list(range(tables.columns))
        self.columns[first], self.columns[second] = second, first
        cpus = flows[first].cpu, flows[second].cpu
        self._cpus = {cpus[0]: cpus[1], cpus[1]: cpus[0]}
        self._unordered = unordered
        self._slots: dict[Slot, Slot] = {}
        self._cells: dict[Cell, Cell] = {}
        self.nodes: dict[Node, Node] = {}
        self._actions: dict[Action, Action] = {}
        self._responses: dict[tuple[Action, Any], Any] = {}

    # What is whose

    def pair(self, one: Any, other: Any) -> None:
        """Let one be the image of the other, and so all that they lead to at the start."""
        todo = [(one, other)]
        while todo:
            one, other = todo.pop()
            if isinstance(one, Part) and isinstance(other, Part):
                one, other = one.owner, other.owner
            if isinstance(one, Ref) and isinstance(other, Ref):
                todo += self._pair_slots(one.slot, other.slot)
            elif isinstance(one, tuple) and isinstance(other, tuple):
                todo += zip(one, other, strict=False)
                caches = self._numbered(one), self._numbered(other)
                if caches[0] is not None and caches[0] is caches[1]:
                    todo.append((caches[0].at(one[0]), caches[0].at(other[0])))

    def _pair_slots(self, one: Slot, other: Slot) -> list[tuple[Any, Any]]:
        """Swap two slots of the set-up; the values of their fields, if that is news."""
        if self._is_fresh(one) and self._is_fresh(other):
            return []
        known = self._slots.get(one, other), self._slots.get(other, one)
        if known != (other, one) or _kind(one) != _kind(other):
            raise AsymmetryError
        if one in self._slots:
            return []
        self._slots[one], self._slots[other] = other, one
        if one is other:
            return []
        twins = [(cell, other.cells.get(place)) for place, cell in one.cells.items()]
        return [(cell.values[0], twin.values[0]) for cell, twin in twins if twin is not None]

    def _is_fresh(self, slot: Slot) -> bool:
        """Whether the memory was never used by the set-up."""
        number, cpu = divmod(slot.index, self.machine.cpus)
        return bool(slot.serial) and number >= slot.cache.freed[cpu].values[0][1]

    def _numbered(self, value: tuple[Any, ...]) -> Any:
        """The cache of whose objects a tuple names one by its number."""
        name = getattr(value, "number_in", None)
        if name is None or value[0] < 0:
            return None
        return next(cache for cache in self.machine.caches if cache.name == name)

    # Images of memory

    def slot(self, slot: Slot) -> Slot:
        """The image of a place in memory: fresh ones are told by who takes them."""
        found = self._slots.get(slot)
        if found is None:
            found = slot
            number, cpu = divmod(slot.index, self.machine.cpus)
            twin = self._cpus.get(cpu, cpu)
            if twin != cpu and self._is_fresh(slot):
                made = [slot.cache.freed[each].values[0][1] for each in (cpu, twin)]
                index = (number - made[0] + made[1]) * self.machine.cpus + twin
                found = slot.cache.at(index).slot
            self._slots[slot] = found
        return found

    def ref(self, ref: Any) -> Any:
        """The image of a pointer."""
        if ref is None:
            return None
        slot = self.slot(ref.slot)
        return ref if slot is ref.slot else slot.cache.pointer(slot, ref.generation)

    def part(self, part: Any) -> Any:
        """The image of an embedded field."""
        owner = self.ref(part.owner)
        return part if owner is part.owner else getattr(owner, part.field)

    def cell(self, cell: Cell) -> Cell:
        """The image of a cell: it must hold the image of its value at the start."""
        found = self._cells.get(cell)
        if found is None:
            found = self._twin(cell.place)
            self._hold_start(cell, found)
            self._cells[cell] = found
        return found

    def _twin(self, place: Place) -> Cell:
        twin: Any
        if place.what in ("readers", "freed"):
            cells = self.machine.readers if place.owner is None else place.owner.freed
            twin = cells[self._cpus.get(place.key, place.key)]
        elif place.what == "life":
            twin = self.slot(place.owner).life
        else:
            slot = self.slot(place.owner)
            twin = slot.cache.pointer(slot, 1).cell(place.field, place.key)
        return cast(Cell, twin)

    def _hold_start(self, cell: Cell, twin: Cell) -> None:
        image, there = self.value(cell.place, cell.values[0]), twin.values[0]
        unordered = self._unordered
        if (cell in unordered.cells) != (twin in unordered.cells):
            unordered.add(cell, twin)
        if key_of(image) == key_of(there):
            return
        if cell.place.what is not Kind.LIST_HEAD or _content(image) != _content(there):
            raise AsymmetryError
        if cell not in unordered.cells:
            unordered.add(cell, twin)

    def value(self, place: Place, value: Any) -> Any:
        """The image of what a cell holds."""
        cpus = self._cpus
        if place.what in LOCKS:
            return cpus.get(value, value)
        if place.what is Kind.RWSEM:
            writer, readers = value
            return cpus.get(writer, writer), tuple(sorted(cpus.get(each, each) for each in readers))
        if place.what == "freed":
            free, made = value
            cache, twin = place.owner, cpus.get(place.key, place.key)
            offset = cache.freed[twin].values[0][1] - cache.freed[place.key].values[0][1]
            return tuple(self.slot(cache.at(each).slot).index for each in free), made + offset
        return self._plain(value)

    def _plain(self, value: Any) -> Any:
        if isinstance(value, Ref):
            return self.ref(value)
        if isinstance(value, Part):
            return self.part(value)
        if isinstance(value, frozenset):
            return frozenset(map(self._plain, value))
        if not isinstance(value, tuple):
            return value
        make: Any = getattr(type(value), "_make", tuple)
        cache = self._numbered(value)
        if cache is not None:
            return make((self.slot(cache.at(value[0]).slot).index, *value[1:]))
        return make(map(self._plain, value))

    def number(self, cell: Cell, number: int) -> tuple[Cell, int]:
        """The image of a cell and of the number of what it holds."""
        twin = self.cell(cell)
        return twin, self._unordered.number(twin, self.value(cell.place, cell.values[number]))

    # What it is held to

    def hold_node(self, one: Node, other: Node) -> None:
        """Let a local state be the image of another, if they are alike."""
        known = self.nodes.get(one)
        if known is other:
            return
        if known is not None or self._state_of(one, self.part) != self._state_of(other, _itself):
            raise AsymmetryError
        if one.action is not None and other.action is not None:
            self._hold_action(one.action, other.action)
        self.nodes[one] = other

    def _state_of(self, node: Node, part: Any) -> Any:
        """All of a local state that walks and causes depend on, but for its action."""
        kind = node.fault.kind if node.fault is not None else None
        held, locks = [tuple(map(part, each)) for each in (node.held, node.locks)]
        place = node.call, node.stack, node.finished, node.action is None
        return place, kind, node.in_section, held, locks

    def _hold_action(self, one: Action, other: Action) -> None:
        known = self._actions.get(one)
        if known is None and _looks(one, self) == _looks(other, None):
            self._actions[one] = other
        elif known is not other:
            raise AsymmetryError
        if one.name not in ORDER_BLIND:
            for cell in one.data:
                if cell.place.what is Kind.LIST_HEAD:
                    self._unordered.look(cell)

    def hold_response(self, one: Action, response: Any, other: Action, image: Any) -> None:
        """Let a response be the image of another."""
        if self._responses.setdefault((one, response), (other, image)) != (other, image):
            raise AsymmetryError


def _kind(slot: Slot) -> tuple[Any, bool]:
    return slot.cache.struct, slot.life is None


def _itself(anything: Any) -> Any:
    return anything


def _looks(action: Action, by: Renaming | None) -> Any:
    """All of an action that walks depend on, but for its rule, renamed."""
    cell: Any = by.cell if by is not None else _itself
    ref: Any = by.ref if by is not None else _itself
    cpus = by._cpus if by is not None else {}
    written = [each for each, flag in zip(action.data, action.written, strict=True) if flag]
    blind = [each for each, _ in action.blind]
    guards = frozenset(
        (
            cell(guard.life),
            guard.generation,
            guard.readers and cell(guard.readers),
            (guard.gentle, guard.lenient),
            ref(guard.ref),
        )
        for guard in action.guards
    )
    touched = [frozenset(map(cell, cells)) for cells in (action.data, written, blind)]
    named = action.name, action.field, action.plain, action.waits
    return named, cpus.get(action.cpu, action.cpu), ref(action.ref), guards, touched
