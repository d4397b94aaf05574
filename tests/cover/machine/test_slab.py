"""Slab objects: their lives, their constructor, and what a pointer to a dead one may do."""

from __future__ import annotations

import pytest
from things import Thing

from rmaplab.machine import (
    SLAB_DESTROY_BY_RCU,
    SLAB_STATIC,
    KernelStateError,
    atomic_inc,
    atomic_read,
    atomic_set,
    kmem_cache_alloc,
    kmem_cache_free,
    list_add,
    list_empty,
    list_for_each_entry,
    mutex_lock,
    rb_insert,
    rb_items,
    rb_root,
    rcu_read_lock,
    rcu_read_unlock,
    spin_lock,
    spin_unlock,
)


def complaint(function, *operands) -> str:
    with pytest.raises(KernelStateError) as caught:
        function(*operands)
    return caught.value.kind


@pytest.mark.parametrize(
    "access",
    [
        lambda item: item.number,
        lambda item: setattr(item, "number", 1),
        lambda item: item.read_once("number"),
        lambda item: spin_lock(item.lock),
        lambda item: atomic_read(item.count),
        lambda item: atomic_inc(item.count),
        lambda item: list_empty(item.head),
        lambda item: list_add(item.entry, item.head),
        lambda item: item.tables.find(0),
        lambda item: item.items.items(),
    ],
)
@pytest.mark.parametrize("reused", [False, True])
def test_each_access_to_a_freed_object_is_a_use_after_free(machine, access, reused) -> None:
    cache = machine.kmem_cache_create("thing", Thing)
    item = kmem_cache_alloc(cache)
    kmem_cache_free(cache, item)
    if reused:
        kmem_cache_alloc(cache)

    assert complaint(access, item) == "use-after-free"


@pytest.mark.parametrize("reused", [False, True])
@pytest.mark.parametrize("flags", [0, SLAB_DESTROY_BY_RCU])
def test_a_second_free_is_a_double_free(machine, flags, reused) -> None:
    cache = machine.kmem_cache_create("thing", Thing, flags)
    item = kmem_cache_alloc(cache)
    kmem_cache_free(cache, item)
    others = [kmem_cache_alloc(cache)] if reused else []

    assert complaint(kmem_cache_free, cache, item) == "double-free"
    assert list(cache.live()) == others


def test_a_static_object_is_there_even_when_it_is_free(machine) -> None:
    cache = machine.kmem_cache_create("thing", Thing, SLAB_STATIC)
    item = kmem_cache_alloc(cache)
    item.number = 5
    kmem_cache_free(cache, item)

    assert item.number == 5 and cache.live() == ()
    assert complaint(kmem_cache_free, cache, item) == "double-free"
    assert kmem_cache_alloc(cache) is item is cache.at(cache.index(item))


def test_the_constructor_runs_once_for_each_object(machine) -> None:
    made = []
    cache = machine.kmem_cache_create("thing", Thing, 0, made.append)
    first = kmem_cache_alloc(cache)
    kmem_cache_free(cache, first)
    kmem_cache_alloc(cache)
    kmem_cache_alloc(cache)

    assert len(made) == 2 and made[0] is first


def test_an_object_with_a_constructor_is_handed_on_as_its_owner_left_it(machine) -> None:
    cache = machine.kmem_cache_create("thing", Thing, 0, lambda item: atomic_set(item.count, 3))
    first = kmem_cache_alloc(cache)
    atomic_inc(first.count)
    first.number = 8
    mutex_lock(first.mutex)
    link = rb_root(first.items)
    rb_insert(first.items, first, link)
    kmem_cache_free(cache, first)
    second = kmem_cache_alloc(cache)

    assert (atomic_read(second.count), second.number, second.mutex.is_locked()) == (4, 8, True)
    assert rb_items(second.items) == (first,)


def test_an_object_without_a_constructor_begins_anew(machine) -> None:
    cache = machine.kmem_cache_create("thing", Thing)
    first = kmem_cache_alloc(cache)
    first.number = 8
    atomic_inc(first.count)
    kmem_cache_free(cache, first)
    second = kmem_cache_alloc(cache)

    assert (second.number, atomic_read(second.count)) == (0, 0)
    assert list(list_for_each_entry(second.head)) == []


def test_the_object_freed_last_is_the_next_one(machine) -> None:
    cache = machine.kmem_cache_create("thing", Thing)
    items = [kmem_cache_alloc(cache) for _ in range(3)]
    for number in (1, 0, 2):
        kmem_cache_free(cache, items[number])
    places = [cache.index(item) for item in items]

    assert [cache.index(kmem_cache_alloc(cache)) for _ in range(3)] == [
        places[2],
        places[0],
        places[1],
    ]


def test_each_life_of_an_object_has_a_pointer_and_a_name_of_its_own(machine) -> None:
    cache = machine.kmem_cache_create("thing", Thing)
    first = kmem_cache_alloc(cache)
    kmem_cache_free(cache, first)
    second = kmem_cache_alloc(cache)

    assert first is not second and cache.index(first) == cache.index(second)
    assert machine.name_of(first) != machine.name_of(second)
    assert cache.live() == (second,) and cache.at(cache.index(second)) is second


def test_living_objects_come_by_their_numbers(machine) -> None:
    cache = machine.kmem_cache_create("thing", Thing, SLAB_STATIC)
    items = [kmem_cache_alloc(cache) for _ in range(3)]
    kmem_cache_free(cache, items[0])
    kmem_cache_alloc(cache)

    assert [cache.index(item) for item in cache.live()] == sorted(map(cache.index, items))


def test_the_traced_machine_counts_the_lives_in_the_name(traced) -> None:
    cache = traced.kmem_cache_create("thing", Thing)
    first = kmem_cache_alloc(cache)
    kmem_cache_free(cache, first)

    assert traced.name_of(first) == "thing#1"
    assert traced.name_of(kmem_cache_alloc(cache)) == "thing#1.2"
    assert (first.generation, cache.live()[0].generation) == (1, 2)


def test_a_cpu_reuses_what_it_freed_itself(traced, on) -> None:
    cache = traced.kmem_cache_create("thing", Thing)
    on(traced, 0)
    here, there = kmem_cache_alloc(cache), kmem_cache_alloc(cache)
    kmem_cache_free(cache, here)
    on(traced, 1)
    kmem_cache_free(cache, there)

    assert cache.index(kmem_cache_alloc(cache)) == cache.index(there)
    assert cache.index(kmem_cache_alloc(cache)) not in (cache.index(here), cache.index(there))
    on(traced, 0)
    assert cache.index(kmem_cache_alloc(cache)) == cache.index(here)


def test_the_allocation_that_is_to_fail_fails(machine, on) -> None:
    cache = machine.kmem_cache_create("thing", Thing)
    on(machine, 0).fail_at = 2

    assert kmem_cache_alloc(cache) is not None
    assert kmem_cache_alloc(cache) is None
    assert kmem_cache_alloc(cache) is not None


class TestReadersUnderRcu:
    """Memory that stays of its type, while a reader is in the section in which it was freed."""

    @pytest.fixture
    def cache(self, traced):
        return traced.kmem_cache_create("thing", Thing, SLAB_DESTROY_BY_RCU, lambda item: None)

    @pytest.fixture
    def freed(self, traced, cache, on):
        """Freed by CPU 0 while CPU 1 reads, which then goes on."""
        item = kmem_cache_alloc(cache)
        on(traced, 1)
        rcu_read_lock()
        on(traced, 0)
        kmem_cache_free(cache, item)
        on(traced, 1)
        return item

    def test_they_may_look_at_a_freed_object(self, freed) -> None:
        assert freed.number == 0 and freed.read_once("number") == 0
        assert atomic_read(freed.count) == 0 and list_empty(freed.head)

    def test_they_may_lock_a_freed_object(self, freed) -> None:
        spin_lock(freed.lock)
        spin_unlock(freed.lock)

    @pytest.mark.parametrize(
        "change",
        [
            lambda item: setattr(item, "number", 1),
            lambda item: atomic_inc(item.count),
            lambda item: list_add(item.entry, item.head),
        ],
    )
    def test_they_may_not_change_a_freed_object(self, freed, change) -> None:
        assert complaint(change, freed) == "use-after-free"

    def test_they_see_the_next_owner_of_the_memory(self, traced, cache, on, freed) -> None:
        on(traced, 0)
        kmem_cache_alloc(cache).number = 7
        on(traced, 1)

        assert freed.number == 7

    def test_a_section_entered_later_keeps_nothing(self, freed) -> None:
        rcu_read_unlock()
        rcu_read_lock()

        assert complaint(lambda: freed.number) == "use-after-free"

    def test_outside_of_a_section_nothing_is_kept(self, freed) -> None:
        rcu_read_unlock()

        assert complaint(spin_lock, freed.lock) == "use-after-free"

    def test_an_inner_section_ends_nothing(self, freed) -> None:
        rcu_read_lock()
        rcu_read_unlock()

        assert freed.number == 0

    def test_it_is_kept_for_nobody_else(self, traced, on, freed) -> None:
        on(traced, 0)

        assert complaint(lambda: freed.number) == "use-after-free"

    def test_other_memory_is_not_kept(self, traced, on) -> None:
        cache = traced.kmem_cache_create("plain", Thing)
        item = kmem_cache_alloc(cache)
        on(traced, 1)
        rcu_read_lock()
        on(traced, 0)
        kmem_cache_free(cache, item)
        on(traced, 1)

        assert complaint(lambda: item.number) == "use-after-free"
