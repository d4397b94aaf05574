"""v6.4, VMAs: each has a lock, so that a fault need not take mmap_sem.

A VMA is freed when nobody can be looking at it any more (call_rcu). Here its memory stays of its
type, and may be used again at once. mas_walk() is one look at the tree of VMAs.
"""

from __future__ import annotations

from typing import Any, ClassVar

from rmaplab.history.v6_1_ksm import MmStructWithRmapItems
from rmaplab.history.v6_3_vmas import Commit0503ea8f5ba7, Plan
from rmaplab.kernel.memory import VM_FAULT_ERROR, VM_FAULT_OOM
from rmaplab.kernel.mm_types import EFAULT, ENOMEM, VmAreaStruct
from rmaplab.kernel.pgtable import pte_present
from rmaplab.machine import (
    READ_ONCE,
    SLAB_DESTROY_BY_RCU,
    RwSem,
    Struct,
    down_read_trylock,
    down_write,
    pointer,
    pte_get,
    pte_offset_map,
    rb_items,
    rcu_read_lock,
    rcu_read_unlock,
    rwsem,
    up_read,
    up_write,
    value,
)

LOOKED_AT = "looked at before the VMA is locked, and again after"


class VmAreaStructWithLock(VmAreaStruct):
    """It has a lock. A writer only notes that he has it, until he lets go of all: vm_lock_seq."""

    vm_mm: Any = pointer(marked=LOOKED_AT)
    vm_start: int = value(0, marked=LOOKED_AT)
    vm_lock: RwSem = rwsem()
    vm_lock_seq: int = value(-1, marked=LOOKED_AT)
    detached: bool = value(False, marked=LOOKED_AT)


class MmStructWithLockSeq(MmStructWithRmapItems):
    """The VMAs whose vm_lock_seq is this are locked for writing."""

    mm_lock_seq: int = value(0, marked="read without mmap_sem")


class Commit5e31275cc997(Commit0503ea8f5ba7):
    """5e31275cc997 "mm: add per-VMA lock and helper functions to control it".

    2023-02-27, v6.4. With its series, as far as 0bff0aaea03e "x86/mm: try VMA lock-based page fault
    handling first".
    """

    VmAreaStruct: ClassVar[type[Struct]] = VmAreaStructWithLock
    MmStruct: ClassVar[type[Struct]] = MmStructWithLockSeq
    vm_area_flags: ClassVar[int] = SLAB_DESTROY_BY_RCU

    # Locks

    def vma_start_read(self, mm: Any, vma: Any) -> bool:
        """New: try to lock a VMA for a fault."""
        if vma.vm_lock_seq == READ_ONCE(mm, "mm_lock_seq"):
            return False
        if not down_read_trylock(vma.vm_lock):
            return False
        if vma.vm_lock_seq == READ_ONCE(mm, "mm_lock_seq"):
            up_read(vma.vm_lock)
            return False
        return True

    def vma_end_read(self, vma: Any) -> None:
        """New: undo it. RCU keeps the VMA until the lock is released."""
        rcu_read_lock()
        up_read(vma.vm_lock)
        rcu_read_unlock()

    def vma_start_write(self, vma: Any) -> None:
        """New: keep faults away from a VMA until mmap_sem, held for writing, is released."""
        mm_lock_seq = vma.vm_mm.mm_lock_seq
        if vma.vm_lock_seq != mm_lock_seq:
            down_write(vma.vm_lock)
            vma.vm_lock_seq = mm_lock_seq
            up_write(vma.vm_lock)

    def mmap_write_unlock(self, mm: Any) -> None:
        """And let go of all VMAs (vma_end_write_all)."""
        mm.mm_lock_seq = mm.mm_lock_seq + 1
        super().mmap_write_unlock(mm)

    def lock_vma_under_rcu(self, mm: Any, address: int) -> Any:
        """New: the VMA at an address, locked for a fault; None if mmap_sem is needed."""
        rcu_read_lock()
        vma = self.mas_walk(mm, address)
        if vma is not None and not self.vma_lock_for_fault(mm, vma, address):
            vma = None
        rcu_read_unlock()
        return vma

    def mas_walk(self, mm: Any, address: int) -> Any:
        """New: the VMA that has an address, or None."""
        for vma in rb_items(mm.mm_rb):
            if vma.vm_start <= address < vma.vm_end:
                return vma
        return None

    def vma_lock_for_fault(self, mm: Any, vma: Any, address: int) -> bool:
        """New: lock a VMA if it has an anon_vma, so that no neighbour need be asked for one."""
        if vma.anon_vma is None or not self.vma_start_read(mm, vma):
            return False
        return self.vma_still_there(vma, address)

    def vma_still_there(self, vma: Any, address: int) -> bool:
        """New: whether a VMA is what it was before it was locked; if not, it is let go of.

        Of one that was taken out of the tree the kernel begins anew, and does not find it.
        """
        if vma.detached or not vma.vm_start <= address < vma.vm_end:
            self.vma_end_read(vma)
            return False
        return True

    # Faults

    def do_page_fault(self, mm: Any, address: int, write: bool) -> int:
        """First by the lock of the VMA; swap and migration need mmap_sem."""
        vma = self.lock_vma_under_rcu(mm, address)
        if vma is None:
            return super().do_page_fault(mm, address, write)
        ptep = pte_offset_map(mm.pgd, address)
        entry = None if ptep is None else pte_get(ptep)
        if self.access_error(write, vma) or not (entry is None or pte_present(entry)):
            self.vma_end_read(vma)
            return super().do_page_fault(mm, address, write)
        fault = self.handle_mm_fault(mm, vma, address, write)
        self.vma_end_read(vma)
        if fault & VM_FAULT_ERROR:
            return -ENOMEM if fault & VM_FAULT_OOM else -EFAULT
        return 0

    # Writers

    def vm_area_dup(self, orig: Any) -> Any:
        """A new VMA is locked by nobody."""
        new = super().vm_area_dup(orig)
        if new is not None:
            new.vm_lock_seq = -1
        return new

    def vm_flags_reset(self, vma: Any, flags: int) -> None:
        """No fault meanwhile."""
        self.vma_start_write(vma)
        super().vm_flags_reset(vma, flags)

    def vma_prepare(self, plan: Plan) -> Any:
        """No fault while boundaries move; but the chain has been copied by now."""
        self.vma_start_write(plan.vma)
        if plan.adjust is not None:
            self.vma_start_write(plan.adjust)
        for vma in plan.removed:
            self.vma_start_write(vma)
        return super().vma_prepare(plan)

    def _split_vma(self, mm: Any, vma: Any, addr: int, new_below: bool) -> int:
        """No fault while a VMA is split."""
        self.vma_start_write(vma)
        return super()._split_vma(mm, vma, addr, new_below)

    def move_vma(
        self, vma: Any, old_addr: int, old_len: int, new_len: int, new_addr: int, flags: int
    ) -> int:
        """No fault where entries move away."""
        self.vma_start_write(vma)
        return super().move_vma(vma, old_addr, old_len, new_len, new_addr, flags)

    def detach_vmas_to_be_unmapped(self, mm: Any, vma: Any, prev: Any, end: int) -> None:
        """Nor in what is unmapped."""
        gone = vma
        while gone is not None and gone.vm_start < end:
            self.vma_start_write(gone)
            gone.detached = True
            gone = gone.vm_next
        super().detach_vmas_to_be_unmapped(mm, vma, prev, end)

    def _vma_detach(self, mm: Any, vma: Any) -> None:
        """A VMA that another has grown over."""
        vma.detached = True
        super()._vma_detach(mm, vma)
