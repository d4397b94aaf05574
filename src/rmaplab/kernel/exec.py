"""fs/exec.c: the stack of a new program, which is filled first and then moved to its place.

Left out: the program itself. The new mm is the caller's; exec_mmap() makes it a process's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rmaplab.kernel.base import KernelBase
from rmaplab.kernel.mm_types import (
    EFAULT,
    ENOMEM,
    PAGE_MASK,
    PAGE_SIZE,
    TASK_SIZE,
    VM_GROWSDOWN,
    VM_READ,
    VM_WRITE,
)
from rmaplab.kernel.mmap import VM_ACCOUNT
from rmaplab.kernel.munmap import PAGE_ALIGN
from rmaplab.machine import (
    BUG_ON,
    down_write,
    free_pgd_range,
    kmem_cache_alloc,
    kmem_cache_free,
)

STACK_TOP_MAX = TASK_SIZE
VM_STACK_FLAGS = VM_GROWSDOWN | VM_READ | VM_WRITE | VM_ACCOUNT

#: By how much a stack is grown at once when it is in its place.
STACK_EXPAND = 131072


@dataclass
class LinuxBinprm:
    """struct linux_binprm: what exec knows of the program it loads."""

    mm: Any
    vma: Any = None
    p: int = 0  # the current top of its memory


class Exec(KernelBase):
    """The temporary stack of exec."""

    def stack_setup_flags(self) -> int:
        """The flags that tell a stack which is not in its place yet: none, in v2.6.34.

        a8bef8ff6ea1 "mm: migration: avoid race between shift_arg_pages() and rmap_walk() during
        migration by not migrating temporary stacks", v2.6.35, has some.
        """
        return 0

    def _bprm_mm_init(self, bprm: LinuxBinprm) -> int:
        """Give a new mm one page of stack, as high as can be. (The kernel's __bprm_mm_init.)"""
        mm = bprm.mm
        vma = kmem_cache_alloc(self.vm_area_cachep)
        if vma is None:
            return -ENOMEM
        down_write(mm.mmap_sem)
        vma.vm_mm = mm
        vma.vm_end = STACK_TOP_MAX
        vma.vm_start = STACK_TOP_MAX - PAGE_SIZE
        vma.vm_flags = VM_STACK_FLAGS | self.stack_setup_flags()
        self.anon_vma_chain_init(vma)
        err: int = self.insert_vm_struct(mm, vma)
        self.mmap_write_unlock(mm)
        if err:
            kmem_cache_free(self.vm_area_cachep, vma)
            return err
        bprm.vma = vma
        bprm.p = STACK_TOP_MAX - 8
        return 0

    def get_arg_page(self, bprm: LinuxBinprm, pos: int) -> Any:
        """The page of the new stack that an argument is copied to, referenced; None without memory.

        The kernel, too, takes no mmap_sem here: nobody else has the mm yet.
        """
        error, pages = self._get_user_pages(bprm.mm, pos & PAGE_MASK, 1, True)
        return None if error else pages[0]

    def shift_arg_pages(self, vma: Any, shift: int) -> int:
        """Move a stack down: the VMA first covers both places, then only the lower."""
        mm = vma.vm_mm
        old_start, old_end = vma.vm_start, vma.vm_end
        length = old_end - old_start
        new_start, new_end = old_start - shift, old_end - shift
        BUG_ON(new_start > new_end, "shift_arg_pages")
        if vma != self.find_vma(mm, new_start):
            return -EFAULT
        if self.vma_adjust(vma, new_start, old_end, vma.vm_pgoff, None):
            return -ENOMEM  # unreached: growing over no other VMA needs no memory
        if self.move_page_tables(vma, old_start, vma, new_start, length, False) != length:
            return -ENOMEM  # exec fails, and exit_mmap() finds the pages in either place
        free_pgd_range(mm.pgd, max(new_end, old_start), old_end)
        self.vma_adjust(vma, new_start, new_end, vma.vm_pgoff, None)
        return 0

    def setup_arg_pages(self, bprm: LinuxBinprm, stack_top: int) -> int:
        """Bring the stack to its place, with its final flags; 0 or an error."""
        mm, vma = bprm.mm, bprm.vma
        stack_shift = vma.vm_end - PAGE_ALIGN(stack_top)
        bprm.p -= stack_shift
        down_write(mm.mmap_sem)
        vm_flags = VM_STACK_FLAGS | self.stack_setup_flags()
        ret, prev = self.mprotect_fixup(vma, None, vma.vm_start, vma.vm_end, vm_flags)
        if not ret:
            BUG_ON(prev != vma, "setup_arg_pages: the stack is another VMA")
            ret = self.shift_arg_pages(vma, stack_shift) if stack_shift else 0
        if not ret:
            self.stack_is_set_up(vma)
            size = min(vma.vm_end - vma.vm_start + STACK_EXPAND, self.rlimit_stack & PAGE_MASK)
            ret = -EFAULT if self.expand_stack(vma, vma.vm_end - size) else 0
        self.mmap_write_unlock(mm)
        return int(ret)

    # Cut out of setup_arg_pages for a8bef8ff6ea1.

    def stack_is_set_up(self, vma: Any) -> None:
        """The stack is in its place: nothing to tell, in v2.6.34."""
