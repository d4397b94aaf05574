"""What the direct machine does in place, against the rule book: every state, CPU and operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from things import Thing

from rmaplab.machine import KernelStateError, free_pgd_range, pte_alloc_map, pte_get, rules
from rmaplab.machine.context import RUNNING, Context
from rmaplab.machine.direct import DirectMachine

ANY = 3  # CPUs
HOLDERS = (None, *range(ANY))
READERS = ((), (0,), (1,), (0, 0), (0, 1), (1, 2))
SEMAPHORES = (
    *((None, readers) for readers in READERS),
    *((writer, ()) for writer in range(ANY)),
)

LOCK = {
    "acquire": rules.lock_acquire,
    "try_acquire": rules.lock_try,
    "release": rules.lock_release,
}
BIT = {**LOCK, "release": rules.bit_release, "wait": rules.lock_wait}
SEM = {
    "acquire_read": rules.read_acquire,
    "try_acquire_read": rules.read_try,
    "release_read": rules.read_release,
    "acquire_write": rules.write_acquire,
    "release_write": rules.write_release,
}
CASES = [
    (field, name, state)
    for field, book, states in (
        ("lock", LOCK, HOLDERS),
        ("mutex", LOCK, HOLDERS),
        ("bit", BIT, HOLDERS),
        ("sem", SEM, SEMAPHORES),
    )
    for name in book
    for state in states
]
BOOKS = {"lock": LOCK, "mutex": LOCK, "bit": BIT, "sem": SEM}


def result(work: Callable[[], Any]) -> Any:
    """What the work gives, or the kind of its complaint."""
    try:
        return work()
    except KernelStateError as error:
        return error.kind


@pytest.mark.parametrize(("field", "name", "state"), CASES)
@pytest.mark.parametrize("cpu", range(ANY))
def test_a_lock_does_what_the_rule_book_says(field: str, name: str, state: Any, cpu: int) -> None:
    machine = DirectMachine()
    thing: Any = machine.static(Thing, "thing")
    RUNNING.context = Context(machine, cpu)
    lock = getattr(thing, field)
    lock.state = state
    RUNNING.context.held.append(lock)  # of the releases: who took it is in the state

    expected = result(lambda: BOOKS[field][name](state, cpu))
    if expected is rules.BLOCKED:
        expected = "deadlock"
    got = result(getattr(lock, name))

    if isinstance(expected, str):
        assert (got, lock.state) == (expected, state)
    else:
        assert (lock.state, got) == expected


@pytest.mark.parametrize("state", range(-2, 4))
@pytest.mark.parametrize("amount", (-2, -1, 1))
@pytest.mark.parametrize("least", (None, 0, -1))
def test_a_count_does_what_the_rule_book_says(state: int, amount: int, least: int | None) -> None:
    thing: Any = DirectMachine().static(Thing, "thing")
    book: dict[str, tuple[tuple[Any, ...], Callable[..., Any]]] = {
        "add": ((amount,), rules.atomic_add),
        "add_and_compare": ((amount, "==", 0), rules.atomic_add_compare),
        "add_unless": ((amount, 1), rules.atomic_add_unless),
    }
    for name, (operands, rule) in book.items():
        count = thing.count
        count.state, count.least = state, least
        expected = result(lambda r=rule, o=operands: r(state, *o, least))
        got = result(lambda c=count, n=name, o=operands: getattr(c, n)(*o))
        if isinstance(expected, str):
            assert (got, count.state) == (expected, state)
        else:
            assert (count.state, got) == expected


def test_locks_may_be_released_in_any_order() -> None:
    machine = DirectMachine()
    thing: Any = machine.static(Thing, "thing")
    context = RUNNING.context = Context(machine)
    for lock in (thing.lock, thing.mutex, thing.sem):
        (lock.acquire_write if lock is thing.sem else lock.acquire)()
    thing.lock.release()
    assert context.held == [thing.mutex, thing.sem]
    thing.sem.release_write()
    thing.mutex.release()
    assert (context.held, context.atomic) == ([], 0)


def test_a_pointer_into_a_freed_page_table_is_a_use_after_free() -> None:
    thing: Any = DirectMachine().static(Thing, "thing")
    pte = pte_alloc_map(thing.tables, 0x1000)
    assert pte is not None and pte_get(pte) is None
    free_pgd_range(thing.tables, 0, 0x2000)

    assert result(lambda: pte_get(pte)) == "use-after-free"
    again = pte_alloc_map(thing.tables, 0x1000)
    assert again is not None and again is not pte and pte_get(again) is None
