"""A film has at each moment what memory holds there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from rmaplab.checker.film import Film
from rmaplab.checker.filming import film, in_order
from rmaplab.checker.tables import Tables
from rmaplab.checker.trace import replay
from rmaplab.history import KERNELS
from rmaplab.litmus.shipped import shipped
from rmaplab.runner.scenario import build

PAIRS = [
    ("exit-of-three-generations", "v2.6.38"),
    ("root-drops-itself", "seed-v2"),
    ("pin-of-a-dead-child", "76545066c852"),
    ("reclaim-against-exit", "v2.6.35"),
]


def tables_of(name: str, kernel: str) -> Tables:
    (litmus,) = (litmus for litmus in shipped() if litmus.name == name)
    scenario = build(litmus, KERNELS[kernel])
    scenario.machine.freeze()
    return Tables(scenario)


def alive(made: Film) -> Iterator[set[str]]:
    """The objects that live before the first step and after each, but for pages and variables."""
    living: set[str] = set()
    dynamic = {each.name for each in made.things if not each.is_static and each.kind != "page"}
    for changes in (made.start, *(shot.changes for shot in made.shots)):
        for change in changes:
            if change.field == "life" and change.thing in dynamic:
                (living.add if change.text == "alive" else living.discard)(change.thing)
        yield set(living)


def live_in_slab(tables: Tables, path: tuple[int, ...]) -> Iterator[set[str]]:
    """The same, asked of the slab caches: after each step that a trace shows, and before."""
    whole = replay(tables, path)
    assert whole is not None
    shown = [n for n, step in enumerate(whole.steps, 1) if not step.action.silent]
    machine = tables.scenario.machine
    for length in (0, *shown):
        cut = replay(tables, path[:length])
        assert cut is not None
        for cell in machine.cells:
            cell.current = tables.value(cut.state, cell)
        yield {
            machine.name_of(item)
            for cache in machine.caches
            if cache.name not in ("page", "swap_slot")
            for item in cache.live()
        }
    for cell in machine.cells:
        cell.current = cell.values[0]


@pytest.mark.parametrize(("name", "kernel"), PAIRS[:2])
def test_who_lives_is_who_the_slab_says(name: str, kernel: str) -> None:
    tables = tables_of(name, kernel)
    path = in_order(tables)
    made = film(tables, path)

    assert list(alive(made)) == list(live_in_slab(tables, path))


def test_in_order_each_cpu_goes_as_far_as_it_can() -> None:
    tables = tables_of("exit-of-three-generations", "v2.6.38")
    path = in_order(tables)

    assert list(dict.fromkeys(path)) == [0, 1, 2]
    assert list(path) == sorted(path)


def test_in_order_ends_where_a_step_goes_wrong() -> None:
    tables = tables_of("root-drops-itself", "seed-v2")
    walked = replay(tables, in_order(tables))

    assert walked is not None and walked.fault is not None
    assert walked.fault.kind == "refcount-underflow"


def test_each_count_ends_where_its_changes_lead() -> None:
    tables = tables_of("exit-of-three-generations", "v2.6.38")
    made = film(tables, in_order(tables))

    for label, changes in made.counted.items():
        numbers = [number for number, _ in changes]
        values = [(each.before, each.after) for _, each in changes]
        assert numbers == sorted(numbers)
        assert all(one[1] == other[0] for one, other in itertools.pairwise(values)), label


def test_a_path_that_cannot_be_walked_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be walked"):
        film(tables_of("root-drops-itself", "seed-v2"), (0,) * 100)


def test_a_line_of_kernel_code_has_its_text() -> None:
    tables = tables_of("root-drops-itself", "seed-v2")
    made = film(tables, in_order(tables))

    last = made.shots[-1].step.source
    assert "atomic_dec_and_lock" in made.sources[last] or "self." in made.sources[last]
