"""mm/mmap.c, fifth part: taking every lock by which the reverse map could look into an mm.

Left out: signals, so that it never fails, and the locks of files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rmaplab.kernel.base import KernelBase
from rmaplab.machine import (
    BUG_ON,
    Mutex,
    Struct,
    down_read_trylock,
    list_for_each_entry,
    mutex,
    mutex_lock,
    mutex_unlock,
    up_write,
)


class MmapGlobals(Struct):
    """The global variables of mm/mmap.c."""

    mm_all_locks_mutex: Mutex = mutex()


class MmapLocks(KernelBase):
    """mm_take_all_locks and mm_drop_all_locks. The caller holds mmap_sem for writing."""

    def boot(self) -> None:
        """Set up the mutex."""
        super().boot()
        self.mmap_globals = self.machine.static(MmapGlobals, "mmap")

    # include/linux/mmap_lock.h of v5.8; cut out for 5e31275cc997 "mm: add per-VMA lock and helper
    # functions to control it", v6.4.

    def mmap_write_unlock(self, mm: Any) -> None:
        """Release mmap_sem, held for writing."""
        up_write(mm.mmap_sem)

    # 1c71222e5f23 "mm: replace vma->vm_flags direct modifications with modifier calls", v6.3; cut
    # out for 5e31275cc997 as well.

    def vm_flags_reset(self, vma: Any, flags: int) -> None:
        """Give a VMA its new flags."""
        vma.vm_flags = flags

    def vm_lock_anon_vma(self, mm: Any, anon_vma: Any) -> None:
        """Lock an anon_vma, unless that is done: one may be of several VMAs."""
        if not anon_vma.all_locked:
            self.anon_vma_lock(anon_vma)
            anon_vma.all_locked = True

    def vm_unlock_anon_vma(self, anon_vma: Any) -> None:
        """Undo vm_lock_anon_vma."""
        if anon_vma.all_locked:
            anon_vma.all_locked = False
            self.anon_vma_unlock(anon_vma)

    # Cut out of the two functions below for v2.6.33, which has no chains.

    def anon_vmas_of(self, vma: Any) -> Iterator[Any]:
        """The anon_vmas that a VMA is chained to."""
        for avc in list_for_each_entry(vma.anon_vma_chain):
            yield avc.anon_vma

    def mm_take_all_locks(self, mm: Any) -> int:
        """Lock every anon_vma of every VMA, in any order: nobody else takes more than one."""
        BUG_ON(down_read_trylock(mm.mmap_sem), "mm_take_all_locks: mmap_sem is not held")
        mutex_lock(self.mmap_globals.mm_all_locks_mutex)
        vma = mm.mmap
        while vma is not None:
            if vma.anon_vma is not None:
                for anon_vma in self.anon_vmas_of(vma):
                    self.vm_lock_anon_vma(mm, anon_vma)
            vma = vma.vm_next
        return 0

    def mm_drop_all_locks(self, mm: Any) -> None:
        """Undo mm_take_all_locks."""
        BUG_ON(down_read_trylock(mm.mmap_sem), "mm_drop_all_locks: mmap_sem is not held")
        vma = mm.mmap
        while vma is not None:
            if vma.anon_vma is not None:
                for anon_vma in self.anon_vmas_of(vma):
                    self.vm_unlock_anon_vma(anon_vma)
            vma = vma.vm_next
        mutex_unlock(self.mmap_globals.mm_all_locks_mutex)
