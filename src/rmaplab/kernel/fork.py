"""kernel/fork.c (and exec_mmap of fs/exec.c): the life of an mm, and what fork copies."""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.base import KernelBase
from rmaplab.kernel.mm_types import ENOMEM, VM_DONTCOPY, VM_LOCKED
from rmaplab.machine import (
    RbLink,
    atomic_dec_and_test,
    atomic_set,
    down_write,
    kmem_cache_alloc,
    kmem_cache_free,
    might_sleep,
    rb_reset,
    rb_root,
)


class Fork(KernelBase):
    """mm_alloc, dup_mm, mmput and mmdrop."""

    def mm_init(self, mm: Any) -> Any:
        """Set up a new mm: one user, who holds one reference; no flag is inherited."""
        atomic_set(mm.mm_users, 1)
        atomic_set(mm.mm_count, 1)
        mm.flags = 0
        return mm

    def mm_alloc(self) -> Any:
        """An empty mm, or None."""
        mm = kmem_cache_alloc(self.mm_cachep)
        return None if mm is None else self.mm_init(mm)

    def dup_mm(self, oldmm: Any) -> Any:
        """A copy of an mm for a child, or None."""
        mm = self.mm_alloc()
        if mm is None:
            return None
        mm.start_brk, mm.brk = oldmm.start_brk, oldmm.brk
        if self.dup_mmap(mm, oldmm):
            self.mmput(mm)
            return None
        return mm

    def dup_mmap(self, mm: Any, oldmm: Any) -> int:
        """Copy the VMAs and page tables; 0 or -ENOMEM, with what is copied by then in place."""
        down_write(oldmm.mmap_sem)
        down_write(mm.mmap_sem)
        mm.locked_vm = 0
        mm.mmap = None
        mm.map_count = 0
        rb_reset(mm.mm_rb)
        retval: int = self.ksm_fork(mm, oldmm)
        if not retval:
            retval = self.dup_mmap_vmas(mm, oldmm)
        self.mmap_write_unlock(mm)
        self.mmap_write_unlock(oldmm)
        return retval

    def dup_mmap_vmas(self, mm: Any, oldmm: Any) -> int:
        """The loop of dup_mmap()."""
        prev = None
        mpnt = oldmm.mmap
        while mpnt is not None:
            if not mpnt.vm_flags & VM_DONTCOPY:
                tmp = self.vm_area_dup(mpnt)
                if tmp is None:
                    return -ENOMEM
                if self.dup_mmap_vma(mm, tmp, mpnt):
                    kmem_cache_free(self.vm_area_cachep, tmp)
                    return -ENOMEM
                self.dup_mmap_link(mm, tmp, prev)
                prev = tmp
                retval: int = self.copy_page_range(mm, oldmm, mpnt)
                if retval:
                    return retval
            mpnt = mpnt.vm_next
        return 0

    def dup_mmap_vma(self, mm: Any, tmp: Any, mpnt: Any) -> int:
        """Make a copy of the parent's VMA the child's; 0 or -ENOMEM.

        Until anon_vma_fork() is done, vm_mm is the parent's: who walks the reverse map meanwhile
        finds the parent a second time. a247c3a97a02 "rmap: fix walk during fork", 2.6.36.
        """
        if self.anon_vma_fork(tmp, mpnt):
            return -ENOMEM
        tmp.vm_flags &= ~VM_LOCKED
        tmp.vm_mm = mm
        tmp.vm_next = None
        return 0

    def dup_mmap_link(self, mm: Any, tmp: Any, prev: Any) -> None:
        """Put the new VMA last in list and tree."""
        if prev is None:
            mm.mmap = tmp
        else:
            prev.vm_next = tmp
        self._vma_link_rb(mm, tmp, self.rb_rightmost(mm))
        mm.map_count += 1

    def rb_rightmost(self, mm: Any) -> RbLink:
        """The place after the last VMA in the tree."""
        rb_link = rb_root(mm.mm_rb)
        while rb_link.item is not None:
            rb_link = rb_link.right
        return rb_link

    def mmput(self, mm: Any) -> None:
        """One user less: with the last one the address space goes."""
        might_sleep("mmput")
        if atomic_dec_and_test(mm.mm_users):
            self.ksm_exit(mm)
            self.exit_mmap(mm)
            self.mmlist_del(mm)
            self.mmdrop(mm)

    def mmdrop(self, mm: Any) -> None:
        """One reference less: with the last one the mm itself goes."""
        if atomic_dec_and_test(mm.mm_count):
            self._mmdrop(mm)

    def _mmdrop(self, mm: Any) -> None:
        """Free an mm."""
        kmem_cache_free(self.mm_cachep, mm)

    def exec_mmap(self, task: Any, mm: Any) -> None:
        """Give a task another mm; its old one loses this user."""
        old_mm = task.mm
        task.mm = mm
        self.mmput(old_mm)
