"""VMAs that grow when they are touched, and the stack that exec makes and moves."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmaplab.history import KERNELS
from rmaplab.kernel.contents import ZERO, fill
from rmaplab.kernel.exec import STACK_EXPAND, STACK_TOP_MAX, VM_STACK_FLAGS, LinuxBinprm
from rmaplab.kernel.mm_types import (
    EFAULT,
    ENOMEM,
    PAGE_MASK,
    PAGE_SIZE,
    VM_GROWSDOWN,
    VM_GROWSUP,
    VM_LOCKED,
)

RW = 3
TOP = 20


def stack(lab: Any, count: int = 1, flags: int = VM_GROWSDOWN) -> Any:
    """A process whose stack ends below page 20."""
    mm = lab.kernel.mm_alloc()
    lab.mmap(mm, TOP - count, count)
    mm.mmap.vm_flags |= flags
    return mm


@pytest.mark.parametrize("kernel", ["v2.6.34", "v2.6.38"])
@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, TOP)), max_size=12))
def test_a_stack_reaches_down_to_its_lowest_access(
    new_lab: Any, kernel: str, accesses: list[tuple[bool, int]]
) -> None:
    words: dict[int, int] = {}
    lowest = TOP - 1
    with new_lab(KERNELS[kernel]) as lab:
        mm = stack(lab)
        lab.kernel.rlimit_stack = 10 * PAGE_SIZE
        for word, (write, page) in enumerate(accesses, 1):
            allowed = TOP - 10 <= page < TOP
            if write:
                assert lab.write(mm, page, word) == (0 if allowed else -EFAULT)
                words.update({page: word} if allowed else {})
            else:
                held = fill(words[page]) if page in words else ZERO
                assert lab.read(mm, page) == (held if allowed else -EFAULT)
            lowest = min(lowest, page) if allowed else lowest
            assert lab.layout(mm) == [(lowest, TOP - lowest, RW | VM_GROWSDOWN)]
            assert mm.mmap.vm_pgoff == lab.address(lowest) // PAGE_SIZE
            lab.check_rmap(mm)
        lab.check_exit(mm)


def test_what_does_not_grow_down_stays(lab: Any) -> None:
    mm = stack(lab, flags=0)

    assert lab.write(mm, TOP - 2, 1) == -EFAULT
    assert lab.kernel.find_extend_vma(mm, lab.address(TOP - 2)) is None
    assert lab.kernel.find_extend_vma(mm, lab.address(TOP)) is None
    assert lab.kernel.expand_upwards(mm.mmap, lab.address(TOP)) == -EFAULT


@pytest.mark.parametrize("number", [1, 2])
def test_without_an_anon_vma_a_stack_does_not_grow(lab: Any, number: int) -> None:
    mm = stack(lab)

    ret, reached = lab.failing(number, lambda: lab.write(mm, TOP - 3, 1))

    assert (ret, reached) == (-EFAULT, True)
    assert lab.layout(mm) == [(TOP - 1, 1, RW | VM_GROWSDOWN)]
    assert lab.kernel.find_extend_vma(mm, lab.address(TOP - 3)) == mm.mmap
    lab.check_exit(mm)


def test_a_locked_stack_is_counted_and_filled_where_the_kernel_reaches(lab: Any) -> None:
    mm = stack(lab)
    assert lab.kernel.sys_mlock(mm, lab.address(TOP - 1), PAGE_SIZE) == 0

    assert lab.kernel.find_extend_vma(mm, lab.address(TOP - 4)) == mm.mmap

    assert mm.locked_vm == 4
    assert all(lab.page_of(mm, page).mlocked for page in range(TOP - 4, TOP))
    assert lab.layout(mm) == [(TOP - 4, 4, RW | VM_GROWSDOWN | VM_LOCKED)]
    lab.kernel.rlimit_stack = 4 * PAGE_SIZE
    assert lab.kernel.find_extend_vma(mm, lab.address(TOP - 5)) is None
    lab.check_exit(mm)


def test_where_stacks_grow_up(lab: Any) -> None:
    mm = stack(lab, flags=VM_GROWSUP)
    grow = lab.kernel.expand_upwards

    assert lab.failing(1, lambda: grow(mm.mmap, lab.address(TOP))) == (-ENOMEM, True)
    assert grow(mm.mmap, lab.address(TOP + 2)) == 0
    assert grow(mm.mmap, lab.address(TOP)) == 0  # another came first
    assert lab.layout(mm) == [(TOP - 1, 4, RW | VM_GROWSUP)]
    lab.kernel.rlimit_stack = 4 * PAGE_SIZE
    assert grow(mm.mmap, lab.address(TOP + 3)) == -ENOMEM
    lab.check_exit(mm)


# exec's temporary stack


def new_stack(lab: Any, pages: int = 3) -> LinuxBinprm:
    """A new mm whose stack has some pages of arguments, the highest filled with 1."""
    bprm = LinuxBinprm(lab.kernel.mm_alloc())
    assert lab.kernel._bprm_mm_init(bprm) == 0
    for number in range(pages):
        page = lab.kernel.get_arg_page(bprm, bprm.p - number * PAGE_SIZE)
        page.contents = fill(number + 1)
        lab.kernel.put_page(page)
    return bprm


def arguments(lab: Any, bprm: LinuxBinprm, pages: int = 3) -> list[Any]:
    top = bprm.p & PAGE_MASK
    return [lab.kernel.user_read(bprm.mm, top - number * PAGE_SIZE) for number in range(pages)]


def migrate(lab: Any) -> list[int]:
    """What comes of migrating each page: how many could not be."""
    found = []
    for page in lab.kernel.page_cachep.live():
        lab.kernel.isolate_lru_page(page)
        found.append(lab.kernel.migrate_pages([page], lambda _: lab.kernel.alloc_page()))
    return found


@pytest.mark.parametrize("shift", [1, 2, 100], ids=lambda shift: f"by-{shift}-pages")
@pytest.mark.parametrize("kernel", ["v2.6.34", "v2.6.35", "v2.6.38"])
def test_the_arguments_move_with_the_stack(new_lab: Any, kernel: str, shift: int) -> None:
    with new_lab(KERNELS[kernel]) as lab:
        bprm = new_stack(lab)
        top = STACK_TOP_MAX - shift * PAGE_SIZE

        assert lab.kernel.setup_arg_pages(bprm, top) == 0

        (vma,) = lab.vmas(bprm.mm)
        assert vma.vm_flags == VM_STACK_FLAGS
        assert (vma.vm_start, vma.vm_end) == (top - 3 * PAGE_SIZE - STACK_EXPAND, top)
        assert arguments(lab, bprm) == [fill(1), fill(2), fill(3)]
        lab.check_rmap(bprm.mm)
        lab.check_exit(bprm.mm)


@pytest.mark.parametrize(
    ("kernel", "moved"), [("v2.6.34", True), ("3fe2011ff51e", True), ("a8bef8ff6ea1", False)]
)
def test_a_temporary_stack_does_not_migrate_since_a8bef8ff6ea1(
    new_lab: Any, kernel: str, moved: bool
) -> None:
    with new_lab(KERNELS[kernel]) as lab:
        bprm = new_stack(lab)

        assert migrate(lab) == [0 if moved else 1] * 3
        assert lab.kernel.setup_arg_pages(bprm, STACK_TOP_MAX - 9 * PAGE_SIZE) == 0
        assert migrate(lab) == [0] * 3

        assert arguments(lab, bprm) == [fill(1), fill(2), fill(3)]
        lab.check_exit(bprm.mm)


@pytest.mark.parametrize("kernel", ["v2.6.34", "v2.6.38"])
def test_whichever_allocation_of_exec_fails_nothing_is_left(new_lab: Any, kernel: str) -> None:
    with new_lab(KERNELS[kernel]) as lab:
        ret, number = -ENOMEM, 0
        while ret:
            number += 1
            bprm = new_stack(lab)
            call = partial(lab.kernel.setup_arg_pages, bprm, STACK_TOP_MAX - 9 * PAGE_SIZE)
            ret, _ = lab.failing(number, call)
            assert ret in (0, -ENOMEM)
            lab.check_exit(bprm.mm)
        assert number == 4  # three tables


def test_no_stack_without_memory_or_where_something_is(lab: Any) -> None:
    bprm = LinuxBinprm(lab.kernel.mm_alloc())

    assert lab.failing(1, lambda: lab.kernel._bprm_mm_init(bprm)) == (-ENOMEM, True)
    assert lab.kernel._bprm_mm_init(bprm) == 0
    assert lab.kernel._bprm_mm_init(bprm) == -ENOMEM
    assert lab.failing(1, lambda: lab.kernel.get_arg_page(bprm, bprm.p)) == (None, True)
    below = STACK_TOP_MAX - 8 * PAGE_SIZE
    assert lab.kernel.sys_mmap(bprm.mm, below, PAGE_SIZE, RW) == below
    assert lab.kernel.setup_arg_pages(bprm, below + PAGE_SIZE) == -EFAULT
    lab.check_exit(bprm.mm)
