"""The rule book: what each primitive does to the value of its cell, as pure functions.

A rule takes the cell's value and gives (new value, response), or BLOCKED where the CPU must wait.
A rule raises KernelStateError where the primitive is an error in that state.
Both machines use these, so they cannot disagree.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

from rmaplab.machine.faults import KernelStateError


class _Blocked:
    """The response of a primitive that has to wait."""

    def __repr__(self) -> str:
        return "BLOCKED"


BLOCKED: Final[Any] = _Blocked()

RELATIONS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

# Locks: the value is the holder's CPU, or None.


def lock_acquire(holder: int | None, cpu: int) -> Any:
    """Take a lock; taking one's own again never ends."""
    if holder is None:
        return cpu, None
    if holder == cpu:
        raise KernelStateError("deadlock", f"CPU{cpu} takes a lock that it holds already")
    return BLOCKED


def lock_try(holder: int | None, cpu: int) -> Any:
    """Take a lock if it is free."""
    return (cpu, True) if holder is None else (holder, False)


def lock_release(holder: int | None, cpu: int) -> Any:
    """Release a lock; its holder does."""
    if holder == cpu:
        return None, None
    by = "nobody" if holder is None else f"CPU{holder}"
    raise KernelStateError("bad-unlock", f"CPU{cpu} releases a lock that {by} holds")


def bit_release(holder: int | None, cpu: int) -> Any:
    """Release a bit lock, whoever took it."""
    if holder is None:
        raise KernelStateError("bad-unlock", f"CPU{cpu} releases a bit lock that is not held")
    return None, None


def lock_wait(holder: int | None, cpu: int) -> Any:
    """Wait until a lock is free, without taking it."""
    return (None, None) if holder is None else BLOCKED


# Semaphores: the value is (the writer's CPU or None, the readers' CPUs in order).


def read_acquire(value: tuple[int | None, tuple[int, ...]], cpu: int) -> Any:
    """down_read."""
    writer, readers = value
    if writer == cpu:
        raise KernelStateError("deadlock", f"CPU{cpu} reads a semaphore that it holds for writing")
    return ((None, tuple(sorted((*readers, cpu)))), None) if writer is None else BLOCKED


def read_try(value: tuple[int | None, tuple[int, ...]], cpu: int) -> Any:
    """down_read_trylock."""
    writer, readers = value
    if writer is not None:
        return value, False
    return (None, tuple(sorted((*readers, cpu)))), True


def read_release(value: tuple[int | None, tuple[int, ...]], cpu: int) -> Any:
    """up_read."""
    writer, readers = value
    if cpu not in readers:
        raise KernelStateError("bad-unlock", f"CPU{cpu} releases a semaphore it does not read")
    rest = list(readers)
    rest.remove(cpu)
    return (writer, tuple(rest)), None


def write_acquire(value: tuple[int | None, tuple[int, ...]], cpu: int) -> Any:
    """down_write."""
    writer, readers = value
    if writer == cpu or cpu in readers:
        raise KernelStateError("deadlock", f"CPU{cpu} takes a semaphore that it holds already")
    return ((cpu, ()), None) if writer is None and not readers else BLOCKED


def write_try(value: tuple[int | None, tuple[int, ...]], cpu: int) -> Any:
    """down_write_trylock."""
    writer, readers = value
    if writer is not None or readers:
        return value, False
    return (cpu, ()), True


def write_release(value: tuple[int | None, tuple[int, ...]], cpu: int) -> Any:
    """up_write."""
    writer, readers = value
    if writer != cpu:
        raise KernelStateError("bad-unlock", f"CPU{cpu} releases a semaphore it does not hold")
    return (None, readers), None


# Atomics. `least` is the smallest legal value, None where any is.


def check_count(value: int, least: int | None) -> None:
    """Complain about a reference count below its smallest value."""
    if least is not None and value < least:
        message = f"the count falls to {value}"
        raise KernelStateError("refcount-underflow", message, after=value)


def atomic_add(value: int, amount: int, least: int | None) -> Any:
    """Add, telling nothing."""
    new = value + amount
    if amount < 0:
        check_count(new, least)
    return new, None


def atomic_add_compare(
    value: int, amount: int, relation: str, other: int, least: int | None
) -> Any:
    """Add and compare the new value."""
    new = value + amount
    if amount < 0:
        check_count(new, least)
    return new, RELATIONS[relation](new, other)


def atomic_add_unless(value: int, amount: int, unless: int, least: int | None) -> Any:
    """Add unless the value is `unless`."""
    if value == unless:
        return value, False
    if amount < 0:
        check_count(value + amount, least)
    return value + amount, True


def atomic_exchange_if(value: int, old: int, new: int) -> Any:
    """Store `new` if the value is `old`."""
    return (new, True) if value == old else (value, False)


# Lists: the value is the tuple of structs on it.


def list_insert(items: tuple[Any, ...], item: Any, at_tail: bool) -> tuple[Any, ...]:
    """Add at the head or the tail."""
    return (*items, item) if at_tail else (item, *items)


def list_insert_beside(
    items: tuple[Any, ...], item: Any, beside: Any, after: bool
) -> tuple[Any, ...]:
    """Add just before or just after another."""
    place = items.index(beside) + after
    return (*items[:place], item, *items[place:])


def list_remove(items: tuple[Any, ...], item: Any) -> tuple[Any, ...]:
    """Take one off; complain as CONFIG_DEBUG_LIST does if it is not there."""
    if item not in items:
        raise KernelStateError("bug-on", "list_del corruption: the entry is not on that list")
    place = items.index(item)
    return items[:place] + items[place + 1 :]


def tree_replace(items: tuple[Any, ...], victim: Any, new: Any) -> tuple[Any, ...]:
    """Put one in the place of another."""
    if victim not in items:
        raise KernelStateError("bug-on", "rb_erase of an item that is not in the tree")
    return tuple(new if item == victim else item for item in items)


def list_after(items: tuple[Any, ...], item: Any) -> Any:
    """The one after; None after the last."""
    if item not in items:
        return None
    place = items.index(item) + 1
    return items[place] if place < len(items) else None


# Life of slab objects: the value is the generation, negative once freed, 0 before the first life.


def life_begin(life: int) -> Any:
    """Allocate: the next generation begins."""
    new = abs(life) + 1
    return new, new


def life_end(life: int, generation: int) -> Any:
    """Free: of the generation that the caller's pointer means."""
    if life != generation:
        raise KernelStateError("double-free", "the object is free already")
    return -generation, None
