"""Slab caches of the traced machine, and the pointers to their objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from rmaplab.machine import rules
from rmaplab.machine.cells import Cell, Place, Slot
from rmaplab.machine.context import RUNNING
from rmaplab.machine.faults import KernelStateError
from rmaplab.machine.machine import SLAB_DESTROY_BY_RCU, SLAB_STATIC, KmemCache
from rmaplab.machine.struct import Field, Kind, Struct
from rmaplab.machine.traced_parts import PARTS, initial_value

if TYPE_CHECKING:
    from rmaplab.machine.traced import TracedMachine


class Ref:
    """A pointer to one life of an object: one Python object for each, so that `is` compares."""

    __slots__ = ("generation", "parts", "slot")

    machine: TracedMachine
    fields: dict[str, Field]

    def __init__(self, slot: Slot, generation: int) -> None:
        self.slot = slot
        self.generation = generation
        self.parts: dict[str, Any] = {}

    def name(self) -> str:
        """`anon_vma#1`, or `anon_vma#1.2` in its second life."""
        slot = self.slot
        serial = f"#{slot.serial}" if slot.serial else ""
        life = f".{self.generation}" if self.generation > 1 else ""
        return f"{slot.cache.name}{serial}{life}"

    def cell(self, field: str, key: Any = None) -> Cell:
        """The cell of a field (of one entry of it)."""
        cells = self.slot.cells
        found = cells.get((field, key))
        if found is None:
            declared = self.fields[field]
            initial = initial_value(declared) if key is None else None
            place = Place(declared.kind, self.slot, field, key)
            found = self.machine.cell(f"{self.name()}.{field}", initial, place)
            cells[(field, key)] = found
        return found

    def read_once(self, field: str) -> Any:
        """READ_ONCE: a marked load."""
        return self._load(field, plain=False)

    def _load(self, field: str, plain: bool) -> Any:
        machine = self.machine
        cell = self.cell(field)
        if machine.quiet:
            return cell.current
        return machine.perform(
            machine.action(
                "load",
                self,
                field,
                (cell,),
                _load,
                (),
                machine.guard(self, True),
                (False,),
                (),
                plain,
            )
        )

    def _store(self, field: str, value: Any, plain: bool) -> None:
        machine = self.machine
        machine.perform(
            machine.action(
                "store",
                self,
                field,
                (),
                _store,
                (value,),
                machine.guard(self, False),
                (),
                ((self.cell(field), value),),
                plain,
            )
        )

    def __repr__(self) -> str:
        return self.name()


def _load(value: Any) -> Any:
    return (value,), value


def _store() -> Any:
    return (), None


def _value_property(name: str, declared: Field) -> property:
    plain = not declared.marked
    return property(
        lambda ref: ref._load(name, plain), lambda ref, value: ref._store(name, value, plain)
    )


def _part_property(name: str, declared: Field) -> property:
    kind = PARTS[declared.kind]

    def part(ref: Any) -> Any:
        found = ref.parts.get(name)
        if found is None:
            found = ref.parts[name] = kind(ref, name, declared)
        return found

    return property(part)


def ref_class(machine: TracedMachine, struct: type[Struct]) -> Any:
    """The class of pointers to a struct."""
    body: dict[str, Any] = {"__slots__": (), "machine": machine, "fields": struct.fields}
    for name, declared in struct.fields.items():
        make = _value_property if declared.kind is Kind.VALUE else _part_property
        body[name] = make(name, declared)
    make_class: Any = type(struct)
    return make_class(struct.__name__, (Ref, struct), body)


class TracedCache(KmemCache):
    """A slab cache: the last object freed on a CPU is the next one allocated there."""

    def __init__(
        self,
        machine: TracedMachine,
        name: str,
        struct: type[Struct],
        flags: int,
        ctor: Callable[[Any], None] | None,
    ) -> None:
        self.machine = machine
        self.name = name
        self.struct = struct
        self.flags = flags
        self.ctor = ctor
        self.rcu = bool(flags & SLAB_DESTROY_BY_RCU)
        self._static = bool(flags & SLAB_STATIC)
        self._ref: Any = ref_class(machine, struct)
        self._slots: dict[int, Slot] = {}
        # Of each CPU: (the slots freed, last one last; how many were ever made).
        self.freed = [
            machine.cell(f"{name}:CPU{cpu}", ((), 0), Place("freed", self, key=cpu))
            for cpu in range(machine.cpus)
        ]

    def _slot(self, index: int) -> Slot:
        slot = self._slots.get(index)
        if slot is None:
            serial = len(self._slots) + 1
            slot = self._slots[index] = Slot(self, index, serial, None)
            if not self._static:
                slot.life = self.machine.cell(f"{self.name}#{serial}", 0, Place("life", slot))
        return slot

    def pointer(self, slot: Slot, generation: int) -> Any:
        """The pointer to one life of an object: the same one each time."""
        ref = slot.refs.get(generation)
        if ref is None:
            ref = slot.refs[generation] = self._ref(slot, generation)
        return ref

    def alloc(self) -> Any:
        """An object; its memory is what its last owner left if there is a constructor."""
        context = RUNNING.context
        if context.should_fail():
            return None
        machine, cpu = self.machine, context.cpu
        pop = machine.action(
            "pop", None, self.name, (self.freed[cpu],), self._popper(cpu), (self.name,)
        )
        index, fresh = machine.perform(pop)
        slot = self._slot(index)
        generation = 1
        if slot.life is not None:
            begin = machine.action("alloc", None, self.name, (slot.life,), _begin, (index,))
            generation = machine.perform(begin)
        item = self.pointer(slot, generation)
        if fresh and self.ctor is not None:
            self.ctor(item)
        return item

    def _popper(self, cpu: int) -> Any:
        cpus = self.machine.cpus

        def pop(value: Any) -> Any:
            free, made = value
            if free:
                return ((free[:-1], made),), (free[-1], False)
            return ((free, made + 1),), (made * cpus + cpu, True)

        return pop

    def take(self, index: int) -> Any:
        """The object of that number if it is free, on whichever CPU it was freed."""
        cells = tuple(self.freed)
        rule = self._taker(index)
        taken = self.machine.action("take", None, self.name, cells, rule, (self.name, index))
        return self.at(index) if self.machine.perform(taken) else None

    def _taker(self, index: int) -> Any:
        number, cpu = divmod(index, self.machine.cpus)
        cpus = self.machine.cpus

        def take(*values: Any) -> Any:
            news = list(values)
            free, made = values[cpu]
            unused = tuple(n * cpus + cpu for n in range(number, made - 1, -1))
            news[cpu] = (*unused, *free), max(made, number + 1)
            for place, (kept, count) in enumerate(news):
                if index in kept:
                    news[place] = tuple(i for i in kept if i != index), count
                    return tuple(news), True
            return values, False

        return take

    def free(self, item: Any) -> None:
        """Give an object back."""
        machine, slot = self.machine, item.slot
        if slot.life is not None:
            machine.perform(self._end(item))
        free = self.freed[RUNNING.context.cpu]
        key = (self.name, slot.index)
        machine.perform(
            machine.action("push", None, self.name, (free,), _pusher(slot.index, item), key)
        )

    def _end(self, item: Any) -> Any:
        """The action that ends a life; what a reader elsewhere may still see is kept for it."""
        machine, slot = self.machine, item.slot
        readers = machine.readers_elsewhere() if self.rcu else ()
        generation = item.generation

        def end(life: int, *kept: Any) -> Any:
            if life != generation:
                name = item.name()
                raise KernelStateError("double-free", f"a second free of {name}", item, "")
            seen = tuple(each if each is None else each | {item} for each in kept)
            return (-generation, *seen), None

        data = (slot.life, *readers)
        # What readers keep only grows by frees: two of them commute, so they do not write it.
        written = (True, *(False for _ in readers))
        blind = () if self.ctor is not None else self._reset(item)
        return machine.action("free", item, "", data, end, (generation,), (), written, blind)

    def _reset(self, item: Any) -> tuple[tuple[Cell, Any], ...]:
        """Freed memory without constructor holds nothing that anyone may rely on."""
        return tuple(
            (item.cell(name), initial_value(declared)) for name, declared in item.fields.items()
        )

    def index(self, item: Any) -> int:
        """The number of an object within the cache."""
        return cast(int, item.slot.index)

    def at(self, index: int) -> Any:
        """The object of that number, in its present life."""
        slot = self._slot(index)
        return self.pointer(slot, abs(slot.life.current) if slot.life is not None else 1)

    def slots(self) -> tuple[Slot, ...]:
        """The places in memory where objects ever were (an observation)."""
        return tuple(self._slots.values())

    def live(self) -> tuple[Any, ...]:
        """The objects allocated now."""
        if self._static:
            free = {index for cell in self.freed for index in cell.current[0]}
            made = {
                number * self.machine.cpus + cpu
                for cpu, cell in enumerate(self.freed)
                for number in range(cell.current[1])
            }
            return tuple(self.at(index) for index in sorted(made - free))
        slots = (slot for slot in self._slots.values() if slot.life is not None)
        return tuple(
            self.pointer(s, s.life.current) for s in slots if s.life and s.life.current > 0
        )


def _begin(life: int) -> Any:
    new, response = rules.life_begin(life)
    return (new,), response


def _pusher(index: int, item: Any) -> Any:
    def push(value: Any) -> Any:
        free, made = value
        if index in free:
            raise KernelStateError("double-free", f"a second free of {item.name()}", item, "")
        return (((*free, index), made),), None

    return push
