"""KSM in v6.4: a process may have all of its memory merged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rmaplab.history.v6_4_vmas import Commit5e31275cc997
from rmaplab.kernel.ksm.control import VM_UNFIT
from rmaplab.kernel.mm_types import VM_MERGEABLE
from rmaplab.machine import down_write

MMF_VM_MERGE_ANY = 30


class Commitd7597f59d1d3(Commit5e31275cc997):
    """d7597f59d1d3 "mm: add new api to enable ksm per process".

    2023-04-21, v6.4.
    """

    def prctl_set_memory_merge(self, mm: Any, on: bool) -> int:
        """New: prctl(PR_SET_MEMORY_MERGE): 0 or an error."""
        down_write(mm.mmap_sem)
        error = self.ksm_enable_merge_any(mm) if on else self.ksm_disable_merge_any(mm)
        self.mmap_write_unlock(mm)
        return error

    def ksm_enable_merge_any(self, mm: Any) -> int:
        """New: make every VMA mergeable, and those to come: 0 or -ENOMEM."""
        if self.test_mm_merge_any(mm):
            return 0
        if not self.test_mm_mergeable(mm):
            err = self._ksm_enter(mm)
            if err:
                return err
        mm.flags |= 1 << MMF_VM_MERGE_ANY
        for vma in self.vmas_of(mm):
            self._ksm_add_vma(vma)
        return 0

    # Cut out for 24139c07f413 "mm/ksm: unmerge and clear VM_MERGEABLE when setting
    # PR_SET_MEMORY_MERGE=0", v6.4.

    def ksm_disable_merge_any(self, mm: Any) -> int:
        """New: make no more VMAs mergeable; those that are remain so."""
        mm.flags &= ~(1 << MMF_VM_MERGE_ANY)
        return 0

    def _ksm_add_vma(self, vma: Any) -> None:
        """New: make a VMA mergeable, if its pages may be. (The kernel's __ksm_add_vma.)"""
        if not vma.vm_flags & (VM_MERGEABLE | VM_UNFIT):
            self.vm_flags_reset(vma, vma.vm_flags | VM_MERGEABLE)

    def ksm_add_vma(self, vma: Any) -> None:
        """If its process asked for that."""
        if self.test_mm_merge_any(vma.vm_mm):
            self._ksm_add_vma(vma)

    def ksm_fork(self, mm: Any, oldmm: Any) -> int:
        """The child's memory is to be merged too."""
        ret = super().ksm_fork(mm, oldmm)
        if not ret and self.CONFIG_KSM and self.test_mm_merge_any(oldmm):
            mm.flags |= 1 << MMF_VM_MERGE_ANY
        return ret

    def clear_mm_mergeable(self, mm: Any) -> None:
        """Both flags."""
        super().clear_mm_mergeable(mm)
        mm.flags &= ~(1 << MMF_VM_MERGE_ANY)

    def test_mm_merge_any(self, mm: Any) -> bool:
        """New: test_bit(MMF_VM_MERGE_ANY, &mm->flags)."""
        return bool(mm.flags & 1 << MMF_VM_MERGE_ANY)

    def vmas_of(self, mm: Any) -> Iterator[Any]:
        """New: for_each_vma."""
        vma = mm.mmap
        while vma is not None:
            yield vma
            vma = vma.vm_next


class Commit24139c07f413(Commitd7597f59d1d3):
    """24139c07f413 "mm/ksm: unmerge and clear VM_MERGEABLE when setting PR_SET_MEMORY_MERGE=0".

    2023-05-02, v6.4.
    """

    def ksm_disable_merge_any(self, mm: Any) -> int:
        """What is merged is broken; without memory all VMAs stay mergeable."""
        if not self.test_mm_merge_any(mm):
            return 0
        for vma in self.vmas_of(mm):
            err = self._ksm_del_vma(vma)
            if err:
                for other in self.vmas_of(mm):
                    self._ksm_add_vma(other)
                return err
        mm.flags &= ~(1 << MMF_VM_MERGE_ANY)
        return 0

    def _ksm_del_vma(self, vma: Any) -> int:
        """New: break what is merged in a VMA: 0 or an error. (The kernel's __ksm_del_vma.)"""
        if not vma.vm_flags & VM_MERGEABLE:
            return 0
        if vma.anon_vma is not None:
            err: int = self.unmerge_ksm_pages(vma, vma.vm_start, vma.vm_end)
            if err:
                return err
        self.vm_flags_reset(vma, vma.vm_flags & ~VM_MERGEABLE)
        return 0
