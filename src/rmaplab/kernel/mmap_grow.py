"""mm/mmap.c, fourth part: VMAs that grow by themselves, and the heap.

Left out: limits but that of the stack, and the guard page below a stack (320b2b8de126 "mm: keep a
guard page below a grow-down stack segment", 2.6.36).
"""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.base import KernelBase
from rmaplab.kernel.mm_types import (
    EFAULT,
    ENOMEM,
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE,
    VM_GROWSDOWN,
    VM_GROWSUP,
    VM_LOCKED,
)
from rmaplab.kernel.munmap import PAGE_ALIGN
from rmaplab.machine import BUG_ON, down_write


class MmapGrow(KernelBase):
    """expand_stack, brk and what they need."""

    #: RLIMIT_STACK, in bytes.
    rlimit_stack = 8 << 20

    def acct_stack_growth(self, vma: Any, size: int, grow: int) -> int:
        """Whether a stack may have `size` bytes, `grow` pages more than now: 0 or -ENOMEM."""
        if size > self.rlimit_stack:
            return -ENOMEM
        if vma.vm_flags & VM_LOCKED:
            vma.vm_mm.locked_vm += grow
        return 0

    # mmap_sem is held for reading only: of two that expand a VMA, the lock makes one the first. So
    # the VMA has to have an anon_vma before it has pages.

    def expand_upwards(self, vma: Any, address: int) -> int:
        """Let a VMA grow up to an address, where stacks grow up; 0 or an error."""
        if not vma.vm_flags & VM_GROWSUP:
            return -EFAULT
        if self.anon_vma_prepare(vma):
            return -ENOMEM
        self.vma_lock_anon_vma(vma)
        address = PAGE_ALIGN(address + 4)
        error = 0
        if address > vma.vm_end:
            size = address - vma.vm_start
            error = self.acct_stack_growth(vma, size, (address - vma.vm_end) >> PAGE_SHIFT)
            if not error:
                self.expand_end(vma, address)
        self.vma_unlock_anon_vma(vma)
        return error

    def expand_downwards(self, vma: Any, address: int) -> int:
        """Let the first VMA above an address grow down to it; 0 or an error."""
        if self.anon_vma_prepare(vma):
            return -ENOMEM
        address &= PAGE_MASK
        self.vma_lock_anon_vma(vma)
        error = 0
        if address < vma.vm_start:
            size = vma.vm_end - address
            grow = (vma.vm_start - address) >> PAGE_SHIFT
            error = self.acct_stack_growth(vma, size, grow)
            if not error:
                self.expand_start(vma, address)
        self.vma_unlock_anon_vma(vma)
        return error

    # The lines that move a boundary, cut out for bf181b9f9d8d "mm anon rmap: replace same_anon_vma
    # linked list with an interval tree.", v3.7.

    def expand_end(self, vma: Any, address: int) -> None:
        """Let a VMA end at an address."""
        vma.vm_end = address

    def expand_start(self, vma: Any, address: int) -> None:
        """Let a VMA begin at an address."""
        grow = (vma.vm_start - address) >> PAGE_SHIFT
        vma.vm_start = address
        vma.vm_pgoff -= grow

    def expand_stack(self, vma: Any, address: int) -> int:
        """Stacks grow down on x86."""
        return self.expand_downwards(vma, address)

    def find_extend_vma(self, mm: Any, addr: int) -> Any:
        """The VMA that has an address, or that can be made to by growing down; or None."""
        addr &= PAGE_MASK
        vma = self.find_vma(mm, addr)
        if vma is None or vma.vm_start <= addr:
            return vma
        if not vma.vm_flags & VM_GROWSDOWN:
            return None
        start = vma.vm_start
        if self.expand_stack(vma, addr):
            return None
        if vma.vm_flags & VM_LOCKED:
            self.mlock_vma_pages_range(vma, addr, start)
        return vma

    def find_vma_intersection(self, mm: Any, start_addr: int, end_addr: int) -> Any:
        """The first VMA in a range, or None (include/linux/mm.h)."""
        vma = self.find_vma(mm, start_addr)
        return None if vma is not None and end_addr <= vma.vm_start else vma

    def insert_vm_struct(self, mm: Any, vma: Any) -> int:
        """Add a new VMA where nothing is yet; 0 or -ENOMEM."""
        if vma.vm_file is None:
            BUG_ON(vma.anon_vma is not None, "insert_vm_struct: the VMA has an anon_vma")
            vma.vm_pgoff = vma.vm_start >> PAGE_SHIFT
        following, prev, rb_link = self.find_vma_prepare(mm, vma.vm_start)
        if following is not None and following.vm_start < vma.vm_end:
            return -ENOMEM
        self.vma_link(mm, vma, prev, rb_link)
        return 0

    def sys_brk(self, mm: Any, brk: int) -> int:
        """The brk system call: where the heap ends then, which is where it did if that failed."""
        down_write(mm.mmap_sem)
        if self.brk_to(mm, brk):
            mm.brk = brk
        retval: int = mm.brk
        self.mmap_write_unlock(mm)
        return retval

    # Cut out of brk, which jumps from here to the end.

    def brk_to(self, mm: Any, brk: int) -> bool:
        """Map or unmap pages up to the new end of the heap; whether that could be done."""
        if brk < mm.start_brk:
            return False
        newbrk, oldbrk = PAGE_ALIGN(brk), PAGE_ALIGN(mm.brk)
        if oldbrk == newbrk:
            return True
        if brk <= mm.brk:
            return not self.do_munmap(mm, newbrk, oldbrk - newbrk)
        if self.find_vma_intersection(mm, oldbrk, newbrk + PAGE_SIZE) is not None:
            return False
        return bool(self.do_brk(mm, oldbrk, newbrk - oldbrk) == oldbrk)
