"""The traced machine: every access to shared state is one action.

In order (set-up, checks of the end state) an action takes place at once.
While exploring, it leaves the greenlet, and comes back with the response that the checker chose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from greenlet import getcurrent

from rmaplab.machine.cells import Action, Cell, Guard, Rule, Slot, key_of
from rmaplab.machine.context import RUNNING, Context
from rmaplab.machine.faults import KernelStateError
from rmaplab.machine.machine import SLAB_STATIC, KmemCache, Machine
from rmaplab.machine.rules import BLOCKED
from rmaplab.machine.struct import Kind, Struct
from rmaplab.machine.traced_slab import TracedCache, ref_class

S = TypeVar("S", bound=Struct)


class TracedMachine(Machine):
    """Memory as cells; `cpus` is how many CPUs there are."""

    def __init__(self, cpus: int = 2, allow: frozenset[str] = frozenset()) -> None:
        self.cpus = cpus
        self.allow = allow
        self.cells: list[Cell] = []
        self.caches: list[KmemCache] = []
        self._statics: list[Any] = []
        self.exploring = False
        self.quiet = False
        #: Called with (action, values before, values after) for each action in order.
        self.observer: Callable[[Action, list[Any], list[Any]], None] | None = None
        self._actions: dict[Any, Action] = {}
        #: Of each CPU, what was freed elsewhere in its RCU read-side section; None outside of one.
        self.readers = [self.cell(f"rcu:CPU{cpu}", None) for cpu in range(cpus)]
        RUNNING.context = Context(self, 0, "boot")

    # Memory

    def cell(self, label: str, initial: Any) -> Cell:
        """A new cell."""
        cell = Cell(len(self.cells), label, initial)
        self.cells.append(cell)
        return cell

    def freeze(self) -> None:
        """End the set-up: what is in memory now is where every exploration starts."""
        for cell in self.cells:
            cell.freeze()
        for action in self._actions.values():
            action.forget()

    @contextmanager
    def observing(self) -> Iterator[None]:
        """Read memory without actions, guards or traces: for checks of a state."""
        before = self.quiet, self.exploring
        self.quiet, self.exploring = True, False
        try:
            yield
        finally:
            self.quiet, self.exploring = before

    # Actions

    def action(
        self,
        name: str,
        ref: Any,
        field: str,
        data: tuple[Cell, ...],
        rule: Rule,
        key: tuple[Any, ...] = (),
        guards: tuple[Guard, ...] = (),
        written: tuple[bool, ...] | None = None,
        blind: tuple[tuple[Cell, Any], ...] = (),
        plain: bool = False,
        waits: bool = False,
    ) -> Action:
        """The action of that name, CPU, cells and operands: one object for each."""
        cpu = RUNNING.context.cpu
        cells = tuple(cell.number for cell in data)
        lives = tuple((guard.life.number, guard.generation) for guard in guards)
        stores = tuple(cell.number for cell, _ in blind)
        identity = (name, cpu, field, cells, stores, lives, plain, key_of(key))
        found = self._actions.get(identity)
        if found is None:
            flags = written if written is not None else (True,) * len(data)
            number = len(self._actions)
            found = Action(
                number, name, cpu, ref, field, guards, data, flags, rule, blind, plain, waits
            )
            self._actions[identity] = found
        return found

    def perform(self, action: Action) -> Any:
        """Do an action: at once, or as a step that the checker schedules."""
        if self.exploring:
            return getcurrent().parent.switch(action)
        values = [cell.current for cell in action.cells]
        if self.quiet:
            return self._settle(action, action.rule(*values[action.guarded :]))
        response = self._settle(action, action.evaluate(values))
        if self.observer is not None:
            now = [cell.current for cell in action.data]
            self.observer(action, values[action.guarded :], now)
        return response

    def _settle(self, action: Action, outcome: Any) -> Any:
        if outcome is BLOCKED:
            message = f"{action.label()} is never released"
            raise KernelStateError("deadlock", message, action.ref, action.field)
        news, response = outcome
        if not self.quiet:
            for cell, new in zip(action.data, news, strict=True):
                cell.current = new
            for cell, new in action.blind:
                cell.current = new
        return response

    def guard(self, ref: Any, gentle: bool) -> tuple[Guard, ...]:
        """The guard of an access through a pointer; none for what is never freed."""
        slot = ref.slot
        if slot.life is None:
            return ()
        readers = self.readers[RUNNING.context.cpu] if slot.cache.rcu else None
        lenient = "use-after-free" in self.allow
        return (Guard(ref, slot.life, ref.generation, readers, gentle, lenient),)

    def readers_elsewhere(self) -> tuple[Cell, ...]:
        """What each other CPU's read-side section keeps."""
        cpu = RUNNING.context.cpu
        return tuple(cell for other, cell in enumerate(self.readers) if other != cpu)

    # Machine

    def kmem_cache_create(
        self,
        name: str,
        struct: type[Struct],
        flags: int = 0,
        ctor: Callable[[Any], None] | None = None,
    ) -> KmemCache:
        """A new cache."""
        cache = TracedCache(self, name, struct, flags, ctor)
        self.caches.append(cache)
        return cache

    def static(self, struct: type[S], name: str) -> S:
        """A global variable of the kernel."""
        cache = TracedCache(self, name, struct, SLAB_STATIC, None)
        slot = Slot(cache, 0, 0, None)
        item = slot.refs[1] = ref_class(self, struct)(slot, 1)
        self._statics.append(item)
        return cast(S, item)

    def statics(self) -> tuple[Any, ...]:
        """The kernel's global variables."""
        return tuple(self._statics)

    def references(self, item: Any) -> Iterator[Any]:
        """What the fields of an object hold."""
        for name, declared in item.fields.items():
            held = item.cell(name).current
            if declared.kind is Kind.VALUE:
                yield held
            elif declared.kind in (Kind.LIST_HEAD, Kind.TREE):
                yield from held

    def rcu_read_lock(self, context: Context) -> None:
        """Begin to keep what others free."""
        cell = self.readers[context.cpu]
        self.perform(
            self.action("rcu_read_lock", None, "", (cell,), lambda _: ((frozenset(),), None))
        )

    def rcu_read_unlock(self, context: Context) -> None:
        """Let go of it: the same before and after somebody's free, so it does not write it."""
        cell = self.readers[context.cpu]
        self.perform(self.action("rcu_read_unlock", None, "", (cell,), _leave, written=(False,)))

    def name_of(self, item: Any) -> str:
        """`anon_vma#1`; its second life is `anon_vma#1.2`."""
        return str(item.name())

    def least(self, declared: int | None) -> int | None:
        """The smallest legal count, or None where a run passes over underflows."""
        return None if "refcount-underflow" in self.allow else declared


def _leave(_: Any) -> Any:
    return (None,), None
