"""Patches of the user's own that break the rules of locks: what a check of them prints."""

from __future__ import annotations

from typing import Any

from rmaplab.checker.options import Options
from rmaplab.checker.verdict import Result
from rmaplab.history import V2_6_38
from rmaplab.litmus.reader import read_text
from rmaplab.machine import spin_lock, spin_unlock
from rmaplab.report.violation import render_violation
from rmaplab.runner.checks import plan, run_check
from rmaplab.runner.choice import NamedKernel

WRITE = "litmus x\nsetup\n A: mmap 0\nCPU0\n A: write 0 = 1\nend alive A\n"


class Inverts(V2_6_38):
    """Takes the anon_vma's lock under page_table_lock; everybody else does it the other way."""

    def anon_vma_prepare(self, vma: Any) -> int:
        ret = super().anon_vma_prepare(vma)
        spin_lock(vma.vm_mm.page_table_lock)
        self.anon_vma_lock(vma.anon_vma)
        self.anon_vma_unlock(vma.anon_vma)
        spin_unlock(vma.vm_mm.page_table_lock)
        return ret


class Sleeps(V2_6_38):
    """Allocates with page_table_lock held."""

    def anon_vma_prepare(self, vma: Any) -> int:
        spin_lock(vma.vm_mm.page_table_lock)
        ret = super().anon_vma_prepare(vma)
        spin_unlock(vma.vm_mm.page_table_lock)
        return ret


class Forgets(V2_6_38):
    """Leaves the lock of KSM's list taken."""

    def mmdrop(self, mm: Any) -> None:
        super().mmdrop(mm)
        spin_lock(self.ksm.ksm_mmlist_lock)


class Recurses(V2_6_38):
    """Takes page_table_lock twice."""

    def anon_vma_prepare(self, vma: Any) -> int:
        spin_lock(vma.vm_mm.page_table_lock)
        spin_lock(vma.vm_mm.page_table_lock)
        return 0


def check(kernel: type[V2_6_38], text: str = WRITE) -> Result:
    (todo,) = plan([read_text(text)], [NamedKernel(kernel.__name__, kernel)])
    return run_check(todo, Options())


def report(kernel: type[V2_6_38], text: str = WRITE) -> list[str]:
    return render_violation(check(kernel, text)).splitlines()


def test_an_inversion_is_told_as_lockdep_tells_it_though_one_task_runs() -> None:
    lines = report(Inverts)

    assert lines[0] == "WARNING: possible circular locking dependency detected"
    assert "A/CPU0 is trying to acquire lock:" in lines
    at = lines.index("but task is already holding lock:")
    assert "&mm->page_table_lock), at: anon_vma_prepare" in lines[at + 1]
    assert "which lock already depends on the new lock." in lines
    at = lines.index(" Possible unsafe locking scenario:")
    assert lines[at + 4 : at + 10] == [
        "  lock(&mm->page_table_lock);",
        "                               lock(&anon_vma->lock);",
        "                               lock(&mm->page_table_lock);",
        "  lock(&anon_vma->lock);",
        "",
        " *** DEADLOCK ***",
    ]


def test_one_inversion_is_one_cause() -> None:
    outcome = check(Inverts).outcome

    assert [violation.kind for violation in outcome.violations] == ["lock-order"]
    assert outcome.complete


def test_what_sleeps_under_a_spinlock_says_where_it_was_taken() -> None:
    lines = report(Sleeps)

    assert lines[0].startswith("BUG: sleeping function called from invalid context at kernel/rmap/")
    at = lines.index("2 locks held by A/CPU0:")
    assert lines[at + 1].startswith(" #0: mm_struct#1.mmap_sem, at: ")
    assert lines[at + 2].startswith(" #1: mm_struct#1.page_table_lock, at: anon_vma_prepare ")
    assert lines[at + 3] == "CPU: 0 Comm: A Not tainted Sleeps"


def test_a_lock_that_is_never_released_is_told_at_the_return() -> None:
    lines = report(Forgets, "litmus x\nCPU0\n A: exit\n")

    assert lines[:2] == [
        "WARNING: lock held when returning to user space!",
        "A/CPU0 is leaving the kernel with locks still held!",
    ]
    at = lines.index("1 lock held by A/CPU0:")
    assert lines[at + 1].startswith(" #0: ksm.ksm_mmlist_lock, at: mmdrop ")


def test_who_takes_a_lock_twice_recurses() -> None:
    lines = report(Recurses)

    assert lines[0] == "WARNING: possible recursive locking detected"
    assert "A/CPU0 is trying to acquire lock:" in lines
