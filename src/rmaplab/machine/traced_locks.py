"""Locks and atomics of the traced machine: each method is one action on the field's cell."""

from __future__ import annotations

from typing import Any

from rmaplab.machine import rules
from rmaplab.machine.context import RUNNING
from rmaplab.machine.handles import Atomic, BitLock, Mutex, RwSem, SpinLock
from rmaplab.machine.traced_part import Part, assign, tell


def let_go(held: list[Any], lock: Part) -> None:
    """Take a lock off the list of those held: the same memory, maybe by a newer pointer."""
    for place, other in enumerate(held):
        if other.owner.slot is lock.owner.slot and other.field == lock.field:
            del held[place]
            return


class TracedSpinLock(Part, SpinLock):
    """A spinlock; RCU readers may take that of a freed object."""

    __slots__ = ()
    spins = 1
    names = ("spin_lock", "spin_trylock", "spin_unlock")

    def acquire(self) -> None:
        """Take it."""
        context = RUNNING.context
        self.act(self.names[0], rules.lock_acquire, context.cpu, gentle=True, waits=True)
        context.atomic += self.spins
        context.held.append(self)

    def try_acquire(self) -> bool:
        """Take it if free."""
        context = RUNNING.context
        taken: bool = self.act(self.names[1], rules.lock_try, context.cpu, gentle=True)
        if taken:
            context.atomic += self.spins
            context.held.append(self)
        return taken

    def release(self) -> None:
        """Release it."""
        context = RUNNING.context
        self.act(self.names[2], rules.lock_release, context.cpu, gentle=True)
        context.atomic -= self.spins
        let_go(context.held, self)

    def is_locked(self) -> bool:
        """Whether it is held."""
        return bool(self.act("is_locked", _is_held, write=False))


def _is_held(value: Any) -> Any:
    return value, value is not None


class TracedMutex(TracedSpinLock, Mutex):
    """A mutex."""

    __slots__ = ()
    spins = 0
    names = ("mutex_lock", "mutex_trylock", "mutex_unlock")


class TracedBitLock(TracedMutex, BitLock):
    """A bit lock."""

    __slots__ = ()
    names = ("lock_page", "trylock_page", "unlock_page")

    def release(self) -> None:
        """Release it, whoever took it."""
        context = RUNNING.context
        self.act(self.names[2], rules.bit_release, context.cpu)
        let_go(context.held, self)

    def wait(self) -> None:
        """Wait until it is free."""
        cpu = RUNNING.context.cpu
        self.act("wait_on_page_locked", rules.lock_wait, cpu, write=False, waits=True)


def is_exclusive(lock: object) -> bool:
    """Whether nobody can take or release it but who holds it."""
    return isinstance(lock, TracedSpinLock) and not isinstance(lock, TracedBitLock)


class TracedRwSem(Part, RwSem):
    """A semaphore; RCU readers may take that of a freed object."""

    __slots__ = ()

    def _take(self, name: str, rule: Any) -> None:
        context = RUNNING.context
        self.act(name, rule, context.cpu, gentle=True, waits=True)
        context.held.append(self)

    def _try(self, name: str, rule: Any) -> bool:
        context = RUNNING.context
        taken: bool = self.act(name, rule, context.cpu, gentle=True)
        if taken:
            context.held.append(self)
        return taken

    def _give(self, name: str, rule: Any) -> None:
        context = RUNNING.context
        self.act(name, rule, context.cpu, gentle=True)
        let_go(context.held, self)

    def acquire_read(self) -> None:
        """Take it shared."""
        self._take("down_read", rules.read_acquire)

    def try_acquire_read(self) -> bool:
        """Take it shared if no writer holds it."""
        return self._try("down_read_trylock", rules.read_try)

    def release_read(self) -> None:
        """Release it shared."""
        self._give("up_read", rules.read_release)

    def acquire_write(self) -> None:
        """Take it alone."""
        self._take("down_write", rules.write_acquire)

    def try_acquire_write(self) -> bool:
        """Take it alone if nobody holds it."""
        return self._try("down_write_trylock", rules.write_try)

    def release_write(self) -> None:
        """Release it."""
        self._give("up_write", rules.write_release)

    def is_locked(self) -> bool:
        """Whether anybody holds it."""
        return bool(self.act("rwsem_is_locked", _is_taken, write=False))


def _is_taken(value: Any) -> Any:
    return value, value != (None, ())


class TracedAtomic(Part, Atomic):
    """An atomic counter."""

    __slots__ = ()

    def read(self) -> int:
        """The value."""
        if self.machine.quiet:
            return int(self.value())
        return int(self.act("atomic_read", tell, write=False, gentle=True))

    def compare(self, relation: str, other: int) -> bool:
        """The value compared."""
        if self.machine.quiet:
            return rules.RELATIONS[relation](self.value(), other)
        return bool(self.act("atomic_read", _compare, relation, other, write=False, gentle=True))

    def set(self, value: int) -> None:
        """Store."""
        self.act("atomic_set", assign, value)

    def add(self, amount: int) -> None:
        """Add."""
        name = {1: "atomic_inc", -1: "atomic_dec"}.get(amount, "atomic_add")
        self.act(name, rules.atomic_add, amount, self.machine.least(self.declared.least))

    def add_and_compare(self, amount: int, relation: str, other: int) -> bool:
        """Add and compare."""
        name = {1: "atomic_inc_and_test", -1: "atomic_dec_and_test"}.get(amount, "atomic_add")
        if relation == "<":
            name = "atomic_add_negative"
        least = self.machine.least(self.declared.least)
        return bool(self.act(name, rules.atomic_add_compare, amount, relation, other, least))

    def add_unless(self, amount: int, unless: int) -> bool:
        """Add unless it is a certain value."""
        not_zero = (amount, unless) == (1, 0)
        name = "atomic_inc_not_zero" if not_zero else "atomic_add_unless"
        least = self.machine.least(self.declared.least)
        # How an RCU reader asks whether an object is still there: of a freed one the count is 0.
        return bool(self.act(name, rules.atomic_add_unless, amount, unless, least, gentle=not_zero))

    def exchange_if(self, old: int, new: int) -> bool:
        """Store a value in place of another."""
        return bool(self.act("atomic_cmpxchg", rules.atomic_exchange_if, old, new))


def _compare(value: int, relation: str, other: int) -> Any:
    return value, rules.RELATIONS[relation](value, other)
