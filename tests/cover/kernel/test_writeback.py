"""What others do with a page between the start of its write to swap and the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rmaplab.kernel.contents import fill
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.pgtable import SwapEntry
from rmaplab.machine import BugOn, KernelStateError


class Intruded(Kernel):
    """A kernel where something takes place on CPU 1 when a page is unlocked and not yet written."""

    def intrude(self) -> None:
        """Nothing."""

    def end_page_writeback(self, page: Any) -> None:
        intrude, self.intrude = self.intrude, lambda: None  # type: ignore[method-assign]
        with self.machine.running(cpu=1, task="B"):
            intrude()
        super().end_page_writeback(page)


@pytest.fixture
def lab(new_lab: Callable[..., Any]) -> Iterator[Any]:
    with new_lab(Intruded, CONFIG_SWAP=True) as lab:
        yield lab


def shrink(lab: Any, page: Any) -> bool:
    lab.kernel.get_page(page)
    pages = [page]
    freed = lab.kernel.shrink_page_list(pages)
    for kept in pages:
        lab.kernel.putback_lru_page(kept)
    return bool(freed)


def written_out(lab: Any, intrude: Callable[[Any, Any], Any]) -> tuple[Any, Any, bool]:
    """A process whose page goes to swap, with `intrude(mm, page)` in between; if it was freed."""
    mm = lab.process()
    lab.write(mm, 0, 7)
    page = lab.page_of(mm)
    shrink(lab, page)  # it is no longer young
    lab.kernel.intrude = lambda: intrude(mm, page)
    return mm, page, shrink(lab, page)


def test_without_anybody_the_page_is_free_at_once(lab: Any) -> None:
    mm, page, freed = written_out(lab, lambda mm, page: None)

    assert freed and lab.entry(mm) == SwapEntry(1)
    assert not lab.kernel.PageWriteback(page)
    assert lab.read(mm) == fill(7)
    lab.check_exit(mm)


def test_a_writer_keeps_page_and_slot_and_only_his_entry_is_dirty(lab: Any) -> None:
    mm, page, freed = written_out(lab, lambda mm, page: lab.write(mm, 0, 8))

    assert not freed and lab.page_of(mm) is page
    assert (page.swapcache, page.dirty) == (True, False)
    assert (lab.entry(mm).write, lab.entry(mm).dirty) == (True, True)
    assert lab.kernel.swap_slots[1].contents == fill(7)

    shrink(lab, page)
    assert shrink(lab, page), "the dirty bit goes to the page when it is unmapped"
    assert lab.read(mm) == fill(8)
    lab.check_exit(mm)


def test_a_writer_after_that_takes_the_page_out_of_the_swap_cache(lab: Any) -> None:
    mm, page, _ = written_out(lab, lambda mm, page: lab.read(mm))
    assert page.swapcache

    lab.write(mm, 0, 8)

    assert lab.page_of(mm) is page
    assert (page.swapcache, page.dirty) == (False, True)
    lab.check_exit(mm)


def test_who_exits_leaves_the_page_to_reclaim(lab: Any) -> None:
    seen = []

    def exits(mm: Any, page: Any) -> None:
        lab.kernel.mmput(mm)
        seen.append((page.swapcache, lab.kernel.PageLocked(page)))

    *_, freed = written_out(lab, exits)

    assert seen == [(True, False)]
    assert freed
    assert lab.live() == {}


def test_a_page_is_not_taken_out_of_the_swap_cache(lab: Any) -> None:
    seen = []

    def tries(mm: Any, page: Any) -> None:
        lab.kernel.lock_page(page)
        seen.append(lab.kernel.try_to_free_swap(page))
        with pytest.raises(BugOn, match="being written"):
            lab.kernel._delete_from_swap_cache(page)
        with pytest.raises(BugOn, match="being written"):
            lab.kernel.set_page_writeback(page)
        lab.kernel.unlock_page(page)

    mm, _, freed = written_out(lab, tries)

    assert (seen, freed) == ([False], True)
    lab.check_exit(mm)


def test_another_pass_of_reclaim_leaves_the_page_alone(lab: Any) -> None:
    seen = []

    def shrinks(mm: Any, page: Any) -> None:
        lab.read(mm)
        seen.append(shrink(lab, page))
        seen.append((lab.kernel.page_mapped(page), lab.kernel.PageLocked(page)))

    mm, *_ = written_out(lab, shrinks)

    assert seen == [False, (True, False)]
    lab.check_exit(mm)


@pytest.mark.parametrize("force", [False, True])
def test_migration_waits_for_the_write_only_if_it_must(lab: Any, force: bool) -> None:
    mm = lab.process()
    lab.write(mm, 0, 7)
    page, kernel = lab.page_of(mm), lab.kernel
    kernel.lock_page(page)
    assert kernel.add_to_swap(page)
    kernel.set_page_writeback(page)
    kernel.unlock_page(page)
    waited = []

    def wait(page: Any) -> None:
        waited.append(page)
        kernel.end_page_writeback(page)

    kernel.wait_on_page_writeback = wait
    kernel.get_page(page)
    pages = [page]
    retry, _, _ = kernel.migrate_pass(pages, lambda _: kernel.alloc_page(), force, False)

    assert (retry, waited) == ((0, [page]) if force else (1, []))
    assert lab.read(mm) == fill(7)
    assert (lab.page_of(mm) is page) is not force
    if not force:
        kernel.end_page_writeback(page)
        kernel.putback_lru_page(page)
    lab.check_exit(mm)


def test_nobody_waits_for_a_page_that_is_not_written(lab: Any) -> None:
    lab.kernel.wait_on_page_writeback(lab.kernel.alloc_page())


def test_without_swap_no_page_is_ever_written(new_lab: Callable[..., Any]) -> None:
    with new_lab() as lab:
        assert not lab.kernel.PageWriteback(None)


def test_who_waits_for_a_page_that_is_being_written_goes_no_further(lab: Any) -> None:
    def wait(mm: Any, page: Any) -> None:
        with pytest.raises(KernelStateError, match="never released") as caught:
            lab.kernel.wait_on_page_writeback(page)
        assert caught.value.kind == "deadlock"

    _, page, freed = written_out(lab, wait)

    assert freed
    lab.kernel.wait_on_page_writeback(page)  # it is written: nothing to wait for
