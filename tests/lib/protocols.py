"""Small protocols, written once as generators of operations, and run on the traced machine.

An operation is a tuple: ("load", place), ("store", place, value), ("lock", place) and so on.
A place is the name of a global field, or (pointer, field of an object).
`brute` gives the same operations a meaning of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rmaplab.checker.check import SetupRecorder
from rmaplab.checker.exploration import Walk
from rmaplab.checker.options import NONE, Limits, Reduction
from rmaplab.checker.program import Call, Flow, Scenario
from rmaplab.checker.tables import Tables
from rmaplab.checker.walker import Walker
from rmaplab.machine import (
    SLAB_DESTROY_BY_RCU,
    KernelStateError,
    Struct,
    atomic_dec,
    atomic_dec_and_test,
    atomic_inc,
    atomic_inc_not_zero,
    atomic_read,
    atomic_set,
    down_read,
    down_write,
    kmem_cache_alloc,
    kmem_cache_free,
    list_add_tail,
    list_del,
    list_empty,
    list_first_entry,
    lock_bit,
    rcu_read_lock,
    rcu_read_unlock,
    spin_lock,
    spin_trylock,
    spin_unlock,
    unlock_bit,
    up_read,
    up_write,
    wait_on_bit,
)
from rmaplab.machine import struct as declare
from rmaplab.machine.struct import Kind, StructMeta
from rmaplab.machine.traced import TracedMachine
from rmaplab.machine.traced_part import Part
from rmaplab.machine.traced_slab import Ref

Body = Callable[..., Generator[Any, Any, Any]]

#: Partial-order reduction alone: a state is kept for each step.
PARTIAL_ORDER = frozenset({Reduction.PARTIAL_ORDER})


class Pointer(NamedTuple):
    """What a pointer is outside of the machine."""

    index: int
    generation: int


@dataclass(frozen=True)
class Turn:
    """One call: its body gets the pointers that the set-up returned."""

    body: Body
    repeat: bool = False
    skip: int = 0
    fail: int = 0


@dataclass(frozen=True)
class Protocol:
    """The global fields by kind, the flows (one CPU each), and what must hold at the end."""

    flows: tuple[tuple[Turn, ...], ...]
    values: tuple[str, ...] = ()
    marked: tuple[str, ...] = ()
    locks: tuple[str, ...] = ()
    bits: tuple[str, ...] = ()
    sems: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    setup: Body | None = None
    last: frozenset[int] = field(default=frozenset())
    rcu: bool = False
    no_leak: bool = False


def flows(*bodies: Body) -> tuple[tuple[Turn, ...], ...]:
    """One call for each CPU."""
    return tuple((Turn(body),) for body in bodies)


class Obj(Struct):
    """The only struct that protocols allocate."""

    x = declare.value(0)
    lock = declare.spinlock()
    count = declare.refcount(0)
    head = declare.list_head()
    link = declare.list_entry()


def _globals(protocol: Protocol) -> Any:
    kinds = [
        (protocol.values, lambda: declare.value(0)),
        (protocol.marked, lambda: declare.value(0, marked="on purpose")),
        (protocol.locks, declare.spinlock),
        (protocol.bits, declare.bitlock),
        (protocol.sems, declare.rwsem),
        (protocol.counts, declare.refcount),
        (protocol.heads, declare.list_head),
    ]
    return StructMeta(
        "Globals", (Struct,), {name: make() for names, make in kinds for name in names}
    )


class Bench:
    """A protocol on the traced machine."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.machine = TracedMachine(cpus=len(protocol.flows))
        self.globals = self.machine.static(_globals(protocol), "g")
        stable = (SLAB_DESTROY_BY_RCU, lambda item: None) if protocol.rcu else (0, None)
        self.cache: Any = self.machine.kmem_cache_create("obj", Obj, *stable)
        self.pointers: tuple[Any, ...] = ()
        recorder = self.machine.observer = SetupRecorder()
        if protocol.setup is not None:
            with self.machine.running(0, "setup"):
                self.pointers = self.drive(protocol.setup()) or ()
        self.machine.observer = None
        flows = tuple(self._flows())
        self.scenario = Scenario(self.machine, flows, self._check_end, recorder.events)

    def _flows(self) -> Generator[Flow, None, None]:
        for cpu, turns in enumerate(self.protocol.flows):
            calls = tuple(
                Call(f"T{cpu}", "call", self._runner(turn.body), turn.repeat, turn.skip, turn.fail)
                for turn in turns
            )
            yield Flow(cpu, calls, cpu in self.protocol.last)

    def _runner(self, body: Body) -> Callable[[], Any]:
        return lambda: self.drive(body(*self.pointers))

    def drive(self, protocol: Generator[Any, Any, Any]) -> Any:
        """Do what a protocol asks for, by the kernel's API."""
        try:
            asked = next(protocol)
            while True:
                asked = protocol.send(self.do(*asked))
        except StopIteration as stop:
            return stop.value

    def do(self, name: str, *operands: Any) -> Any:
        """One operation."""
        if name == "alloc":
            return kmem_cache_alloc(self.cache)
        if name == "free":
            return kmem_cache_free(self.cache, operands[0])
        if name == "del":
            return list_del(operands[0].link)
        if name in LOCAL:
            return LOCAL[name]()
        owner, attribute = self._place(operands[0])
        if name == "load":
            return getattr(owner, attribute)
        if name == "store":
            return setattr(owner, attribute, operands[1])
        if name == "add":
            return list_add_tail(operands[1].link, getattr(owner, attribute))
        return PART[name](getattr(owner, attribute), *operands[1:])

    def _place(self, place: Any) -> tuple[Any, str]:
        return (self.globals, place) if isinstance(place, str) else place

    def _check_end(self) -> None:
        live = self.cache.live()
        if self.protocol.no_leak and live:
            raise KernelStateError("leak", f"{live[0].name()} is left", live[0])

    # Walks

    def walker(self) -> Walker:
        """A walker from the state after the set-up."""
        self.machine.freeze()
        return Walker(Tables(self.scenario))

    def walk(self, reductions: frozenset[Reduction] = NONE, limits: Limits | None = None) -> Walk:
        """One walk, all by itself."""
        return self.walker().walk(reductions, limits or Limits())

    def finals(self, walker: Walker, walk: Walk) -> set[frozenset[Any]]:
        """The memories in which all had finished."""
        return {self.memory(walker, "\0" * walker.tables.columns + rest) for rest in walk.terminals}

    def memory(self, walker: Walker, state: str) -> frozenset[Any]:
        """What is in memory: {((owner, field), value)}, the life of an object as a field."""
        found = {}
        owners = [("g", self.globals.slot), *self.cache._slots.items()]
        for owner, slot in owners:
            for (name, _), cell in slot.cells.items():
                held = plain(walker.tables.value(state, cell))
                is_lock = self._kind(owner, name) in (Kind.SPINLOCK, Kind.BITLOCK)
                found[owner, name] = f"CPU{held}" if is_lock and held is not None else held
            if slot.life is not None:
                found[owner, "life"] = walker.tables.value(state, slot.life)
        return trimmed(found)

    def _kind(self, owner: Any, name: str) -> Kind:
        declared: Kind = (self.globals if owner == "g" else Obj).fields[name].kind
        return declared


def trimmed(memory: dict[Any, Any]) -> frozenset[Any]:
    """Without what is still empty: cells may be there or not before they are first used."""
    empty = (None, 0, (), (None, ()))
    return frozenset((key, held) for key, held in memory.items() if held not in empty)


def plain(held: Any) -> Any:
    """A value of memory without the machine's objects."""
    if isinstance(held, Ref):
        return Pointer(held.slot.index, held.generation) if held.slot.life is not None else "g"
    if isinstance(held, Part):
        return plain(held.owner), held.field
    return tuple(map(plain, held)) if isinstance(held, tuple) else held


LOCAL: dict[str, Callable[[], Any]] = {
    "rcu_lock": rcu_read_lock,
    "rcu_unlock": rcu_read_unlock,
}
PART: dict[str, Callable[..., Any]] = {
    "lock": spin_lock,
    "trylock": spin_trylock,
    "unlock": spin_unlock,
    "lock_bit": lock_bit,
    "unlock_bit": unlock_bit,
    "wait_bit": wait_on_bit,
    "down_read": down_read,
    "up_read": up_read,
    "down_write": down_write,
    "up_write": up_write,
    "read": atomic_read,
    "set": atomic_set,
    "inc": atomic_inc,
    "dec": atomic_dec,
    "dec_and_test": atomic_dec_and_test,
    "inc_not_zero": atomic_inc_not_zero,
    "dec_unless_one": lambda count: count.add_unless(-1, 1),
    "empty": list_empty,
    "first": list_first_entry,
}
