"""Locks on both machines: who may take and release them, and who may sleep meanwhile."""

from __future__ import annotations

import pytest
from things import Thing

from rmaplab.machine import (
    KernelStateError,
    atomic_dec_and_lock,
    atomic_read,
    atomic_set,
    cond_resched,
    down_read,
    down_read_trylock,
    down_write,
    down_write_trylock,
    kmem_cache_alloc,
    lock_bit,
    might_sleep,
    mutex_is_locked,
    mutex_lock,
    mutex_trylock,
    mutex_unlock,
    pte_alloc_map,
    rcu_read_lock,
    rcu_read_unlock,
    rwsem_is_locked,
    smp_processor_id,
    spin_lock,
    spin_trylock,
    spin_unlock,
    trylock_bit,
    unlock_bit,
    up_read,
    up_write,
    wait_on_bit,
)
from rmaplab.machine.context import current


@pytest.fixture
def thing(machine):
    return machine.static(Thing, "thing")


def complaint(function, *operands) -> str:
    with pytest.raises(KernelStateError) as caught:
        function(*operands)
    return caught.value.kind


LOCKS = {
    "lock": (spin_lock, spin_unlock),
    "mutex": (mutex_lock, mutex_unlock),
    "bit": (lock_bit, unlock_bit),
}


@pytest.mark.parametrize("field", LOCKS)
def test_a_lock_of_ones_own_is_never_had_again(thing, field: str) -> None:
    take, _ = LOCKS[field]
    take(getattr(thing, field))

    kinds = {"lock": "deadlock", "mutex": "deadlock", "bit": "deadlock"}
    assert complaint(getattr(thing, field).acquire) == kinds[field]


@pytest.mark.parametrize("field", LOCKS)
def test_a_lock_that_is_not_held_is_not_released(thing, field: str) -> None:
    assert complaint(LOCKS[field][1], getattr(thing, field)) == "bad-unlock"


@pytest.mark.parametrize("field", ["lock", "mutex"])
def test_a_lock_is_not_released_by_another_cpu(machine, thing, on, field: str) -> None:
    on(machine, 0)
    LOCKS[field][0](getattr(thing, field))
    on(machine, 1)

    assert complaint(LOCKS[field][1], getattr(thing, field)) == "bad-unlock"


@pytest.mark.parametrize("field", LOCKS)
def test_who_has_to_wait_in_order_waits_for_ever(machine, thing, on, field: str) -> None:
    on(machine, 0)
    LOCKS[field][0](getattr(thing, field))
    on(machine, 1)

    assert complaint(LOCKS[field][0], getattr(thing, field)) == "deadlock"


def test_a_bit_lock_is_released_by_anybody(machine, thing, on) -> None:
    on(machine, 0)
    lock_bit(thing.bit)
    on(machine, 1)
    unlock_bit(thing.bit)

    assert not thing.bit.is_locked() and trylock_bit(thing.bit)


def test_waiting_for_a_bit_lock_does_not_take_it(thing) -> None:
    wait_on_bit(thing.bit)
    assert not thing.bit.is_locked()

    lock_bit(thing.bit)
    assert complaint(wait_on_bit, thing.bit) == "deadlock"


def test_a_semaphore_has_many_readers_or_one_writer(machine, thing, on) -> None:
    on(machine, 0)
    down_read(thing.sem)
    on(machine, 1)
    assert down_read_trylock(thing.sem)
    assert complaint(up_write, thing.sem) == "bad-unlock"
    up_read(thing.sem)
    assert complaint(down_write, thing.sem) == "deadlock"
    on(machine, 0)
    up_read(thing.sem)
    down_write(thing.sem)
    on(machine, 1)
    assert not down_read_trylock(thing.sem) and rwsem_is_locked(thing.sem)
    on(machine, 0)
    up_write(thing.sem)
    assert not rwsem_is_locked(thing.sem)


def test_a_semaphore_is_tried_for_writing_where_nobody_holds_it(machine, thing, on) -> None:
    on(machine, 0)
    down_read(thing.sem)
    on(machine, 1)
    assert not down_write_trylock(thing.sem)
    on(machine, 0)
    up_read(thing.sem)
    on(machine, 1)
    assert down_write_trylock(thing.sem) and current().held
    assert not down_write_trylock(thing.sem) and not down_read_trylock(thing.sem)
    up_write(thing.sem)
    assert not current().held


def test_a_mutex_is_tried_where_nobody_holds_it(thing) -> None:
    assert not mutex_is_locked(thing.mutex)
    assert mutex_trylock(thing.mutex) and mutex_is_locked(thing.mutex)
    assert not mutex_trylock(thing.mutex)
    mutex_unlock(thing.mutex)
    assert not mutex_is_locked(thing.mutex)


@pytest.mark.parametrize(
    "sleeper",
    [
        lambda thing, cache: mutex_lock(thing.mutex),
        lambda thing, cache: down_read(thing.sem),
        lambda thing, cache: down_write(thing.sem),
        lambda thing, cache: lock_bit(thing.bit),
        lambda thing, cache: wait_on_bit(thing.bit),
        lambda thing, cache: kmem_cache_alloc(cache),
        lambda thing, cache: pte_alloc_map(thing.tables, 0x1000),
        lambda thing, cache: might_sleep(),
        lambda thing, cache: cond_resched(),
    ],
)
def test_what_may_sleep_may_not_be_done_in_atomic_context(machine, thing, sleeper) -> None:
    cache = machine.kmem_cache_create("thing", Thing)
    spin_lock(thing.lock)
    assert complaint(sleeper, thing, cache) == "sleep-in-atomic"
    spin_unlock(thing.lock)

    rcu_read_lock()
    assert complaint(sleeper, thing, cache) == "sleep-in-atomic"
    rcu_read_unlock()

    sleeper(thing, cache)


def test_a_page_table_that_is_there_may_be_looked_up_in_atomic_context(thing) -> None:
    pte_alloc_map(thing.tables, 0x1000)

    spin_lock(thing.lock)
    assert pte_alloc_map(thing.tables, 0x1000) is not None
    spin_unlock(thing.lock)


def test_what_only_tries_may_be_done_in_atomic_context(thing) -> None:
    spin_lock(thing.lock)

    assert trylock_bit(thing.bit) and down_read_trylock(thing.sem)
    assert not spin_trylock(thing.lock)


def test_a_context_knows_what_it_holds(thing) -> None:
    mutex_lock(thing.mutex)
    spin_lock(thing.lock)
    assert (len(current().held), current().atomic) == (2, 1)

    mutex_unlock(thing.mutex)
    spin_unlock(thing.lock)
    assert (current().held, current().atomic) == ([], 0)


def test_no_section_no_unlock(machine) -> None:
    assert complaint(rcu_read_unlock) == "bad-unlock"


def test_only_the_last_reference_takes_the_lock(thing) -> None:
    atomic_set(thing.count, 2)

    assert not atomic_dec_and_lock(thing.count, thing.lock) and not thing.lock.is_locked()
    assert atomic_dec_and_lock(thing.count, thing.lock) and thing.lock.is_locked()
    assert atomic_read(thing.count) == 0


def test_a_reference_that_nobody_has_is_dropped_without_the_lock(thing) -> None:
    assert complaint(atomic_dec_and_lock, thing.count, thing.lock) == "refcount-underflow"


def test_a_run_may_pass_over_an_underflow_as_the_kernel_does(machine) -> None:
    lenient = type(machine)(allow=frozenset({"refcount-underflow"}))
    thing = lenient.static(Thing, "thing")

    assert not atomic_dec_and_lock(thing.count, thing.lock)
    assert atomic_read(thing.count) == -1


def test_a_context_knows_its_cpu(machine, on) -> None:
    on(machine, 1)

    assert smp_processor_id() == 1
