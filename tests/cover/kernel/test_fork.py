"""The life of an mm: fork, exit and exec, against processes that share nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmaplab.kernel.contents import ZERO, fill
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.madvise import MADV_DONTFORK, MADV_DONTNEED, MADV_MERGEABLE
from rmaplab.kernel.mm_types import EFAULT, ENOMEM, MMF_VM_MERGEABLE, PAGE_SIZE, VM_LOCKED
from rmaplab.machine import (
    atomic_inc,
    atomic_read,
    list_for_each_entry,
    pgd_addresses,
    pte_get,
    pte_offset_map,
)
from rmaplab.machine.context import RUNNING

R, RW = 1, 3


def family(lab: Any) -> Any:
    """A process with pages in three VMAs, one of them KSM's."""
    mm = lab.kernel.mm_alloc()
    lab.mmap(mm, 0, 2, RW)
    lab.mmap(mm, 2, 1, R)
    lab.mmap(mm, 5, 2, RW)
    for page in (0, 1, 6):
        lab.write(mm, page, page + 1)
    lab.read(mm, 2)
    assert lab.kernel.sys_madvise(mm, lab.address(5), 2 * PAGE_SIZE, MADV_MERGEABLE) == 0
    return mm


# Fork


def test_a_child_has_its_parents_vmas_and_contents(lab: Any) -> None:
    parent = family(lab)
    lab.vmas(parent)[0].vm_flags |= VM_LOCKED
    child = lab.kernel.dup_mm(parent)

    fields = ("vm_start", "vm_end", "vm_pgoff", "vm_file")
    assert [[getattr(vma, name) for name in fields] for vma in lab.vmas(child)] == [
        [getattr(vma, name) for name in fields] for vma in lab.vmas(parent)
    ]
    assert [vma.vm_flags for vma in lab.vmas(child)] == [
        vma.vm_flags & ~VM_LOCKED for vma in lab.vmas(parent)
    ]
    for page in range(8):
        assert lab.read(child, page) == lab.read(parent, page)
    assert child.flags & (1 << MMF_VM_MERGEABLE)
    assert not (parent.mmap_sem.is_locked() or child.mmap_sem.is_locked())


def test_a_child_has_its_parents_chain_and_an_anon_vma_of_its_own(lab: Any) -> None:
    parent = family(lab)
    child = lab.kernel.dup_mm(parent)
    grandchild = lab.kernel.dup_mm(child)

    chains = [
        [avc.anon_vma for avc in list_for_each_entry(mm.mmap.anon_vma_chain)]
        for mm in (parent, child, grandchild)
    ]
    own = [mm.mmap.anon_vma for mm in (parent, child, grandchild)]
    assert chains == [own[:1], own[1::-1], own[::-1]]
    assert len(set(own)) == 3


def test_vmas_without_pages_are_copied_without_page_tables(lab: Any) -> None:
    parent = lab.kernel.mm_alloc()
    lab.mmap(parent, 0, 2)
    lab.read(parent, 0)
    child = lab.kernel.dup_mm(parent)

    assert pgd_addresses(child.pgd, 0, lab.address(9)) == ()
    assert lab.read(child, 0) == ZERO


def test_what_is_not_to_be_copied_is_not(lab: Any) -> None:
    parent = family(lab)
    lab.kernel.sys_madvise(parent, lab.address(0), PAGE_SIZE, MADV_DONTFORK)
    child = lab.kernel.dup_mm(parent)

    assert lab.read(child, 0) == -EFAULT
    assert lab.read(child, 1) == fill(2)
    assert len(lab.vmas(child)) == len(lab.vmas(parent)) - 1


def test_until_its_chain_is_made_a_childs_vma_names_the_parent(new_lab: Any) -> None:
    class Watched(Kernel):
        def anon_vma_fork(self, vma: Any, pvma: Any) -> int:
            seen.append(vma.vm_mm is pvma.vm_mm)
            return super().anon_vma_fork(vma, pvma)

    seen: list[bool] = []
    with new_lab(Watched) as lab:
        lab.vmas(lab.kernel.dup_mm(family(lab)))
        assert seen == [True, True, True]


def test_the_zero_page_is_copied_without_counting(lab: Any) -> None:
    parent = lab.kernel.mm_alloc()
    lab.mmap(parent, 0, 2)
    lab.write(parent, 0, 1)
    lab.read(parent, 1)
    child = lab.kernel.dup_mm(parent)

    assert pte_get(pte_offset_map(child.pgd, lab.address(1))).special
    assert lab.read(child, 1) == ZERO
    assert lab.write(child, 1, 5) == 0
    assert lab.read(parent, 1) == ZERO


def test_fork_without_memory_leaves_the_parent_alone(lab: Any) -> None:
    parent = family(lab)
    before = lab.live()
    context = RUNNING.context
    for number in range(1, 100):
        context.fail_at = context.allocations + number
        child = lab.kernel.dup_mm(parent)
        failed = context.allocations >= context.fail_at
        assert (child is None) == failed
        for page, word in ((0, 1), (1, 2), (6, 7)):
            assert lab.read(parent, page) == fill(word)
        assert not parent.mmap_sem.is_locked()
        if not failed:
            break
        assert lab.live() == before
    # The mm and its mm_slot; three VMAs; for each of the two with an anon_vma, two chain entries
    # and an anon_vma; tables for the three pages in these. The one after those is not made.
    assert number == 2 + 3 + 2 * (2 + 1) + 3 + 1
    lab.kernel.mmput(child)
    assert lab.live() == before
    lab.kernel.mmput(parent)
    assert lab.live() == {}


# Exit and exec


def test_the_last_user_takes_everything_along(lab: Any) -> None:
    mm = family(lab)
    atomic_inc(mm.mm_users)

    lab.kernel.mmput(mm)
    assert lab.read(mm, 0) == fill(1)
    lab.kernel.mmput(mm)

    assert lab.live() == {}


def test_a_reference_keeps_the_mm_but_not_its_memory(lab: Any) -> None:
    mm = family(lab)
    atomic_inc(mm.mm_count)

    lab.kernel.mmput(mm)
    assert lab.live() == {"mm_struct": 1}
    assert atomic_read(mm.mm_users) == 0

    lab.kernel.mmdrop(mm)
    assert lab.live() == {}


def test_an_mm_without_vmas_can_go(lab: Any) -> None:
    lab.kernel.mmput(lab.kernel.mm_alloc())

    assert lab.live() == {}


@pytest.mark.parametrize("first", ["parent", "child"])
def test_either_may_exit_first(lab: Any, first: str) -> None:
    parent = family(lab)
    child = lab.kernel.dup_mm(parent)
    gone, left = (parent, child) if first == "parent" else (child, parent)

    lab.kernel.mmput(gone)

    for page, word in ((0, 1), (1, 2), (6, 7)):
        assert lab.read(left, page) == fill(word)
        assert lab.write(left, page, word + 10) == 0
    lab.kernel.mmput(left)
    assert lab.live() == {}


def test_exec_begins_with_an_empty_mm(lab: Any) -> None:
    task, new = SimpleNamespace(mm=family(lab)), lab.kernel.mm_alloc()

    lab.kernel.exec_mmap(task, new)

    assert task.mm is new
    assert lab.vmas(new) == []
    assert new.flags == 0
    assert lab.live() == {"mm_struct": 1}


# Any number of processes against copies that share nothing


PAGES = 4
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 9), st.integers(0, PAGES - 1)),
        st.tuples(st.just("read"), st.integers(0, 9), st.integers(0, PAGES - 1)),
        st.tuples(st.just("fork"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("exit"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("munmap"), st.integers(0, 9), st.integers(0, PAGES - 1)),
        st.tuples(st.just("mmap"), st.integers(0, 9), st.integers(0, PAGES - 1)),
        st.tuples(st.just("mprotect"), st.integers(0, 9), st.integers(0, PAGES - 1)),
        st.tuples(st.just("dontneed"), st.integers(0, 9), st.integers(0, PAGES - 1)),
    ),
    max_size=40,
)


class Shadow:
    """A process as the user sees it: its own dictionary of what each page holds, and may be."""

    def __init__(self, mm: Any, words: dict[int, int], readonly: set[int]) -> None:
        self.mm = mm
        self.words = words
        self.readonly = readonly


def shadow_step(lab: Any, processes: list[Shadow], step: tuple[str, int, int]) -> None:
    operation, who, page = step
    process = processes[who % len(processes)]
    mm, words, readonly = process.mm, process.words, process.readonly
    mapped, where = page in words, lab.address(page)
    if operation == "write":
        word = len(processes) * 100 + sum(words.values()) % 89 + 1
        ret = lab.write(mm, page, word)
        if mapped and page not in readonly:
            words[page] = word
            assert ret == 0
        else:
            assert ret == -EFAULT
    elif operation == "read":
        assert lab.read(mm, page) == (fill(words[page]) if mapped else -EFAULT)
    elif operation == "fork" and len(processes) < 6:
        processes.append(Shadow(lab.kernel.dup_mm(mm), dict(words), set(readonly)))
    elif operation == "exit" and len(processes) > 1:
        lab.kernel.mmput(mm)
        processes.remove(process)
    elif operation == "munmap":
        lab.kernel.sys_munmap(mm, where, PAGE_SIZE)
        words.pop(page, None)
        readonly.discard(page)
    elif operation == "mmap":
        lab.mmap(mm, page, 1)
        words[page] = 0
        readonly.discard(page)
    elif operation == "mprotect":
        prot = RW if page in readonly else R
        assert lab.kernel.sys_mprotect(mm, where, PAGE_SIZE, prot) == (0 if mapped else -ENOMEM)
        if mapped:
            readonly.symmetric_difference_update({page})
    elif operation == "dontneed" and mapped:
        assert lab.kernel.sys_madvise(mm, where, PAGE_SIZE, 4) == 0
        words[page] = 0


@settings(deadline=None)
@given(steps)
def test_private_memory_is_private(new_lab: Any, sequence: list[tuple[str, int, int]]) -> None:
    with new_lab() as lab:
        everything = dict.fromkeys(range(PAGES), 0)
        processes = [Shadow(lab.process(PAGES), everything, set())]
        for step in sequence:
            shadow_step(lab, processes, step)
            for process in processes:
                lab.vmas(process.mm)
            lab.check_rmap(*(process.mm for process in processes))
        for process in processes:
            for page in range(PAGES):
                expected = fill(process.words[page]) if page in process.words else -EFAULT
                assert lab.read(process.mm, page) == expected
        lab.check_exit(*(process.mm for process in processes))


def test_tables_that_are_empty_are_copied_as_nothing(lab: Any) -> None:
    parent = lab.process(2)
    for page in (0, 1):
        lab.write(parent, page, page + 1)
    assert lab.madvise(parent, 0, 1, MADV_DONTNEED) == 0

    child = lab.kernel.dup_mm(parent)

    assert (lab.read(child, 0), lab.read(child, 1)) == (ZERO, fill(2))
    lab.check_exit(parent, child)
