"""The direct and the traced machine, in order, do the same; lists and trees as Python's own do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from known_bugs import tolerated
from random_calls import Run, litmuses
from things import Thing

from rmaplab.history import KERNELS
from rmaplab.kernel.pgtable import Pte
from rmaplab.litmus.model import Litmus
from rmaplab.litmus.writer import write_text
from rmaplab.machine import (
    RB_EMPTY_ROOT,
    KernelStateError,
    Machine,
    atomic_add_negative,
    atomic_cmpxchg,
    atomic_compare,
    atomic_dec,
    atomic_dec_and_lock,
    atomic_dec_and_test,
    atomic_inc,
    atomic_inc_and_test,
    atomic_inc_not_zero,
    atomic_read,
    atomic_set,
    down_read,
    down_read_trylock,
    down_write,
    down_write_trylock,
    free_pgd_range,
    kmem_cache_alloc,
    kmem_cache_free,
    list_add,
    list_add_after,
    list_add_before,
    list_add_tail,
    list_del,
    list_empty,
    list_first_entry,
    list_for_each_entry,
    list_for_each_entry_reverse,
    list_is_singular,
    list_last_entry,
    list_next_entry,
    lock_bit,
    mutex_is_locked,
    mutex_lock,
    mutex_trylock,
    mutex_unlock,
    pgd_addresses,
    pte_alloc_map,
    pte_get,
    pte_offset_map,
    pte_wait_while,
    ptep_get_and_clear,
    rb_erase,
    rb_insert,
    rb_items,
    rb_reset,
    rb_root,
    rwsem_is_locked,
    set_pte_at,
    spin_lock,
    spin_trylock,
    spin_unlock,
    trylock_bit,
    unlock_bit,
    up_read,
    up_write,
    wait_on_bit,
)
from rmaplab.machine.context import RUNNING, Context
from rmaplab.machine.direct import DirectMachine
from rmaplab.machine.traced import TracedMachine
from rmaplab.runner.truths import entries_of

MACHINES = {"direct": DirectMachine, "traced": TracedMachine}
QUICK = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


# System calls


def vma_of(vma: Any) -> tuple[Any, ...]:
    chain = list(list_for_each_entry(vma.anon_vma_chain))
    return vma.vm_start, vma.vm_end, vma.vm_flags, vma.vm_pgoff, vma.anon_vma is None, len(chain)


def pages_of(run: Run, mm: Any) -> list[tuple[Any, ...]]:
    """What is mapped where, without the numbers of frames."""
    return [
        (address, *_flags(entry), run.system.contents_of(entry))
        for address, entry in entries_of(mm)
    ]


def _flags(entry: Any) -> tuple[bool, ...]:
    """Those of a mapped page; a slot of the swap device has none."""
    return (entry.write, entry.dirty, entry.young) if isinstance(entry, Pte) else ()


def memory_of(run: Run) -> Any:
    """How many objects there are, and the VMAs and pages of each process."""
    live = {cache.name: len(cache.live()) for cache in run.machine.caches}
    processes = run.system.processes()
    return live, {
        n: (list(map(vma_of, rb_items(mm.mm_rb))), pages_of(run, mm)) for n, mm in processes
    }


@pytest.mark.parametrize(
    "kernel", ["v2.6.34", "root-lock", "seed-v2", "v2.6.36", "v2.6.38", "v3.0", "v3.18"]
)
@settings(QUICK, max_examples=12)
@given(litmus=litmuses())
def test_random_calls_give_the_same_on_both_machines(kernel: str, litmus: Litmus) -> None:
    note(write_text(litmus))
    runs = [Run(litmus, KERNELS[kernel], make(), tolerated(kernel)) for make in MACHINES.values()]
    for step in litmus.setup:
        direct, traced = [run.do(step) for run in runs]
        assert (direct is None) == (traced is None)
        if direct is not None and traced is not None:
            assert (direct.kind, direct.functions) == (traced.kind, traced.functions)
            return
        assert runs[0].results == runs[1].results
        assert memory_of(runs[0]) == memory_of(runs[1])
    failures = [run.failure_of_the_end() for run in runs]
    assert len({failure and failure.kind for failure in failures}) == 1


# Primitives, one after the other, by two CPUs


class World:
    """A machine with some objects, on which operations are done by number."""

    def __init__(self, machine: Machine, constructed: bool) -> None:
        self.machine = machine
        ctor = (lambda item: atomic_set(item.count, 1)) if constructed else None
        self.cache = machine.kmem_cache_create("thing", Thing, 0, ctor)
        self.contexts = [Context(machine, cpu, f"task{cpu}") for cpu in range(2)]
        self.things: list[Any] = []  # by the order of allocation, the freed ones too

    def do(self, operation: str, cpu: int, one: int, two: int, number: int) -> Any:
        """What an operation responds, objects as their place in the order of allocation."""
        RUNNING.context = self.contexts[cpu]
        try:
            return self.plain(self._do(operation, one, two, number))
        except KernelStateError as error:
            return error.kind

    def _do(self, operation: str, one: int, two: int, number: int) -> Any:
        if operation == "alloc":
            RUNNING.context.fail_at = RUNNING.context.allocations + 1 if number == 4 else 0
            thing = kmem_cache_alloc(self.cache)
            self.things += [thing] if thing is not None else []
            return thing
        if not self.things:
            return None
        first, second = self.things[one % len(self.things)], self.things[two % len(self.things)]
        if operation == "free":
            return self._free(first)
        return OPERATIONS[operation](first, second, number)

    def _free(self, thing: Any) -> Any:
        # What is linked is not freed: its memory would be reached through its neighbours.
        if thing in self.cache.live():
            on_a_tree = any(thing in rb_items(other.items) for other in self.cache.live())
            if thing.entry.linked() or not list_empty(thing.head) or on_a_tree:
                return "linked"
        kmem_cache_free(self.cache, thing)
        return len(self.cache.live())

    def plain(self, response: Any) -> Any:
        if isinstance(response, (tuple, list)):
            return [self.plain(each) for each in response]
        return self.things.index(response) if isinstance(response, Thing) else response


def insert(tree: Any, item: Any, key: Callable[[Any], Any]) -> None:
    link = rb_root(tree)
    while link.item is not None:
        link = link.left if key(item) < key(link.item) else link.right
    rb_insert(tree, item, link)


def insert_once(a: Any, b: Any, n: int) -> None:
    if b not in rb_items(a.items):
        insert(a.items, b, lambda item: item.number)


def add_beside(add: Callable[..., None], a: Any, b: Any) -> Any:
    """Beside the first on the list, if there is one."""
    beside = list_first_entry(b.head)
    return None if beside is None or beside is a else add(a.entry, b.head, beside.entry)


def on_entry(use: Callable[[Any], Any], a: Any, n: int) -> Any:
    pte = pte_offset_map(a.tables, n << 12)
    return "no table" if pte is None else use(pte)


OPERATIONS: dict[str, Callable[[Any, Any, int], Any]] = {
    "spin_lock": lambda a, b, n: spin_lock(a.lock),
    "spin_trylock": lambda a, b, n: spin_trylock(a.lock),
    "spin_unlock": lambda a, b, n: spin_unlock(a.lock),
    "is_locked": lambda a, b, n: (a.lock.is_locked(), a.sem.is_locked(), a.bit.is_locked()),
    "mutex_lock": lambda a, b, n: mutex_lock(a.mutex),
    "mutex_trylock": lambda a, b, n: mutex_trylock(a.mutex),
    "mutex_is_locked": lambda a, b, n: (mutex_is_locked(a.mutex), rwsem_is_locked(a.sem)),
    "mutex_unlock": lambda a, b, n: mutex_unlock(a.mutex),
    "lock_bit": lambda a, b, n: lock_bit(a.bit),
    "trylock_bit": lambda a, b, n: trylock_bit(a.bit),
    "unlock_bit": lambda a, b, n: unlock_bit(a.bit),
    "wait_on_bit": lambda a, b, n: wait_on_bit(a.bit),
    "down_read": lambda a, b, n: down_read(a.sem),
    "down_read_trylock": lambda a, b, n: down_read_trylock(a.sem),
    "up_read": lambda a, b, n: up_read(a.sem),
    "down_write": lambda a, b, n: down_write(a.sem),
    "down_write_trylock": lambda a, b, n: down_write_trylock(a.sem),
    "up_write": lambda a, b, n: up_write(a.sem),
    "load": lambda a, b, n: (a.number, a.other, a.read_once("other")),
    "store": lambda a, b, n: setattr(a, "other", b if n else None),
    "atomic_read": lambda a, b, n: atomic_read(a.count),
    "atomic_set": lambda a, b, n: atomic_set(a.count, n - 1),
    "atomic_compare": lambda a, b, n: atomic_compare(a.count, "<=", n),
    "atomic_inc": lambda a, b, n: atomic_inc(a.count),
    "atomic_dec": lambda a, b, n: atomic_dec(a.count),
    "atomic_inc_and_test": lambda a, b, n: atomic_inc_and_test(a.count),
    "atomic_dec_and_test": lambda a, b, n: atomic_dec_and_test(a.count),
    "atomic_add_negative": lambda a, b, n: atomic_add_negative(n - 2, a.count),
    "atomic_inc_not_zero": lambda a, b, n: atomic_inc_not_zero(a.count),
    "atomic_cmpxchg": lambda a, b, n: atomic_cmpxchg(a.count, 1, n),
    "atomic_dec_and_lock": lambda a, b, n: atomic_dec_and_lock(a.count, a.lock),
    "list_add": lambda a, b, n: list_add(a.entry, b.head),
    "list_add_tail": lambda a, b, n: list_add_tail(a.entry, b.head),
    "list_add_after": lambda a, b, n: add_beside(list_add_after, a, b),
    "list_add_before": lambda a, b, n: add_beside(list_add_before, a, b),
    "list_del": lambda a, b, n: list_del(a.entry),
    "list_next": lambda a, b, n: (list_next_entry(a.entry), a.entry.linked()),
    "list_ask": lambda a, b, n: (list_empty(a.head), list_is_singular(a.head)),
    "list_ends": lambda a, b, n: (list_first_entry(a.head), list_last_entry(a.head)),
    "list_walk": lambda a, b, n: list(list_for_each_entry(a.head)),
    "list_back": lambda a, b, n: list(list_for_each_entry_reverse(a.head)),
    "rb_insert": insert_once,
    "rb_erase": lambda a, b, n: rb_erase(a.items, b),
    "rb_reset": lambda a, b, n: rb_reset(a.items),
    "rb_items": lambda a, b, n: (rb_items(a.items), RB_EMPTY_ROOT(a.items)),
    "pte_alloc": lambda a, b, n: pte_alloc_map(a.tables, n << 12) is not None,
    "pte_set": lambda a, b, n: on_entry(lambda pte: set_pte_at(pte, ("page", n)), a, n),
    "pte_get": lambda a, b, n: on_entry(pte_get, a, n),
    "pte_clear": lambda a, b, n: on_entry(ptep_get_and_clear, a, n),
    "pte_wait": lambda a, b, n: on_entry(lambda pte: pte_wait_while(pte, ("page", 1)), a, n),
    "pgd_addresses": lambda a, b, n: pgd_addresses(a.tables, 4096, n << 12),
    "pgd_free": lambda a, b, n: free_pgd_range(a.tables, n << 12, (n + 1) << 12),
}

steps = st.tuples(
    st.sampled_from(["alloc"] * 6 + ["free"] * 4 + list(OPERATIONS)),
    st.sampled_from((0, 0, 0, 1)),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 4),
)


TWO_WRONGS = {"use-after-free", "sleep-in-atomic"}


@QUICK
@given(program=st.lists(steps, min_size=10, max_size=60), constructed=st.booleans())
def test_random_primitives_respond_the_same_on_both_machines(program, constructed: bool) -> None:
    direct, traced = (World(make(), constructed) for make in MACHINES.values())
    for operation, cpu, one, two, number in program:
        if operation in ("alloc", "free"):
            cpu = 0  # for only the traced machine has freelists for each CPU
        responses = [world.do(operation, cpu, one, two, number) for world in (direct, traced)]
        # Where an operation is wrong in two ways, either may be told.
        assert responses[0] == responses[1] or set(map(str, responses)) == TWO_WRONGS, operation


# Collections against Python's own


@pytest.fixture(params=MACHINES)
def things(request: pytest.FixtureRequest) -> list[Any]:
    machine = MACHINES[request.param]()
    return [machine.static(Thing, f"thing{number}") for number in range(6)]


EACH = settings(QUICK, max_examples=40)


@EACH
@given(program=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4))))
def test_a_list_is_like_a_python_list(things: list[Any], program) -> None:
    head, model = things[5].head, []
    for item in list(list_for_each_entry(head)):
        list_del(item.entry)
    for what, which, beside in program:
        item, other = things[which], things[beside]
        if item in model:
            list_del(item.entry)
            model.remove(item)
        elif what >= 2 and other in model:
            (list_add_after if what == 2 else list_add_before)(item.entry, head, other.entry)
            model.insert(model.index(other) + (what == 2), item)
        else:
            (list_add if what == 0 else list_add_tail)(item.entry, head)
            model.insert(0 if what == 0 else len(model), item)
        assert list(list_for_each_entry(head)) == model
        assert list(list_for_each_entry_reverse(head)) == model[::-1]
        assert [list_next_entry(each.entry) for each in model] == [*model[1:], None][: len(model)]
        assert (list_empty(head), list_is_singular(head)) == (not model, len(model) == 1)
        ends = (model[0], model[-1]) if model else (None, None)
        assert (list_first_entry(head), list_last_entry(head)) == ends


@EACH
@given(program=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9))))
def test_a_tree_is_like_a_sorted_dict(things: list[Any], program) -> None:
    tree, model = things[5].items, {}
    rb_reset(tree)
    for which, key in program:
        item = things[which]
        if item in model.values():
            rb_erase(tree, item)
            del model[item.number]
        elif key not in model:
            item.number = key
            insert(tree, item, lambda each: each.number)
            model[key] = item
        assert rb_items(tree) == tuple(model[key] for key in sorted(model))


@EACH
@given(program=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 7), st.integers(0, 3))))
def test_page_tables_are_like_a_dict(things: list[Any], program) -> None:
    tables, model = things[5].tables, {}
    for address in pgd_addresses(tables, 0, 8 << 12):
        ptep_get_and_clear(pte_offset_map(tables, address))
    free_pgd_range(tables, 0, 8 << 12)
    for what, page, entry in program:
        address = page << 12
        if what == 0:
            pte_alloc_map(tables, address)
            model.setdefault(address, None)
        elif what == 1 and address in model:
            set_pte_at(pte_offset_map(tables, address), entry)
            model[address] = entry
        elif what == 2 and address in model:
            assert ptep_get_and_clear(pte_offset_map(tables, address)) == model[address]
            model[address] = None
        elif what == 3 and model.get(address, 0) is None:
            free_pgd_range(tables, address, address + 4096)
            del model[address]
        assert pgd_addresses(tables, 0, 8 << 12) == tuple(sorted(model))
        found = {a: pte_get(pte_offset_map(tables, a)) for a in model}
        assert found == model
        assert all(
            pte_offset_map(tables, p << 12) is None for p in range(8) if p << 12 not in model
        )
