"""Compaction of one small zone, in order, on both machines. Frames are counted by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from things import Thing

from rmaplab.history import V2_6_35, V2_6_38
from rmaplab.kernel.compaction import PAGEBLOCKS, CompactControl
from rmaplab.machine import SLAB_STATIC, kmem_cache_alloc, kmem_cache_free, kmem_cache_take
from rmaplab.machine.direct import DirectMachine
from rmaplab.machine.traced import TracedMachine
from rmaplab.runner.system import System
from rmaplab.runner.truths import check_truths

BLOCK = 8
END = BLOCK * PAGEBLOCKS


@pytest.fixture(params=[DirectMachine, lambda: TracedMachine(1)], ids=["direct", "traced"])
def machine(request: pytest.FixtureRequest) -> Any:
    return request.param()


@pytest.fixture(params=[V2_6_35, V2_6_38])
def system(request: pytest.FixtureRequest, machine: Any) -> Iterator[System]:
    with machine.running(0, "A"):
        system = System(request.param, machine, ("A",))
        yield system
        check_truths(system)


def written(system: System, pages: int) -> None:
    assert system.mmap("A", 0, pages) == 0
    assert system.write("A", 0, pages, c=7) == 0


def frames(system: System) -> list[int]:
    return [system.kernel.page_to_pfn(page) for page in system.kernel.page_cachep.live()]


def test_pages_move_to_the_last_pageblock_and_then_stay(system: System) -> None:
    written(system, 3)
    assert frames(system) == [0, 1, 2]

    assert system.compact() == 0
    assert frames(system) == [END - 3, END - 2, END - 1]
    assert system.compact() == 0
    assert frames(system) == [END - 3, END - 2, END - 1]


def test_everyone_who_maps_a_page_finds_it_again(system: System) -> None:
    written(system, 1)
    assert system.fork("A", "B") == 0
    system.compact()

    assert system.page_at("A", 0) == system.page_at("B", 0)
    assert frames(system) == [END - 1]


def test_a_pinned_page_stays_where_it_is(system: System) -> None:
    """It is tried first, with the last frame, which is then free for the next compaction."""
    written(system, 2)
    system.pin("A", 1)
    system.compact()

    assert frames(system) == [1, END - 2]
    system.unpin("A", 1)
    system.compact()
    assert frames(system) == [END - 2, END - 1]


def test_the_scanners_meet_in_a_zone_that_is_more_than_half_full(system: System) -> None:
    """Six blocks are full. Two free ones at the end take two blocks; the scanners are then at 2
    and 6, and only the block next to the migrate scanner could not be a target."""
    written(system, 6 * BLOCK)
    system.compact()

    moved = [*range(2 * BLOCK, END)]
    assert frames(system) == moved


def test_a_full_zone_is_left_as_it_is(system: System) -> None:
    written(system, END + 2)
    system.compact()

    assert frames(system) == list(range(END + 2))


def test_free_frames_that_nothing_moved_to_are_given_back(system: System) -> None:
    kernel: Any = system.kernel
    cc = CompactControl(END, migratepages=[None])
    kernel.isolate_freepages(cc)
    assert [kernel.page_to_pfn(page) for page in cc.freepages] == [
        *reversed(range(END - BLOCK, END))
    ]
    assert cc.free_pfn == END - BLOCK

    assert kernel.release_freepages(cc.freepages) == BLOCK
    assert frames(system) == []


def test_the_block_next_to_the_other_scanner_is_no_target(system: System) -> None:
    kernel: Any = system.kernel
    cc = CompactControl(END, END - 2 * BLOCK, migratepages=[None])
    kernel.isolate_freepages(cc)

    assert (cc.freepages, cc.free_pfn) == ([], END - BLOCK)


def test_without_migration_there_is_no_compaction(machine: Any) -> None:
    with machine.running(0, "A"):
        system = System(V2_6_38, machine, ("A",), {"CONFIG_MIGRATION": False})
        written(system, 1)
        assert system.compact() == -2
        assert frames(system) == [0]


# The frames by number, which only compaction asks for


def test_a_frame_is_taken_once_and_the_rest_stays_in_order(machine: Any) -> None:
    with machine.running(0, "A"):
        cache = machine.kmem_cache_create("thing", Thing, SLAB_STATIC)
        zero, one = kmem_cache_alloc(cache), kmem_cache_alloc(cache)
        assert kmem_cache_take(cache, 1) is None
        kmem_cache_free(cache, zero)
        four = kmem_cache_take(cache, 4)
        assert (cache.index(four), kmem_cache_take(cache, 4)) == (4, None)
        kmem_cache_free(cache, one)

        # Last freed first, then those that nobody ever had.
        assert [cache.index(kmem_cache_alloc(cache)) for _ in range(5)] == [1, 0, 2, 3, 5]
        assert [cache.index(thing) for thing in cache.live()] == [0, 1, 2, 3, 4, 5]


def test_a_frame_is_taken_from_the_list_of_the_cpu_that_freed_it() -> None:
    machine = TracedMachine(2)
    with machine.running(0, "A"):
        kernel: Any = V2_6_38(machine)
        page = kernel.alloc_page()
    assert kernel.page_to_pfn(page) == 0
    with machine.running(1, "B"):
        kernel.put_page(page)
        assert kmem_cache_take(kernel.page_cachep, 0) is page
        assert kernel.page_cachep.live() == (page,)


def test_a_pageblock_beyond_the_other_scanner_is_passed_by(system: System) -> None:
    written(system, 1)
    cc = CompactControl(free_pfn=0)
    cc.free_pfn = BLOCK - 1

    assert system.kernel.isolate_migratepages(cc) == 0

    assert cc.migrate_pfn == BLOCK and cc.migratepages == []
    assert system.kernel.compact_finished(cc)
