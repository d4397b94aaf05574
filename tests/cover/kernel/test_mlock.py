"""Locking memory, against a model that knows pages only."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels import SHOWN
from random_calls import Run

from rmaplab.history import KERNELS
from rmaplab.history.lookup import in_range
from rmaplab.kernel.contents import ZERO, fill
from rmaplab.kernel.madvise import MADV_DONTNEED
from rmaplab.kernel.mm_types import (
    EAGAIN,
    EINVAL,
    ENOMEM,
    PAGE_SIZE,
    VM_DONTEXPAND,
    VM_IO,
    VM_LOCKED,
)
from rmaplab.litmus.reader import read_text
from rmaplab.machine import BugOn
from rmaplab.machine.direct import DirectMachine

NONE, R, RW = 0, 1, 3
#: What a split without memory tells no error of, or counts off what was not counted.
MISCOUNTING = ("ef0855d334e1..624483f3ea82", "7a3ef208e662..b800c91a0517")
#: Not the patch that drops a root twice, nor those whose split without memory tells no error.
SOUND = [
    name
    for name in SHOWN
    if name != "seed-v2" and not any(in_range(each, name) for each in MISCOUNTING)
]


def mlock(lab: Any, mm: Any, page: int, count: int) -> int:
    return lab.kernel.sys_mlock(mm, lab.address(page), count * PAGE_SIZE)


def munlock(lab: Any, mm: Any, page: int, count: int) -> int:
    return lab.kernel.sys_munlock(mm, lab.address(page), count * PAGE_SIZE)


def marked(lab: Any, mm: Any) -> set[int]:
    """The pages that are there and marked."""
    return {
        page
        for vma in lab.vmas(mm)
        for page in lab.pages(vma)
        if lab.entry(mm, page) is not None
        and not lab.entry(mm, page).special
        and lab.page_of(mm, page).mlocked
    }


ranges = st.tuples(st.integers(0, 7), st.integers(1, 8)).map(lambda r: (r[0], min(r[1], 8 - r[0])))
operations = st.lists(
    st.tuples(st.sampled_from(["mmap", "munmap", "mlock", "munlock", "write"]), ranges),
    max_size=20,
)


@settings(deadline=None)
@given(operations)
def test_just_the_pages_of_locked_vmas_are_there_and_marked(new_lab: Any, steps: list[Any]) -> None:
    locked: dict[int, bool] = {}  # of each page that is mapped
    words: dict[int, int] = {}
    with new_lab() as lab:
        mm = lab.process(0)
        for word, (what, (start, count)) in enumerate(steps, 1):
            pages = range(start, start + count)
            expected = model_step(locked, words, what, pages, word)
            assert kernel_step(lab, mm, what, start, count, word) == expected
            flags = {page: vma.vm_flags for vma in lab.vmas(mm) for page in lab.pages(vma)}
            assert {page: bool(flag & VM_LOCKED) for page, flag in flags.items()} == locked
            assert marked(lab, mm) == {page for page in locked if locked[page]}
            assert mm.locked_vm == sum(locked.values())
            lab.check_rmap(mm)
            for page in marked(lab, mm):
                assert lab.read(mm, page) == (fill(words[page]) if page in words else ZERO)
        lab.check_exit(mm)


def model_step(
    locked: dict[int, bool], words: dict[int, int], what: str, pages: range, word: int
) -> int:
    if what in ("mmap", "munmap"):
        for page in pages:
            locked.pop(page, None)
            words.pop(page, None)
        if what == "mmap":
            locked.update(dict.fromkeys(pages, False))
        return 0
    for page in pages:
        if page not in locked:
            return 0 if what == "write" else -ENOMEM
        if what == "write":
            words[page] = word
        else:
            locked[page] = what == "mlock"
    return 0


def kernel_step(lab: Any, mm: Any, what: str, start: int, count: int, word: int) -> int:
    if what == "mmap":
        return min(lab.mmap(mm, start, count), 0)
    if what == "munmap":
        return lab.munmap(mm, start, count)
    if what == "write":
        for page in range(start, start + count):
            if lab.write(mm, page, word):
                break
        return 0
    return (mlock if what == "mlock" else munlock)(lab, mm, start, count)


def test_vmas_split_and_merge_as_they_are_locked(lab: Any) -> None:
    mm = lab.process(6)

    mlock(lab, mm, 1, 2)
    assert lab.layout(mm) == [(0, 1, RW), (1, 2, RW | VM_LOCKED), (3, 3, RW)]
    mlock(lab, mm, 3, 1)
    assert lab.layout(mm) == [(0, 1, RW), (1, 3, RW | VM_LOCKED), (4, 2, RW)]
    munlock(lab, mm, 1, 3)
    assert lab.layout(mm) == [(0, 6, RW)]


def test_a_page_of_another_that_is_locked_too_stays_marked(lab: Any) -> None:
    """try_to_munlock() finds the other; without a third party's lock the mark goes."""
    mm = lab.process(1, R)
    lab.mprotect(mm, 0, 1, RW)
    lab.write(mm, 0, 1)
    lab.mprotect(mm, 0, 1, R)
    child = lab.kernel.dup_mm(mm)
    mlock(lab, mm, 0, 1)
    mlock(lab, child, 0, 1)
    page = lab.page_of(mm)
    assert page == lab.page_of(child)

    munlock(lab, mm, 0, 1)
    assert page.mlocked
    lab.munmap(child, 0, 1)
    assert not page.mlocked
    lab.check_exit(mm, child)


def test_exit_takes_the_mark_from_what_others_still_map(lab: Any) -> None:
    mm = lab.process(1)
    lab.write(mm, 0, 1)
    mlock(lab, mm, 0, 1)
    child = lab.kernel.dup_mm(mm)
    assert (child.locked_vm, child.mmap.vm_flags & VM_LOCKED) == (0, 0)

    lab.kernel.mmput(mm)

    assert not lab.page_of(child).mlocked
    lab.check_exit(child)


def test_a_copy_takes_the_lock_along_and_leaves_none_behind(lab: Any) -> None:
    mm = lab.process(1)
    lab.write(mm, 0, 1)
    mlock(lab, mm, 0, 1)
    child = lab.kernel.dup_mm(mm)

    lab.write(mm, 0, 2)

    assert lab.page_of(mm).mlocked and not lab.page_of(child).mlocked
    lab.check_exit(mm, child)


def test_what_may_only_be_read_gets_the_zero_page_and_no_mark(lab: Any) -> None:
    mm = lab.process(1, R)

    assert mlock(lab, mm, 0, 1) == 0

    assert lab.entry(mm).special
    assert munlock(lab, mm, 0, 1) == 0
    lab.check_exit(mm)


def test_what_may_not_be_read_is_locked_all_the_same(lab: Any) -> None:
    mm = lab.process(1, NONE)

    assert mlock(lab, mm, 0, 1) == -ENOMEM

    assert lab.layout(mm) == [(0, 1, VM_LOCKED)]
    assert mm.locked_vm == 1


def test_more_pages_than_are_looked_up_at_once(lab: Any) -> None:
    mm = lab.process(40)

    assert mlock(lab, mm, 0, 40) == 0

    assert marked(lab, mm) == set(range(40))
    lab.check_exit(mm)


def test_a_locked_page_is_not_thrown_away(lab: Any) -> None:
    mm = lab.process(2)
    mlock(lab, mm, 0, 1)

    assert lab.madvise(mm, 0, 1, MADV_DONTNEED) == -EINVAL
    assert lab.madvise(mm, 1, 1, MADV_DONTNEED) == 0


def test_holes_and_nothing(lab: Any) -> None:
    mm = lab.process(2)

    assert mlock(lab, mm, 9, 1) == -ENOMEM
    assert mlock(lab, mm, 1, 2) == -ENOMEM
    assert mlock(lab, mm, 0, 0) == 0
    assert lab.kernel.sys_mlock(mm, lab.address(0) + 1, 1) == 0  # the pages it touches
    assert marked(lab, mm) == {0, 1}
    assert not mm.mmap_sem.is_locked()


def test_special_areas_are_passed_over(lab: Any) -> None:
    mm = lab.process(1)
    mm.mmap.vm_flags |= VM_IO

    assert mlock(lab, mm, 0, 1) == 0
    assert (mm.locked_vm, lab.entry(mm)) == (0, None)
    mm.mmap.vm_flags |= VM_LOCKED | VM_DONTEXPAND
    assert lab.kernel.mlock_vma_pages_range(mm.mmap, lab.address(0), lab.address(1)) == 1
    assert not mm.mmap.vm_flags & VM_LOCKED


def test_the_mark_is_changed_under_the_page_lock_only(lab: Any) -> None:
    mm = lab.process(1)
    mlock(lab, mm, 0, 1)

    with pytest.raises(BugOn, match="not locked"):
        lab.kernel.clear_page_mlock(lab.page_of(mm))


def test_without_memory_the_rest_is_missing_and_the_call_says_so(lab: Any) -> None:
    """The first table fails: the VMA is locked and counted, and empty."""
    mm = lab.process(3)

    ret, reached = lab.failing(1, lambda: mlock(lab, mm, 0, 3))

    assert (ret, reached) == (-EAGAIN, True)
    assert lab.layout(mm) == [(0, 3, RW | VM_LOCKED)]
    assert mm.locked_vm == 3
    lab.check_exit(mm)


CALLS = {
    "lock": "A: mmap 0 6\nA: write 2 2 = 1\nA: fork B\nA: mlock 1 4",
    "copy": "A: mmap 0 6\nA: write 0 6 = 1\nA: fork B\nA: mlock 1 4",
    "join": "A: mmap 0 6\nA: write 0 6 = 1\nA: mlock 1 1\nA: mlock 3 1\nA: mlock 2 1",
    "unlock": "A: mmap 0 6\nA: write 0 6 = 1\nA: mlock 0 6\nA: fork B\nA: munlock 2 2",
    "unmap": "A: mmap 0 6\nA: mlock 0 6\nA: fork B\nA: munmap 2 2",
}


@pytest.mark.parametrize("kernel", SOUND)
@pytest.mark.parametrize("name", CALLS)
def test_whichever_allocation_fails_all_truths_hold_and_nothing_is_left(
    name: str, kernel: str
) -> None:
    before, _, last = CALLS[name].rpartition("\n")
    for number in range(1, 40):
        text = f"litmus t\nprocesses A\nsetup\n{before}\nfail {number} {last}\n"
        run = Run(read_text(text), KERNELS[kernel], DirectMachine())
        assert run.failure() is None, text
        if not run.starved:
            break
    assert 1 <= number < 39


def test_a_page_that_is_got_to_be_written_is_dirty(lab: Any) -> None:
    """Migration makes a writable entry that is not dirty."""
    mm = lab.process()
    lab.write(mm, 0, 7)
    lab.kernel.isolate_lru_page(lab.page_of(mm))
    assert lab.kernel.migrate_pages([lab.page_of(mm)], lambda _: lab.kernel.alloc_page()) == 0
    entry, page = lab.entry(mm), lab.page_of(mm)
    page.dirty = False
    assert entry.write and not entry.dirty

    error, pages = lab.kernel._get_user_pages(mm, lab.address(0), 1, write=True)

    assert (error, pages, page.dirty) == (0, [page], True)
    lab.kernel.put_page(page)
    lab.check_exit(mm)
