"""How an anon_vma is counted, locked and listed from v2.6.39 to v3.18."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from known_bugs import tolerated
from random_calls import Run, litmuses

from rmaplab.checker.check import check
from rmaplab.history import KERNELS
from rmaplab.kernel.contents import fill
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.mm_types import ENOMEM, PAGE_SIZE, VM_GROWSDOWN, VM_READ, VM_WRITE
from rmaplab.litmus.model import Litmus
from rmaplab.litmus.shipped import shipped
from rmaplab.machine import atomic_dec, atomic_read, down_read_trylock, rb_items, up_read
from rmaplab.machine.context import RUNNING, Context, current
from rmaplab.machine.direct import DirectMachine
from rmaplab.runner.scenario import build

BASE = 0x200000
NEXT = BASE + PAGE_SIZE


def booted(name: str, kernel: type[Kernel] | None = None) -> Any:
    """A kernel, with the test as its task until the end."""
    return (kernel or KERNELS[name])(DirectMachine())


def process(kernel: Any, pages: int = 1) -> Any:
    mm = kernel.mm_alloc()
    kernel.sys_mmap(mm, BASE, pages * PAGE_SIZE, VM_READ | VM_WRITE)
    for number in range(pages):
        kernel.user_write(mm, BASE + number * PAGE_SIZE, lambda _: fill(1))
    return mm


def vma_of(kernel: Any, mm: Any, address: int = BASE) -> Any:
    return kernel.find_vma(mm, address)


def anon_vma_of(kernel: Any, mm: Any, address: int = BASE) -> Any:
    return vma_of(kernel, mm, address).anon_vma


def page_of(kernel: Any, mm: Any) -> Any:
    page = kernel.follow_page(vma_of(kernel, mm), BASE)
    kernel.put_page(page)
    return page


def counts(kernel: Any, *mms: Any) -> list[int]:
    return [atomic_read(anon_vma_of(kernel, mm).refcount) for mm in mms]


# Counts


def test_the_vmas_of_an_anon_vma_hold_one_reference_and_each_child_one() -> None:
    kernel = booted("v2.6.39")
    mm = process(kernel)
    assert counts(kernel, mm) == [1]
    child, other = kernel.dup_mm(mm), kernel.dup_mm(mm)
    assert counts(kernel, mm, child, other) == [3, 1, 1]
    kernel.mmput(child)
    assert counts(kernel, mm, other) == [2, 1]
    kernel.mmput(mm)
    kernel.mmput(other)
    assert kernel.anon_vma_cachep.live() == ()


@pytest.mark.parametrize(("name", "counted"), [("v2.6.38", 0), ("83813267c699", 1)])
def test_every_configuration_counts(name: str, counted: int) -> None:
    kernel = KERNELS[name](DirectMachine(), CONFIG_KSM=False, CONFIG_MIGRATION=False)
    anon_vma = anon_vma_of(kernel, process(kernel))
    kernel.get_anon_vma(anon_vma)
    assert atomic_read(anon_vma.external_refcount) == counted
    kernel.drop_anon_vma(anon_vma)
    assert atomic_read(anon_vma.external_refcount) == 0


@pytest.mark.parametrize("name", ["746b18d421da", "7f39dda9d86f"])
def test_a_reference_is_had_while_the_page_is_mapped(name: str) -> None:
    kernel = booted(name)
    mm = process(kernel)
    page = page_of(kernel, mm)
    kernel.get_page(page)
    assert kernel.page_get_anon_vma(page) == anon_vma_of(kernel, mm)
    assert counts(kernel, mm) == [2]
    kernel.put_anon_vma(anon_vma_of(kernel, mm))
    kernel.sys_munmap(mm, BASE, PAGE_SIZE)
    assert kernel.page_get_anon_vma(page) is None
    assert (current().rcu, current().held) == (0, [])


@pytest.mark.parametrize("name", ["746b18d421da", "v3.8", "7f39dda9d86f"])
def test_a_page_unmapped_after_the_first_look_gives_its_reference_back(name: str) -> None:
    class Late(KERNELS[name]):  # type: ignore[misc]
        def page_mapped(self, page: Any) -> bool:
            looks.append(page)
            return len(looks) == 1

    kernel = booted(name, Late)
    mm = process(kernel)
    page = page_of(kernel, mm)
    looks: list[Any] = []
    assert kernel.page_get_anon_vma(page) is None
    assert counts(kernel, mm) == [1]
    assert current().rcu == 0


@pytest.mark.parametrize(
    ("name", "meanwhile"), [("746b18d421da", 2), ("88c22088bf23", 1), ("v3.0", 1), ("v3.8", 1)]
)
def test_the_fast_path_takes_no_reference(name: str, meanwhile: int) -> None:
    kernel = booted(name)
    mm = process(kernel)
    anon_vma = kernel.page_lock_anon_vma(page_of(kernel, mm))
    assert anon_vma == anon_vma_of(kernel, mm) and len(current().held) == 1
    assert (counts(kernel, mm), current().rcu) == ([meanwhile], 0)
    kernel.page_unlock_anon_vma(anon_vma)
    assert (counts(kernel, mm), current().held) == ([1], [])


def slow(name: str, lock_meets: Any) -> Any:
    """A kernel in which somebody else has locked the root when it is tried."""

    class Slow(KERNELS[name]):  # type: ignore[misc]
        def page_trylock_anon_vma(self, page: Any, anon_vma: Any) -> tuple[bool, Any]:
            return False, anon_vma

        def anon_vma_lock_read(self, anon_vma: Any) -> None:
            lock_meets(anon_vma)
            super().anon_vma_lock_read(anon_vma)

    return booted(name, Slow)


@pytest.mark.parametrize("name", ["v3.0", "v3.18"])
def test_the_slow_path_sleeps_with_a_reference_and_outside_of_rcu(name: str) -> None:
    seen: list[Any] = []
    kernel = slow(name, lambda each: seen.append((atomic_read(each.refcount), current().rcu)))
    mm = process(kernel)
    anon_vma = kernel.page_lock_anon_vma(page_of(kernel, mm))
    assert seen == [(2, 0)]
    assert (counts(kernel, mm), len(current().held)) == ([1], 1)
    kernel.page_unlock_anon_vma(anon_vma)


@pytest.mark.parametrize("name", ["v3.0", "v3.18"])
def test_who_is_left_with_the_last_reference_frees_and_gives_up(name: str) -> None:
    kernel = slow(name, lambda each: atomic_dec(each.refcount))
    mm = process(kernel)
    assert kernel.page_lock_anon_vma(page_of(kernel, mm)) is None
    assert (kernel.anon_vma_cachep.live(), current().held) == ((), [])


@pytest.mark.parametrize("name", ["88c22088bf23", "eee0f252c653", "v3.8"])
def test_a_page_that_is_not_its_own_any_more_is_unlocked(name: str) -> None:
    kernel = booted(name)
    mm = process(kernel)
    page, anon_vma = page_of(kernel, mm), anon_vma_of(kernel, mm)
    anon_vma.refcount.set(0)
    page._mapcount.set(-1)
    assert kernel.page_trylock_anon_vma(page, anon_vma) == (True, None)
    assert current().held == []


# One lock for a chain


@pytest.mark.parametrize(("name", "forked", "left"), [("eee0f252c653", 3, 3), ("v3.0", 2, 1)])
def test_how_often_a_family_is_locked(name: str, forked: int, left: int) -> None:
    """A grandchild's VMA has three anon_vmas: two copied, one of its own."""

    class Counting(KERNELS[name]):  # type: ignore[misc]
        def root_lock(self, root: Any) -> None:
            locked.append(root)
            super().root_lock(root)

    locked: list[Any] = []
    kernel = booted(name, Counting)
    child = kernel.dup_mm(process(kernel))
    locked.clear()
    grandchild = kernel.dup_mm(child)
    assert len(locked) == forked
    locked.clear()
    kernel.mmput(grandchild)
    assert len(locked) == left


@pytest.mark.parametrize("name", ["bb4aa39676f7", "dd34739c03f2"])
def test_a_chain_that_cannot_be_copied_leaves_nothing_locked(name: str) -> None:
    kernel = booted(name)
    child = kernel.dup_mm(process(kernel))
    before = len(kernel.anon_vma_chain_cachep.live())
    source = vma_of(kernel, child)
    new = kernel.vm_area_dup(source)
    RUNNING.context.fail_at = RUNNING.context.allocations + 2
    assert kernel.anon_vma_clone(new, source) == -ENOMEM
    assert current().held == []
    assert len(kernel.anon_vma_chain_cachep.live()) == before


# What joins what


@pytest.mark.parametrize(("name", "joined"), [("v2.6.39", True), ("965f55dea0e3", False)])
def test_a_vma_without_pages_joins_the_chain_of_a_fork(name: str, joined: bool) -> None:
    kernel = booted(name)
    mm = process(kernel)
    child = kernel.dup_mm(mm)
    for each in (mm, child):
        kernel.sys_mmap(each, NEXT, PAGE_SIZE, VM_READ | VM_WRITE)
    assert vma_of(kernel, child, NEXT) != vma_of(kernel, child) or joined
    assert (vma_of(kernel, child, NEXT) == vma_of(kernel, child)) is joined
    assert vma_of(kernel, mm, NEXT) == vma_of(kernel, mm)


@pytest.mark.parametrize(
    ("name", "locked"), [("dd34739c03f2", False), ("ca42b26ab8ee", True), ("v3.7", True)]
)
def test_the_next_vma_gives_way_under_its_lock(name: str, locked: bool) -> None:
    """mprotect moves the beginning of a VMA down, over one that has no anon_vma."""

    class Watched(KERNELS[name]):  # type: ignore[misc]
        def vma_adjust_range(self, vma: Any, next: Any, *rest: Any) -> None:
            held.append([lock.owner for lock in current().held if lock.field == "mutex"])
            super().vma_adjust_range(vma, next, *rest)

    held: list[list[Any]] = []
    kernel = booted(name, Watched)
    mm = kernel.mm_alloc()
    kernel.sys_mmap(mm, BASE, 4 * PAGE_SIZE, VM_READ | VM_WRITE)
    kernel.sys_mprotect(mm, BASE, 2 * PAGE_SIZE, VM_READ)
    kernel.user_write(mm, BASE + 2 * PAGE_SIZE, lambda _: fill(1))
    anon_vma = anon_vma_of(kernel, mm, BASE + 2 * PAGE_SIZE)
    held.clear()
    kernel.sys_mprotect(mm, NEXT, PAGE_SIZE, VM_READ | VM_WRITE)
    assert vma_of(kernel, mm, NEXT).vm_start == NEXT
    assert held == [[anon_vma] if locked else []]


# The tree


@pytest.mark.parametrize("name", ["v3.7", "v3.18"])
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(litmus=litmuses())
def test_a_tree_has_each_vma_once_in_the_order_of_its_pages(name: str, litmus: Litmus) -> None:
    run = Run(litmus, KERNELS[name], DirectMachine(), tolerated(name))
    for step in litmus.setup:
        if run.do(step) is not None:
            return
    kernel: Any = run.system.kernel
    found = []
    for anon_vma in kernel.anon_vma_cachep.live():
        entries = rb_items(anon_vma.rb_root)
        found += entries
        offsets = [avc.vma.vm_pgoff for avc in entries]
        assert offsets == sorted(offsets)
        assert all(avc.anon_vma is anon_vma for avc in entries)
    assert {id(avc) for avc in found} == {id(avc) for avc in kernel.anon_vma_chain_cachep.live()}
    assert len(found) == len({id(avc) for avc in found})


def test_a_walk_meets_only_the_vmas_that_reach_the_page() -> None:
    kernel = booted("v3.7")
    mm = process(kernel, 3)
    kernel.sys_mprotect(mm, NEXT, PAGE_SIZE, VM_READ)
    anon_vma, page = anon_vma_of(kernel, mm), page_of(kernel, mm)
    assert [avc.vma for avc in kernel.anon_vma_entries(anon_vma, page)] == [vma_of(kernel, mm)]
    assert [avc.vma.vm_start for avc in kernel.anon_vma_entries(anon_vma)] == [
        BASE, NEXT, NEXT + PAGE_SIZE,
    ]  # fmt: skip


def test_among_vmas_that_begin_alike_who_came_first_is_met_first() -> None:
    kernel = booted("v3.7")
    mm = process(kernel)
    children = [kernel.dup_mm(mm) for _ in range(3)]
    anon_vma = anon_vma_of(kernel, mm)
    found = [avc.vma.vm_mm for avc in kernel.anon_vma_entries(anon_vma)]
    assert found == [mm, *children]


@pytest.mark.parametrize(("name", "tables"), [("v3.7", False), ("4128997b5f0e", True)])
def test_a_stack_grows_under_the_lock_of_the_page_tables(name: str, tables: bool) -> None:
    class Watched(KERNELS[name]):  # type: ignore[misc]
        def anon_vma_interval_tree_insert(self, avc: Any, anon_vma: Any) -> None:
            held.append([lock.field for lock in current().held])
            super().anon_vma_interval_tree_insert(avc, anon_vma)

    held: list[list[str]] = []
    kernel = booted(name, Watched)
    mm = process(kernel)
    vma = vma_of(kernel, mm)
    vma.vm_flags |= VM_GROWSDOWN
    held.clear()
    assert kernel.expand_stack(vma, BASE - PAGE_SIZE) == 0
    assert (vma.vm_start, vma.vm_pgoff) == (BASE - PAGE_SIZE, (BASE - PAGE_SIZE) >> 12)
    (locks,) = held
    assert ("page_table_lock" in locks) is tables and len(locks) == 1 + tables


# Readers


@pytest.mark.parametrize(("name", "shared"), [("5a505085f043", False), ("4fc3f1d66b1e", True)])
def test_a_walk_shares_the_lock(name: str, shared: bool) -> None:
    kernel = booted(name)
    mm = process(kernel)
    anon_vma = kernel.page_lock_anon_vma(page_of(kernel, mm))
    mine, RUNNING.context = RUNNING.context, Context(kernel.machine, 1, "other")
    assert down_read_trylock(anon_vma.rwsem) is shared
    if shared:
        up_read(anon_vma.rwsem)
    RUNNING.context = mine
    kernel.page_unlock_anon_vma(anon_vma)
    assert current().held == []


@pytest.mark.parametrize(("name", "lock"), [("4128997b5f0e", "alone"), ("v3.8", "shared")])
def test_how_the_walk_of_a_merged_page_locks(name: str, lock: str) -> None:
    kernel = booted(name)
    anon_vma = anon_vma_of(kernel, process(kernel))
    kernel.ksm_walk_lock(anon_vma)
    writer, readers = anon_vma.rwsem.state
    assert (writer is None, bool(readers)) == (lock == "shared", lock == "shared")
    kernel.ksm_walk_unlock(anon_vma)
    assert current().held == []


# What a later commit cured


@pytest.mark.parametrize(
    ("litmus", "buggy", "verdict", "cured"),
    [
        ("unlock-of-another-root", "88c22088bf23", "bad-unlock", "eee0f252c653"),
        ("recycled-root-with-pinned-child", "v3.8", "use-after-free", "624483f3ea82"),
        ("split-without-memory", "624483f3ea82", "bug-on", "c4ea95d7cd08"),
    ],
)
def test_what_a_commit_cured(litmus: str, buggy: str, verdict: str, cured: str) -> None:
    (found,) = (each for each in shipped() if each.name == litmus)
    assert check(build(found, KERNELS[buggy])).verdict == verdict
    assert check(build(found, KERNELS[cured])).verdict == "clean"
