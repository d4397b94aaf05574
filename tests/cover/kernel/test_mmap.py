"""Mapping, protecting and advising, against a model that knows pages only."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rmaplab.kernel.contents import fill
from rmaplab.kernel.madvise import (
    MADV_DOFORK,
    MADV_DONTFORK,
    MADV_DONTNEED,
    MADV_MERGEABLE,
    MADV_NORMAL,
    MADV_RANDOM,
    MADV_SEQUENTIAL,
    MADV_UNMERGEABLE,
)
from rmaplab.kernel.mm_types import (
    EAGAIN,
    EINVAL,
    ENOMEM,
    PAGE_SIZE,
    TASK_SIZE,
    VM_DONTCOPY,
    VM_IO,
    VM_MERGEABLE,
    VM_RAND_READ,
    VM_SEQ_READ,
)
from rmaplab.kernel.mmap import VM_ACCOUNT

NONE, R, RW = 0, 1, 3

# What the model of pages says: VMAs without pages are the longest runs of equal flags.

Model = dict[int, int]

PAGES = 8
ranges = st.tuples(st.integers(0, PAGES - 1), st.integers(1, PAGES)).map(
    lambda r: (r[0], min(r[1], PAGES - r[0]))
)
prots = st.sampled_from([NONE, R, RW])
operations = st.lists(
    st.one_of(
        st.tuples(st.just("mmap"), ranges, prots),
        st.tuples(st.just("munmap"), ranges, st.none()),
        st.tuples(st.just("mprotect"), ranges, prots),
        st.tuples(st.just("dontfork"), ranges, st.sampled_from([MADV_DONTFORK, MADV_DOFORK])),
        st.tuples(st.just("write"), ranges, st.none()),
    ),
    max_size=20,
)


def with_prot(flags: int, prot: int) -> int:
    account = VM_ACCOUNT if prot & 2 or flags & VM_ACCOUNT else 0
    return flags & ~(7 | VM_ACCOUNT) | prot | account


def model_step(model: Model, operation: str, pages: range, argument: Any) -> int:
    """Do to the model what the kernel should do, and say what it should return."""
    if operation == "mmap":
        model.update(dict.fromkeys(pages, with_prot(0, argument)))
    if operation == "munmap":
        for page in pages:
            model.pop(page, None)
    if operation == "mprotect":
        for page in pages:
            if page not in model:
                return -ENOMEM
            model[page] = with_prot(model[page], argument)
    if operation == "dontfork":
        for page in set(pages) & set(model):
            flags = model[page] & ~VM_DONTCOPY
            model[page] = flags | VM_DONTCOPY if argument == MADV_DONTFORK else flags
        return 0 if set(pages) <= set(model) else -ENOMEM
    return 0


def kernel_step(lab: Any, mm: Any, operation: str, start: int, count: int, arg: Any) -> int:
    """Let the kernel do it."""
    if operation == "mmap":
        return 0 if lab.mmap(mm, start, count, arg) == lab.address(start) else -EINVAL
    if operation == "munmap":
        return lab.munmap(mm, start, count)
    if operation == "mprotect":
        return lab.mprotect(mm, start, count, arg)
    return lab.madvise(mm, start, count, arg)


def runs(model: Model) -> list[tuple[range, int]]:
    """The longest runs of equal flags, in order."""
    found: list[tuple[range, int]] = []
    for page in sorted(model):
        if found and found[-1][0].stop == page and found[-1][1] == model[page]:
            found[-1] = (range(found[-1][0].start, page + 1), model[page])
        else:
            found.append((range(page, page + 1), model[page]))
    return found


@settings(deadline=None)
@given(operations)
@example(
    [
        ("mmap", (0, 8), RW),
        ("mprotect", (2, 3), R),
        ("munmap", (3, 3), None),
        ("mmap", (3, 2), R),
        ("mprotect", (1, 5), RW),
    ]
)
def test_vmas_without_pages_are_the_longest_runs_of_equal_flags(
    new_lab: Any, steps: list[Any]
) -> None:
    model: Model = {}
    with new_lab() as lab:
        mm = lab.process(0)
        for operation, (start, count), argument in steps:
            if operation == "write":
                continue
            expected = model_step(model, operation, range(start, start + count), argument)
            assert kernel_step(lab, mm, operation, start, count, argument) == expected
            found = [(lab.pages(vma), vma.vm_flags) for vma in lab.vmas(mm)]
            assert found == runs(model)
        lab.check_exit(mm)


@settings(deadline=None)
@given(operations)
def test_vmas_with_pages_have_each_pages_flags_and_the_reverse_map_finds_all(
    new_lab: Any, steps: list[Any]
) -> None:
    model: Model = {}
    words: dict[int, int] = {}
    with new_lab() as lab:
        mm = lab.process(0)
        for word, (operation, (start, count), argument) in enumerate(steps, 1):
            pages = range(start, start + count)
            if operation == "write":
                words.update({page: word for page in pages if lab.write(mm, page, word) == 0})
            else:
                expected = model_step(model, operation, pages, argument)
                assert kernel_step(lab, mm, operation, start, count, argument) == expected
                if operation in ("mmap", "munmap"):
                    words = {page: words[page] for page in words if page not in pages}
            check_pages(lab, mm, model, words)
        lab.check_exit(mm)


def check_pages(lab: Any, mm: Any, model: Model, words: dict[int, int]) -> None:
    """The flags of each page, where its contents can be found from, and the contents."""
    flags = {page: vma.vm_flags for vma in lab.vmas(mm) for page in lab.pages(vma)}
    assert flags == model
    lab.check_rmap(mm)
    for page, word in words.items():
        if flags[page] & 7:
            assert lab.read(mm, page) == fill(word)


def test_the_number_of_vmas_is_limited(lab: Any) -> None:
    lab.kernel.sysctl_max_map_count = 2
    mm = lab.kernel.mm_alloc()
    lab.mmap(mm, 0, 3)

    assert lab.munmap(mm, 1, 1) == 0  # just so many that it reaches the limit
    lab.mmap(mm, 10, 3)
    assert lab.mmap(mm, 20, 3) == -ENOMEM
    assert lab.munmap(mm, 11, 1) == -ENOMEM
    assert lab.mprotect(mm, 10, 1, R) == -ENOMEM
    assert lab.madvise(mm, 10, 1, MADV_DONTFORK) == -EAGAIN
    assert lab.munmap(mm, 12, 1) == 0
    assert lab.layout(mm) == [(0, 1, RW), (2, 1, RW), (10, 2, RW)]


# Bad arguments


def test_bad_arguments(lab: Any) -> None:
    mm = lab.kernel.mm_alloc()
    lab.mmap(mm, 0, 2)

    assert lab.kernel.sys_mmap(mm, lab.address(4) + 1, PAGE_SIZE, RW) == -EINVAL
    assert lab.kernel.sys_mmap(mm, lab.address(4), 0, RW) == -EINVAL
    assert lab.kernel.sys_mmap(mm, TASK_SIZE, PAGE_SIZE, RW) == -ENOMEM
    assert lab.kernel.sys_mmap(mm, lab.address(1), PAGE_SIZE, RW) == -ENOMEM
    assert lab.kernel.sys_munmap(mm, lab.address(0) + 1, PAGE_SIZE) == -EINVAL
    assert lab.kernel.sys_munmap(mm, lab.address(0), 0) == -EINVAL
    assert lab.kernel.sys_munmap(mm, TASK_SIZE, PAGE_SIZE) == -EINVAL
    assert lab.kernel.sys_mprotect(mm, lab.address(0) + 1, PAGE_SIZE, R) == -EINVAL
    assert lab.kernel.sys_mprotect(mm, lab.address(0), 0, R) == 0
    assert lab.mprotect(mm, 1, 2, R) == -ENOMEM
    assert lab.mprotect(mm, 5, 1, R) == -ENOMEM
    assert lab.kernel.sys_madvise(mm, lab.address(0) + 1, PAGE_SIZE, MADV_DONTNEED) == -EINVAL
    assert lab.kernel.sys_madvise(mm, lab.address(0), 0, MADV_DONTNEED) == 0
    assert lab.madvise(mm, 0, 1, 99) == -EINVAL
    assert lab.madvise(mm, -4, 2, MADV_DONTNEED) == -ENOMEM
    assert lab.layout(mm) == [(0, 1, RW), (1, 1, R)]
    assert not mm.mmap_sem.is_locked()


def test_do_brk_grows_the_heap(lab: Any) -> None:
    mm = lab.kernel.mm_alloc()

    for page in (0, 1, 2):
        assert lab.kernel.do_brk(mm, lab.address(page), PAGE_SIZE - 7) == lab.address(page)
    assert lab.kernel.do_brk(mm, lab.address(3), 0) == lab.address(3)
    assert lab.kernel.do_brk(mm, lab.address(3) + 1, PAGE_SIZE) == -EINVAL

    assert lab.layout(mm) == [(0, 3, RW)]


def test_mappings_of_a_file_merge_only_where_their_offsets_go_on(lab: Any) -> None:
    mm = lab.kernel.mm_alloc()

    lab.kernel.do_mmap(mm, lab.address(0), PAGE_SIZE, RW, file="libc.so", pgoff=7)
    lab.kernel.do_mmap(mm, lab.address(1), PAGE_SIZE, RW, file="libc.so", pgoff=8)
    lab.kernel.do_mmap(mm, lab.address(2), PAGE_SIZE, RW, file="libc.so", pgoff=8)
    lab.kernel.do_mmap(mm, lab.address(3), PAGE_SIZE, RW, file="ld.so", pgoff=9)
    lab.mmap(mm, 4, 1)

    assert lab.layout(mm) == [(0, 2, RW), (2, 1, RW), (3, 1, RW), (4, 1, RW)]
    assert lab.munmap(mm, 0, 1) == 0
    assert mm.mmap.vm_pgoff == 8


def test_special_areas_never_merge(lab: Any) -> None:
    mm = lab.kernel.mm_alloc()
    lab.mmap(mm, 0, 2)
    mm.mmap.vm_flags |= VM_IO

    assert lab.madvise(mm, 0, 1, MADV_DONTFORK) == 0
    assert lab.madvise(mm, 1, 1, MADV_DONTFORK) == 0
    assert lab.madvise(mm, 1, 1, MADV_DOFORK) == -EINVAL
    assert lab.layout(mm) == [(0, 1, RW | VM_IO | VM_DONTCOPY), (1, 1, RW | VM_IO | VM_DONTCOPY)]


def test_advice_changes_flags_and_the_vmas_follow(lab: Any) -> None:
    mm = lab.kernel.mm_alloc()
    lab.mmap(mm, 0, 4)

    lab.madvise(mm, 1, 2, MADV_RANDOM)
    assert lab.layout(mm) == [(0, 1, RW), (1, 2, RW | VM_RAND_READ), (3, 1, RW)]
    lab.madvise(mm, 2, 2, MADV_SEQUENTIAL)
    assert lab.layout(mm)[1:] == [(1, 1, RW | VM_RAND_READ), (2, 2, RW | VM_SEQ_READ)]
    lab.madvise(mm, 0, 4, MADV_NORMAL)
    assert lab.layout(mm) == [(0, 4, RW)]
    lab.madvise(mm, 3, 1, MADV_MERGEABLE)
    assert lab.layout(mm) == [(0, 3, RW), (3, 1, RW | VM_MERGEABLE)]
    lab.madvise(mm, 0, 4, MADV_UNMERGEABLE)
    assert lab.layout(mm) == [(0, 4, RW)]
    lab.check_exit(mm)


def test_without_ksm_its_advice_is_unknown(new_lab: Any) -> None:
    with new_lab(CONFIG_KSM=False) as lab:
        mm = lab.process()
        assert lab.madvise(mm, 0, 1, MADV_MERGEABLE) == -EINVAL
