"""How long an anon_vma lives in each kernel: what every commit of the history changed.

The outcomes in `TABLE` come from a model in which only counts and lists were kept, made before
this implementation and by another hand.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from rmaplab.history import KERNELS
from rmaplab.history.lookup import in_range
from rmaplab.kernel.contents import fill
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.mm_types import PAGE_SIZE, VM_READ, VM_WRITE
from rmaplab.machine import KernelStateError
from rmaplab.machine.direct import DirectMachine

BASE = 0x200000


class System:
    """A kernel in which a test does what the letters of the table do."""

    def __init__(
        self, name: str, allow: frozenset[str] = frozenset(), kernel: type[Kernel] | None = None
    ) -> None:
        self.machine = DirectMachine(allow)
        self.kernel = (kernel or KERNELS[name])(self.machine)

    def start(self) -> Any:
        """A process that has faulted one page in."""
        mm = self.kernel.mm_alloc()
        self.kernel.sys_mmap(mm, BASE, PAGE_SIZE, VM_READ | VM_WRITE)
        self.kernel.user_write(mm, BASE, lambda _: fill(1))
        return mm

    def anon_vma(self, mm: Any) -> Any:
        return self.kernel.find_vma(mm, BASE).anon_vma

    def pin(self, mm: Any) -> Any:
        """KSM holds the anon_vma of a process."""
        item = self.kernel.alloc_rmap_item()
        self.kernel.hold_anon_vma(item, self.anon_vma(mm))
        return item

    def live(self) -> int:
        return len(self.kernel.anon_vma_cachep.live())


def a_exits(system: System) -> None:
    system.kernel.mmput(system.start())


def a_forks_c(system: System) -> None:
    mm = system.start()
    child = system.kernel.dup_mm(mm)
    system.kernel.mmput(mm)
    system.kernel.mmput(child)


def root_is_pinned(system: System) -> None:
    mm = system.start()
    item = system.pin(mm)
    system.kernel.mmput(mm)
    system.kernel.ksm_drop_anon_vma(item)


def child_is_pinned(system: System) -> None:
    mm = system.start()
    child = system.kernel.dup_mm(mm)
    item = system.pin(child)
    system.kernel.mmput(mm)
    system.kernel.mmput(child)
    system.kernel.ksm_drop_anon_vma(item)


def after(first: Callable[[System], None], *rest: Callable[[System], None]) -> Any:
    def both(system: System) -> None:
        for step in (first, *rest):
            step(system)

    return both


USED = "use-after-free"
OUTCOMES = ("root-lock", "seed-v2", "76545066c852")
#: What is complained of (None: nothing) and how many anon_vmas are left, in each of OUTCOMES, when
#: a count below zero passes unnoticed as it did in the kernel.
TABLE = {
    "A exits": (a_exits, (None, 0), (None, 0), (None, 0)),
    "B exits after A": (after(a_exits, a_exits), (None, 0), (None, 1), (None, 0)),
    "KSM pins B's root": (after(a_exits, root_is_pinned), (None, 0), (USED, None), (None, 0)),
    "KSM pins C's own": (child_is_pinned, (USED, None), (None, 0), (None, 0)),
    "C's own, after A": (
        after(a_exits, child_is_pinned), (USED, None), (USED, None), (None, 0),
    ),
    "A forks C": (a_forks_c, (None, 0), (None, 0), (None, 0)),
    "A forks C, after A": (after(a_exits, a_forks_c), (None, 0), (None, 1), (None, 0)),
}  # fmt: skip


@pytest.mark.parametrize("scenario", TABLE)
@pytest.mark.parametrize("name", OUTCOMES)
def test_the_table_of_the_seed(scenario: str, name: str) -> None:
    run, *outcomes = TABLE[scenario]
    complaint, left = outcomes[OUTCOMES.index(name)]
    system = System(name, allow=frozenset({"refcount-underflow"}))
    with system.machine.running(cpu=0, task="A"):
        if complaint is None:
            run(system)
            assert system.live() == left
        else:
            with pytest.raises(KernelStateError) as caught:
                run(system)
            assert caught.value.kind == complaint


@pytest.mark.parametrize("scenario", TABLE)
@pytest.mark.parametrize("name", [name for name in KERNELS if name >= "v2.6.36"])
def test_a_released_kernel_passes_the_whole_table(scenario: str, name: str) -> None:
    """But for the look at a freed root that 624483f3ea82 took out."""
    system = System(name)
    pinned = scenario in ("KSM pins C's own", "C's own, after A")
    with system.machine.running(cpu=0, task="A"):
        if pinned and in_range("88c22088bf23..7f39dda9d86f", name):
            with pytest.raises(KernelStateError, match="freed anon_vma") as caught:
                TABLE[scenario][0](system)
            assert caught.value.kind == USED
        else:
            TABLE[scenario][0](system)
            assert system.live() == 0


def test_the_seed_drops_a_reference_that_nobody_took() -> None:
    system = System("seed-v2")
    with (
        system.machine.running(cpu=0, task="A"),
        pytest.raises(KernelStateError, match="falls to -1") as caught,
    ):
        a_exits(system)

    assert caught.value.kind == "refcount-underflow"


def test_the_bug_checks_stop_a_drop_without_a_reference() -> None:
    system = System("44ab57a06ded")
    with system.machine.running(cpu=0, task="A"):
        anon_vma = system.anon_vma(system.start())
        with pytest.raises(KernelStateError, match="drop_anon_vma") as caught:
            system.kernel.drop_anon_vma(anon_vma)

    assert caught.value.kind == "bug-on"


def test_the_bug_checks_stop_a_drop_of_a_root_without_a_reference() -> None:
    system = System("44ab57a06ded")
    with system.machine.running(cpu=0, task="A"):
        mm = system.start()
        child = system.kernel.dup_mm(mm)
        item = system.pin(child)
        system.anon_vma(mm).external_refcount.set(0)
        system.kernel.mmput(child)
        with pytest.raises(KernelStateError, match="the root"):
            system.kernel.ksm_drop_anon_vma(item)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("ksm", [False, True])
@pytest.mark.parametrize("migration", [False, True])
def test_each_configuration_forks_and_exits(name: str, ksm: bool, migration: bool) -> None:
    """Without both the seed's patch is compiled out, and its mistake with it."""
    machine = DirectMachine()
    system = System(name)
    system.machine, system.kernel = machine, KERNELS[name](machine, ksm, migration)
    with machine.running(cpu=0, task="A"):
        if name == "seed-v2" and (ksm or migration):
            with pytest.raises(KernelStateError, match="falls to -1"):
                a_forks_c(system)
        else:
            a_forks_c(system)
            assert system.live() == 0


# Migration, with another CPU's work put in at a chosen place.


def intruded(name: str, place: str, before: bool) -> Any:
    """A kernel where the process exits on CPU 1 as CPU 0 enters, or leaves, a function."""
    base = KERNELS[name]

    def intrude(self: Any, *args: Any) -> Any:
        if before:
            interrupt()
        result = getattr(base, place)(self, *args)
        if not before:
            interrupt()
        return result

    def interrupt() -> None:
        mm, system.victim = system.victim, None
        if mm is not None:
            with system.machine.running(cpu=1, task="B"):
                system.kernel.mmput(mm)
            system.left_by_exit = system.live()

    system: Any = System(name, kernel=type("Intruded", (base,), {place: intrude}))
    system.victim = None
    return system


def migrate(system: Any) -> int:
    """Migrate the page of a process that exits meanwhile."""
    kernel = system.kernel
    with system.machine.running(cpu=0, task="A"):
        mm = system.start()
        page = kernel.follow_page(kernel.find_vma(mm, BASE), BASE)
        system.victim = mm
        result: int = kernel.migrate_pages([page], lambda _: kernel.alloc_page())
    return result


@pytest.mark.parametrize(
    ("name", "held"),
    [("v2.6.34", False), ("3f6c82728f4e", True), ("v2.6.35", True), ("v2.6.38", True)],
)
def test_the_anon_vma_of_a_page_on_its_way_is_held(name: str, held: bool) -> None:
    """3f6c82728f4e: the process exits while its page has no entries but those of migration."""
    system = intruded(name, "try_to_unmap", before=False)
    # Without a reference it is freed memory that RCU keeps; the direct machine allows none at all.
    with nullcontext() if held else pytest.raises(KernelStateError, match="freed anon_vma"):
        migrate(system)

    assert system.left_by_exit == int(held)
    assert system.live() == 0
    assert system.kernel.page_cachep.live() == () or not held


@pytest.mark.parametrize(
    ("name", "gives_up"), [("7f60c214fd3a", False), ("67b9509b2c68", True), ("v2.6.38", True)]
)
def test_an_unmapped_page_is_not_migrated(name: str, gives_up: bool) -> None:
    """67b9509b2c68: the process exits before its page is looked at."""
    system = intruded(name, "use_anon_vma", before=True)
    if gives_up:
        assert migrate(system) == 0  # in the next pass it is a page freed under us
        assert system.kernel.page_cachep.live() == ()
    else:
        with pytest.raises(KernelStateError) as caught:
            migrate(system)
        assert caught.value.kind == "use-after-free"


@pytest.mark.parametrize(
    ("name", "held"), [("v2.6.35", False), ("v2.6.36", False), ("v2.6.38", True)]
)
def test_nothing_comes_between_the_question_and_the_reference(name: str, held: bool) -> None:
    """1ce82b69e96c: the process exits after the page was found to be mapped."""
    system = intruded(name, "page_anon_vma", before=True)
    if held:
        migrate(system)
        assert system.live() == 0
    else:
        with pytest.raises(KernelStateError) as caught:
            migrate(system)
        assert caught.value.kind == "use-after-free"


@pytest.mark.parametrize("name", ["3f6c82728f4e", "v2.6.36"])
def test_migration_follows_the_null_anon_vma_of_a_ksm_page(name: str) -> None:
    kernel = KERNELS[name](DirectMachine())
    with kernel.machine.running(cpu=0, task="A"):
        page = kernel.alloc_page()
        kernel.set_page_stable_node(page, None)
        page._mapcount.set(0)
        kernel.get_page(page)
        with pytest.raises(AttributeError):
            kernel.unmap_and_move([page], lambda _: kernel.alloc_page(), page, False, True)


@pytest.mark.parametrize("name", ["3fe2011ff51e", "1ce82b69e96c"])
@pytest.mark.parametrize("remapped", [False, True])
def test_an_unmapped_page_of_the_swap_cache_is_not_mapped_again(name: str, remapped: bool) -> None:
    walked = []

    class Swapping(KERNELS[name]):  # type: ignore[misc]
        def __init__(self, machine: Any) -> None:
            super().__init__(machine, CONFIG_SWAP=True)

        def rmap_walk(self, page: Any, rmap_one: Any, arg: Any) -> int:
            walked.append(page)
            return super().rmap_walk(page, rmap_one, arg)

    system = System(name, kernel=Swapping)
    kernel = system.kernel
    with system.machine.running(cpu=0, task="A"):
        mm = system.start()
        page = kernel.follow_page(kernel.find_vma(mm, BASE), BASE)
        kernel.lock_page(page)
        assert kernel.add_to_swap(page)
        kernel.unlock_page(page)
        if not remapped:
            kernel.swap_duplicate(page.private)  # of a child that has it on the device only
            kernel.mmput(mm)
        kernel.migrate_pages([page], lambda _: kernel.alloc_page())

    assert bool(walked) == remapped
