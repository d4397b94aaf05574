"""Locks and atomics of the direct machine: the rule book applied at once.

With one call at a time nobody else can release a lock: having to wait is a deadlock.
What goes well is done in place, without the tuples of the rule book; what does not is left to it,
for its errors. The tests hold every case against it.
"""

from __future__ import annotations

from typing import Any

from rmaplab.machine import rules
from rmaplab.machine.context import RUNNING
from rmaplab.machine.faults import KernelStateError
from rmaplab.machine.handles import Atomic, BitLock, Mutex, RwSem, SpinLock
from rmaplab.machine.rules import BLOCKED, RELATIONS
from rmaplab.machine.struct import Field


class _Part:
    """What every embedded field has: its struct, and its name there."""

    __slots__ = ("field", "owner", "state")

    initial: Any = None

    def __init__(self, owner: Any, field: str, declared: Field) -> None:
        self.owner = owner
        self.field = field
        self.state: Any = self.initial

    def _apply(self, outcome: Any) -> Any:
        if outcome is BLOCKED:
            message = f"{self.field} of {self.owner.label} is never released"
            raise KernelStateError("deadlock", message, self.owner, self.field)
        self.state, response = outcome
        return response


class DirectSpinLock(_Part, SpinLock):
    """A spinlock."""

    __slots__ = ()
    spins = 1  # whether its holder must not sleep

    def acquire(self) -> None:
        """Take it."""
        context = RUNNING.context
        if self.state is None:
            self.state = context.cpu
        else:
            self._apply(rules.lock_acquire(self.state, context.cpu))
        context.atomic += self.spins
        context.held.append(self)

    def try_acquire(self) -> bool:
        """Take it if free."""
        if self.state is not None:
            return False
        context = RUNNING.context
        self.state = context.cpu
        context.atomic += self.spins
        context.held.append(self)
        return True

    def release(self) -> None:
        """Release it."""
        context = RUNNING.context
        if self.state == context.cpu:
            self.state = None
        else:
            self._apply(rules.lock_release(self.state, context.cpu))
        context.atomic -= self.spins
        context.let_go(self)

    def is_locked(self) -> bool:
        """Whether it is held."""
        return self.state is not None


class DirectMutex(DirectSpinLock, Mutex):
    """A mutex."""

    __slots__ = ()
    spins = 0


class DirectBitLock(DirectMutex, BitLock):
    """A bit lock."""

    __slots__ = ()

    def release(self) -> None:
        """Release it, whoever took it."""
        context = RUNNING.context
        if self.state is None:
            self._apply(rules.bit_release(self.state, context.cpu))
        self.state = None
        if self in context.held:
            context.let_go(self)

    def wait(self) -> None:
        """Wait until it is free."""
        self._apply(rules.lock_wait(self.state, RUNNING.context.cpu))


class DirectRwSem(_Part, RwSem):
    """A semaphore."""

    __slots__ = ()
    initial = (None, ())

    def acquire_read(self) -> None:
        """Take it shared."""
        context = RUNNING.context
        if self.state == self.initial:
            self.state = None, (context.cpu,)
        else:
            self._apply(rules.read_acquire(self.state, context.cpu))
        context.held.append(self)

    def try_acquire_read(self) -> bool:
        """Take it shared if no writer holds it."""
        context = RUNNING.context
        taken: bool = self._apply(rules.read_try(self.state, context.cpu))
        if taken:
            context.held.append(self)
        return taken

    def release_read(self) -> None:
        """Release it shared."""
        context = RUNNING.context
        if self.state[1] == (context.cpu,):
            self.state = self.initial
        else:
            self._apply(rules.read_release(self.state, context.cpu))
        context.let_go(self)

    def acquire_write(self) -> None:
        """Take it alone."""
        context = RUNNING.context
        self._apply(rules.write_acquire(self.state, context.cpu))
        context.held.append(self)

    def try_acquire_write(self) -> bool:
        """Take it alone if nobody holds it."""
        context = RUNNING.context
        taken: bool = self._apply(rules.write_try(self.state, context.cpu))
        if taken:
            context.held.append(self)
        return taken

    def release_write(self) -> None:
        """Release it."""
        context = RUNNING.context
        self._apply(rules.write_release(self.state, context.cpu))
        context.let_go(self)

    def is_locked(self) -> bool:
        """Whether anybody holds it."""
        return bool(self.state != self.initial)


class DirectAtomic(Atomic):
    """An atomic counter."""

    __slots__ = ("field", "least", "owner", "state")

    def __init__(self, owner: Any, field: str, declared: Field) -> None:
        self.owner = owner
        self.field = field
        self.least = declared.least
        self.state: int = declared.initial

    def _underflow(self, new: int) -> None:
        """A count too low: a violation, unless the run passes over it as the kernel does."""
        if "refcount-underflow" not in RUNNING.context.machine.allow:
            message = f"{self.field} of {self.owner.label} falls to {new}"
            raise KernelStateError("refcount-underflow", message, self.owner, self.field)

    def read(self) -> int:
        """The value."""
        return self.state

    def compare(self, relation: str, other: int) -> bool:
        """The value compared."""
        return RELATIONS[relation](self.state, other)

    def set(self, value: int) -> None:
        """Store."""
        self.state = value

    def add(self, amount: int) -> None:
        """Add."""
        new = self.state + amount
        if amount < 0 and self.least is not None and new < self.least:
            self._underflow(new)
        self.state = new

    def add_and_compare(self, amount: int, relation: str, other: int) -> bool:
        """Add and compare."""
        self.add(amount)
        return RELATIONS[relation](self.state, other)

    def add_unless(self, amount: int, unless: int) -> bool:
        """Add unless it is a certain value."""
        if self.state == unless:
            return False
        self.add(amount)
        return True

    def exchange_if(self, old: int, new: int) -> bool:
        """Store a value in place of another."""
        found: bool = self.state == old
        if found:
            self.set(new)
        return found
