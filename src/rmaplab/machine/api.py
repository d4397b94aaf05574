"""The kernel's own API, as kernel code calls it. Each function names the primitive it is."""

from __future__ import annotations

from typing import Any

from rmaplab.machine.context import RUNNING
from rmaplab.machine.faults import KernelStateError
from rmaplab.machine.handles import (
    Atomic,
    BitLock,
    Mutex,
    RwSem,
    SpinLock,
)
from rmaplab.machine.machine import KmemCache

# Locks


def spin_lock(lock: SpinLock) -> None:
    """Take a spinlock."""
    lock.acquire()


def spin_trylock(lock: SpinLock) -> bool:
    """Take a spinlock if it is free."""
    return lock.try_acquire()


def spin_unlock(lock: SpinLock) -> None:
    """Release a spinlock."""
    lock.release()


def mutex_lock(lock: Mutex) -> None:
    """Take a mutex; may sleep."""
    might_sleep("mutex_lock")
    lock.acquire()


def mutex_trylock(lock: Mutex) -> bool:
    """Take a mutex if it is free."""
    return lock.try_acquire()


def mutex_is_locked(lock: Mutex) -> bool:
    """Whether anybody holds a mutex."""
    return lock.is_locked()


def mutex_unlock(lock: Mutex) -> None:
    """Release a mutex."""
    lock.release()


def down_read(sem: RwSem) -> None:
    """Take a semaphore shared; may sleep."""
    might_sleep("down_read")
    sem.acquire_read()


def down_read_trylock(sem: RwSem) -> bool:
    """Take a semaphore shared if no writer holds it."""
    return sem.try_acquire_read()


def up_read(sem: RwSem) -> None:
    """Release a semaphore held shared."""
    sem.release_read()


def down_write(sem: RwSem) -> None:
    """Take a semaphore alone; may sleep."""
    might_sleep("down_write")
    sem.acquire_write()


def down_write_trylock(sem: RwSem) -> bool:
    """Take a semaphore alone if nobody holds it."""
    return sem.try_acquire_write()


def rwsem_is_locked(sem: RwSem) -> bool:
    """Whether anybody holds a semaphore, shared or alone."""
    return sem.is_locked()


def up_write(sem: RwSem) -> None:
    """Release a semaphore held alone."""
    sem.release_write()


def lock_bit(lock: BitLock) -> None:
    """Take a bit lock; may sleep."""
    might_sleep("lock_page")
    lock.acquire()


def trylock_bit(lock: BitLock) -> bool:
    """Take a bit lock if it is free."""
    return lock.try_acquire()


def unlock_bit(lock: BitLock) -> None:
    """Release a bit lock."""
    lock.release()


def wait_on_bit(lock: BitLock) -> None:
    """Sleep until a bit lock is free."""
    might_sleep("wait_on_page_locked")
    lock.wait()


def might_sleep(what: str = "might_sleep") -> None:
    """Say that the caller may sleep here."""
    RUNNING.context.might_sleep(what)


def cond_resched() -> None:
    """Offer to be scheduled away."""
    RUNNING.context.might_sleep("cond_resched")


# RCU


def rcu_read_lock() -> None:
    """Enter an RCU read-side section."""
    context = RUNNING.context
    if not context.rcu:
        context.machine.rcu_read_lock(context)
    context.rcu += 1


def rcu_read_unlock() -> None:
    """Leave an RCU read-side section."""
    context = RUNNING.context
    if not context.rcu:
        raise KernelStateError("bad-unlock", "rcu_read_unlock outside a read-side section")
    context.rcu -= 1
    if not context.rcu:
        context.machine.rcu_read_unlock(context)


def rcu_pointer_handoff(item: Any) -> Any:
    """The owner, by now, of the memory that a pointer found under RCU leads to.

    In C it is the same pointer; here a pointer is to one life of an object. So this is for who has
    found that there is an owner, and made sure that he stays.
    """
    return RUNNING.context.machine.present(item)


def READ_ONCE(item: Any, field: str) -> Any:
    """Read a field once, on purpose without a lock (ACCESS_ONCE before 3.19)."""
    return item.read_once(field)


# Atomics


def atomic_read(counter: Atomic) -> int:
    """The value of an atomic."""
    return counter.read()


def atomic_compare(counter: Atomic, relation: str, other: int) -> bool:
    """atomic_read compared at once: "==", "!=", "<=", ">=", "<" or ">". Tells no more than that."""
    return counter.compare(relation, other)


def atomic_set(counter: Atomic, value: int) -> None:
    """Store a value."""
    counter.set(value)


def atomic_inc(counter: Atomic) -> None:
    """Add 1."""
    counter.add(1)


def atomic_dec(counter: Atomic) -> None:
    """Subtract 1."""
    counter.add(-1)


def atomic_inc_and_test(counter: Atomic) -> bool:
    """Add 1; whether that gave 0."""
    return counter.add_and_compare(1, "==", 0)


def atomic_dec_and_test(counter: Atomic) -> bool:
    """Subtract 1; whether that gave 0."""
    return counter.add_and_compare(-1, "==", 0)


def atomic_add_negative(amount: int, counter: Atomic) -> bool:
    """Add; whether that gave less than 0."""
    return counter.add_and_compare(amount, "<", 0)


def atomic_inc_not_zero(counter: Atomic) -> bool:
    """Add 1 unless the value is 0; whether it added."""
    return counter.add_unless(1, 0)


def atomic_cmpxchg(counter: Atomic, old: int, new: int) -> bool:
    """Store `new` if the value is `old`; whether it was. (The kernel's returns what it was.)"""
    return counter.exchange_if(old, new)


def atomic_dec_and_lock(counter: Atomic, lock: SpinLock) -> bool:
    """Subtract 1; if that gives 0, return True with the lock held.

    A value other than 1 is lowered without the lock: from 0 it silently goes to -1.
    """
    if counter.add_unless(-1, 1):
        return False
    spin_lock(lock)
    if atomic_dec_and_test(counter):
        return True
    spin_unlock(lock)
    return False


# Slab


def kmem_cache_alloc(cache: KmemCache) -> Any:
    """An object; None when the allocation is made to fail. May sleep."""
    might_sleep("kmem_cache_alloc")
    return cache.alloc()


def kmem_cache_alloc_nowait(cache: KmemCache) -> Any:
    """An object, without sleeping (GFP_NOWAIT).

    None when the next allocation is made to fail; that one is still to come, so that the caller
    who then asks again, and may sleep, has no memory either.
    """
    return None if RUNNING.context.will_fail() else cache.alloc()


def kmem_cache_take(cache: KmemCache, index: int) -> Any:
    """The object of that number off the freelist: split_free_page(). None if it is not free."""
    return cache.take(index)


def kmem_cache_free(cache: KmemCache, item: Any) -> None:
    """Give an object back."""
    cache.free(item)


def smp_processor_id() -> int:
    """The number of the CPU that runs this."""
    return RUNNING.context.cpu
