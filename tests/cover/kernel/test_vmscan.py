"""Reclaim of anonymous pages: what stays, what goes, and what it leaves unlocked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rmaplab.kernel.contents import fill
from rmaplab.kernel.mm_types import VM_LOCKED
from rmaplab.kernel.pgtable import SwapEntry


@pytest.fixture
def lab(new_lab: Callable[..., Any]) -> Iterator[Any]:
    with new_lab(CONFIG_SWAP=True) as lab:
        yield lab


def process(lab: Any) -> tuple[Any, Any]:
    """A process with one written page."""
    mm = lab.process()
    lab.write(mm, 0, 7)
    return mm, lab.page_of(mm)


def shrink(lab: Any, page: Any) -> int:
    """One pass over a page; nothing it keeps stays locked."""
    assert lab.kernel.isolate_lru_page(page) == 0
    pages = [page]
    freed = lab.kernel.shrink_page_list(pages)
    assert freed == (not pages)
    for kept in pages:
        lab.kernel.putback_lru_page(kept)
    return freed


def test_a_page_in_use_stays_and_is_no_longer_young(lab: Any) -> None:
    mm, page = process(lab)

    assert shrink(lab, page) == 0

    assert not lab.entry(mm).young and not page.swapcache
    assert shrink(lab, page) == 1
    assert lab.entry(mm) == SwapEntry(1)
    lab.check_exit(mm)


def test_a_locked_page_is_left_alone(lab: Any) -> None:
    mm, page = process(lab)
    shrink(lab, page)
    lab.kernel.lock_page(page)

    assert shrink(lab, page) == 0

    lab.kernel.unlock_page(page)
    assert lab.read(mm) == fill(7) and not page.swapcache
    lab.check_exit(mm)


def test_a_page_with_one_more_reference_is_unmapped_but_not_freed(lab: Any) -> None:
    mm, page = process(lab)
    shrink(lab, page)
    lab.kernel.get_page(page)

    assert shrink(lab, page) == 0

    assert page.swapcache and page.dirty and not lab.kernel.PageLocked(page)
    assert lab.entry(mm) == page.private
    assert lab.read(mm) == fill(7) and lab.page_of(mm) is page
    lab.kernel.put_page(page)
    lab.check_exit(mm)


def test_a_page_of_a_locked_vma_stays_and_gives_its_slot_back(lab: Any) -> None:
    mm, page = process(lab)
    shrink(lab, page)
    mm.mmap.vm_flags |= VM_LOCKED

    assert shrink(lab, page) == 0

    assert page.mlocked and not page.swapcache and lab.page_of(mm) is page
    assert lab.kernel.swap_slots[1].swap_map == 0
    lab.check_exit(mm)


def test_a_page_that_is_dirty_again_is_not_taken_from_the_swap_cache(lab: Any) -> None:
    mm, page = process(lab)
    kernel = lab.kernel
    kernel.lock_page(page)
    assert kernel.add_to_swap(page)
    page._count.set(2)

    assert not kernel._remove_mapping(page), "add_to_swap() made it dirty"
    assert kernel.page_count(page) == 2
    page.dirty = False
    kernel.get_page(page)
    assert not kernel._remove_mapping(page), "somebody has one more reference"

    page._count.set(2)
    kernel.unlock_page(page)
    lab.check_exit(mm)


def test_a_page_whose_users_are_gone_is_not_written(lab: Any) -> None:
    mm, page = process(lab)
    shrink(lab, page)
    lab.kernel.get_page(page)
    shrink(lab, page)
    lab.kernel.lock_page(page)  # so that the exit cannot free its slot
    lab.kernel.mmput(mm)
    lab.kernel.unlock_page(page)
    lab.kernel.put_page(page)
    assert page.swapcache and page.dirty

    shrink(lab, page)

    assert lab.kernel.swap_slots[1].contents is None
    assert lab.live() == {}


def test_a_clean_page_with_one_more_reference_is_not_freed(lab: Any) -> None:
    mm, page = process(lab)
    shrink(lab, page)
    assert shrink(lab, page) == 1
    assert lab.read(mm) == fill(7)
    page = lab.page_of(mm)
    lab.kernel.get_page(page)
    shrink(lab, page)

    assert shrink(lab, page) == 0

    assert page.swapcache and not page.dirty and not lab.kernel.PageLocked(page)
    lab.kernel.put_page(page)
    assert lab.read(mm) == fill(7) and lab.page_of(mm) is page
    lab.check_exit(mm)


def test_a_page_that_is_used_right_after_the_question_stays(lab: Any) -> None:
    mm, page = process(lab)
    shrink(lab, page)
    asked = lab.kernel.page_referenced

    def asked_too_early(page: Any, is_locked: bool) -> int:
        referenced = asked(page, is_locked)
        lab.read(mm)
        return referenced

    lab.kernel.page_referenced = asked_too_early

    assert shrink(lab, page) == 0
    assert lab.entry(mm).pfn == lab.kernel.page_to_pfn(page)
    lab.check_exit(mm)


def test_a_page_that_gets_dirty_after_it_was_written_stays(lab: Any) -> None:
    mm, page = process(lab)
    shrink(lab, page)
    trylock, calls = lab.kernel.trylock_page, []

    def dirty_at_the_second(page: Any) -> bool:
        calls.append(page)
        page.dirty |= len(calls) == 2
        return trylock(page)

    lab.kernel.trylock_page = dirty_at_the_second

    assert shrink(lab, page) == 0
    assert len(calls) == 2 and page.swapcache and page.dirty
    del lab.kernel.trylock_page
    assert lab.read(mm) == fill(7) and lab.page_of(mm) is page
    lab.check_exit(mm)
