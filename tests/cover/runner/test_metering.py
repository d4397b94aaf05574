"""Operations are counted, and the locks of anon_vmas are told from others."""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.rmap import AnonVma, AnonVmaChain
from rmaplab.machine import (
    Struct,
    atomic_add_negative,
    atomic_inc,
    down_read,
    list_add,
    list_for_each_entry,
    mutex,
    mutex_lock,
    mutex_trylock,
    mutex_unlock,
    rwsem,
    spin_lock,
    spin_unlock,
    spinlock,
    up_read,
)
from rmaplab.runner.metering import MeteringMachine


class Other(Struct):
    lock: Any = spinlock()


class WithMutex(Struct):
    lock: Any = mutex()


class WithRwSem(Struct):
    lock: Any = rwsem()


def test_each_operation_counts_once() -> None:
    machine = MeteringMachine()
    anon_vma = machine.kmem_cache_create("anon_vma", AnonVma).alloc()

    atomic_inc(anon_vma.ksm_refcount)
    atomic_add_negative(1, anon_vma.ksm_refcount)  # adds and compares
    anon_vma.all_locked = True  # a plain store

    assert machine.meter.operations == 2


def test_each_step_along_a_list_counts() -> None:
    machine = MeteringMachine()
    anon_vma = machine.kmem_cache_create("anon_vma", AnonVma).alloc()
    chains = machine.kmem_cache_create("anon_vma_chain", AnonVmaChain)
    for _ in range(5):
        list_add(chains.alloc().same_anon_vma, anon_vma.head)
    before = machine.meter.operations

    assert len(list(list_for_each_entry(anon_vma.head))) == 5
    assert machine.meter.operations - before == 5


def test_a_hold_lasts_from_take_to_release() -> None:
    machine = MeteringMachine()
    cache = machine.kmem_cache_create("anon_vma", AnonVma)
    one, other = cache.alloc(), cache.alloc()
    for length in (0, 3):
        spin_lock(one.lock)
        for _ in range(length):
            atomic_inc(one.ksm_refcount)
        spin_unlock(one.lock)
    spin_lock(other.lock)
    spin_unlock(other.lock)

    locking = machine.meter.locking()

    assert locking.holds.counts == {0: 2, 3: 1}
    assert locking.taken.counts == {2: 1, 1: 1}
    assert locking.held.counts == {3: 1, 0: 1}


def test_other_locks_are_not_looked_at() -> None:
    machine = MeteringMachine()
    other = machine.kmem_cache_create("other", Other).alloc()
    spin_lock(other.lock)
    spin_unlock(other.lock)

    assert machine.meter.locking().taken.total == 0


def test_a_trylock_that_fails_takes_nothing() -> None:
    machine = MeteringMachine()
    anon_vma = machine.kmem_cache_create("anon_vma", WithMutex).alloc()
    mutex_lock(anon_vma.lock)

    assert not mutex_trylock(anon_vma.lock)
    mutex_unlock(anon_vma.lock)
    assert mutex_trylock(anon_vma.lock)
    mutex_unlock(anon_vma.lock)

    assert machine.meter.locking().taken.sum == 2


def test_a_semaphore_held_shared_is_held() -> None:
    machine = MeteringMachine()
    anon_vma = machine.kmem_cache_create("anon_vma", WithRwSem).alloc()
    down_read(anon_vma.lock)
    up_read(anon_vma.lock)

    assert machine.meter.locking().holds.counts == {0: 1}


def test_what_is_paused_is_not_looked_at() -> None:
    machine = MeteringMachine()
    anon_vma = machine.kmem_cache_create("anon_vma", AnonVma).alloc()
    with machine.meter.paused():
        spin_lock(anon_vma.lock)
        spin_unlock(anon_vma.lock)

    assert machine.meter.locking().taken.total == 0
