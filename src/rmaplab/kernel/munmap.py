"""mm/mmap.c, third part: splitting VMAs and unmapping."""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.base import KernelBase
from rmaplab.kernel.mm_types import (
    EINVAL,
    ENOMEM,
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE,
    TASK_SIZE,
    VM_LOCKED,
)
from rmaplab.machine import (
    BUG_ON,
    down_write,
    kmem_cache_alloc,
    kmem_cache_free,
    might_sleep,
    rb_erase,
)
from rmaplab.machine.struct import Kind


def PAGE_ALIGN(length: int) -> int:
    """The length in whole pages."""
    return (length + PAGE_SIZE - 1) & PAGE_MASK


class Munmap(KernelBase):
    """split_vma, do_munmap, exit_mmap and their parts."""

    sysctl_max_map_count = 65536

    def vm_area_dup(self, orig: Any) -> Any:
        """A copy of a VMA, without its chain and on no list; None without memory.

        In 2.6.34 split_vma() and dup_mmap() do this in place; the name is 4.18's.
        """
        new = kmem_cache_alloc(self.vm_area_cachep)
        if new is not None:
            for name, field in self.VmAreaStruct.fields.items():
                if field.kind is Kind.VALUE:
                    setattr(new, name, getattr(orig, name))
            self.anon_vma_chain_init(new)
        return new

    def _split_vma(self, mm: Any, vma: Any, addr: int, new_below: bool) -> int:
        """Split a VMA in two, the new one below or above. (The kernel's __split_vma.)

        An error of vma_adjust() leaves the new VMA's chain behind (until 2aeadc30de45, 2.6.36),
        but there is none when it has a VMA to insert.
        """
        new = self.vm_area_dup(vma)
        if new is None:
            return -ENOMEM
        if new_below:
            new.vm_end = addr
        else:
            new.vm_start = addr
            new.vm_pgoff += (addr - vma.vm_start) >> PAGE_SHIFT
        if self.anon_vma_clone(new, vma):
            kmem_cache_free(self.vm_area_cachep, new)
            return self.split_vma_clone_error()
        if new_below:
            pgoff = vma.vm_pgoff + ((addr - new.vm_start) >> PAGE_SHIFT)
            err: int = self.vma_adjust(vma, addr, vma.vm_end, pgoff, new)
        else:
            err = self.vma_adjust(vma, vma.vm_start, addr, vma.vm_pgoff, new)
        if err:
            self.split_vma_undo(new)
        return err

    # Cut out for ef0855d334e1 "mm: mempolicy: turn vma_set_policy() into vma_dup_policy()", v3.12.

    def split_vma_clone_error(self) -> int:
        """What __split_vma returns if the chain could not be copied."""
        return -ENOMEM

    # The end of __split_vma, cut out for 2aeadc30de45 "mmap: call unlink_anon_vmas() in
    # __split_vma() in case of error", v2.6.36.

    def split_vma_undo(self, new: Any) -> None:
        """Free a new VMA, but not its chain."""
        kmem_cache_free(self.vm_area_cachep, new)

    def split_vma(self, mm: Any, vma: Any, addr: int, new_below: bool) -> int:
        """Split a VMA unless there are too many; 0 or -ENOMEM."""
        if mm.map_count >= self.sysctl_max_map_count:
            return -ENOMEM
        return self._split_vma(mm, vma, addr, new_below)

    def sys_munmap(self, mm: Any, addr: int, length: int) -> int:
        """The munmap system call."""
        down_write(mm.mmap_sem)
        ret = self.do_munmap(mm, addr, length)
        self.mmap_write_unlock(mm)
        return ret

    def do_munmap(self, mm: Any, start: int, length: int) -> int:
        """Unmap a range, mapped or not; 0, -EINVAL or -ENOMEM."""
        length = PAGE_ALIGN(length)
        if start & ~PAGE_MASK or length == 0 or start + length > TASK_SIZE:
            return -EINVAL
        end = start + length
        vma, prev = self.find_vma_prev(mm, start)
        if vma is None or vma.vm_start >= end:
            return 0
        if start > vma.vm_start:
            if end < vma.vm_end and mm.map_count >= self.sysctl_max_map_count:
                return -ENOMEM
            error = self._split_vma(mm, vma, start, new_below=False)
            if error:
                return error
            prev = vma
        last = self.find_vma(mm, end)
        if last is not None and end > last.vm_start:
            error = self._split_vma(mm, last, end, new_below=True)
            if error:
                return error
        vma = mm.mmap if prev is None else prev.vm_next
        if mm.locked_vm:
            self.munlock_to_be_unmapped(mm, vma, end)
        self.detach_vmas_to_be_unmapped(mm, vma, prev, end)
        self.unmap_region(mm, vma, start, end)
        self.remove_vma_list(vma)
        return 0

    # Cut out of do_munmap for length.

    def munlock_to_be_unmapped(self, mm: Any, vma: Any, end: int) -> None:
        """Take the mark of locked pages from what the VMAs that begin before `end` map."""
        while vma is not None and vma.vm_start < end:
            if vma.vm_flags & VM_LOCKED:
                mm.locked_vm -= (vma.vm_end - vma.vm_start) >> PAGE_SHIFT
                self.munlock_vma_pages_all(vma)
            vma = vma.vm_next

    def detach_vmas_to_be_unmapped(self, mm: Any, vma: Any, prev: Any, end: int) -> None:
        """Make a VMA, and those after it that begin before `end`, a list of their own."""
        BUG_ON(vma is None, "NULL pointer dereference: there is no VMA to unmap")
        while True:
            rb_erase(mm.mm_rb, vma)
            mm.map_count -= 1
            tail_vma = vma
            vma = vma.vm_next
            if vma is None or vma.vm_start >= end:
                break
        if prev is None:
            mm.mmap = vma
        else:
            prev.vm_next = vma
        tail_vma.vm_next = None

    def unmap_region(self, mm: Any, vma: Any, start: int, end: int) -> None:
        """Empty and free the page tables of detached VMAs, and hide these from the reverse map."""
        tlb = self.tlb_gather_mmu(mm)
        self.unmap_vmas(tlb, vma, start, end)
        self.free_pgtables(tlb, vma)
        self.tlb_finish_mmu(tlb)

    def remove_vma(self, vma: Any) -> Any:
        """Free a VMA and return the next."""
        next = vma.vm_next
        might_sleep("remove_vma")
        kmem_cache_free(self.vm_area_cachep, vma)
        return next

    def remove_vma_list(self, vma: Any) -> None:
        """Free a list of VMAs."""
        while vma is not None:
            vma = self.remove_vma(vma)

    def exit_mmap(self, mm: Any) -> None:
        """Unmap everything: nobody uses the mm any more. mm->mmap still points to freed VMAs."""
        if mm.locked_vm:
            vma = mm.mmap
            while vma is not None:
                if vma.vm_flags & VM_LOCKED:
                    self.munlock_vma_pages_all(vma)
                vma = vma.vm_next
        vma = mm.mmap
        if vma is None:
            return
        tlb = self.tlb_gather_mmu(mm)
        self.unmap_vmas(tlb, vma, 0, TASK_SIZE)
        self.free_pgtables(tlb, vma)
        self.tlb_finish_mmu(tlb)
        while vma is not None:
            vma = self.remove_vma(vma)
