"""mm/madvise.c: advice about a range."""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.base import KernelBase
from rmaplab.kernel.mm_types import (
    EAGAIN,
    EINVAL,
    ENOMEM,
    PAGE_MASK,
    PAGE_SHIFT,
    VM_DONTCOPY,
    VM_HUGETLB,
    VM_IO,
    VM_LOCKED,
    VM_PFNMAP,
    VM_RAND_READ,
    VM_SEQ_READ,
)
from rmaplab.kernel.munmap import PAGE_ALIGN
from rmaplab.machine import down_read, down_write, up_read

MADV_NORMAL = 0
MADV_RANDOM = 1
MADV_SEQUENTIAL = 2
MADV_DONTNEED = 4
MADV_FREE = 8
MADV_DONTFORK = 10
MADV_DOFORK = 11
MADV_MERGEABLE = 12
MADV_UNMERGEABLE = 13
MADV_COLD = 20
MADV_PAGEOUT = 21


class Madvise(KernelBase):
    """madvise. Advice about files (MADV_WILLNEED, MADV_REMOVE) is left out."""

    def madvise_need_mmap_write(self, behavior: int) -> bool:
        """Whether the advice may change VMAs."""
        return behavior != MADV_DONTNEED

    def madvise_behavior_valid(self, behavior: int) -> bool:
        """Whether this kernel knows the advice."""
        if behavior in (MADV_MERGEABLE, MADV_UNMERGEABLE):
            return self.CONFIG_KSM
        return behavior in (
            MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_DONTNEED, MADV_DONTFORK, MADV_DOFORK,
        )  # fmt: skip

    def madvise_new_flags(self, vma: Any, start: int, end: int, behavior: int) -> tuple[int, int]:
        """0 or an error, and the flags that the advice asks for."""
        flags: int = vma.vm_flags
        if behavior in (MADV_MERGEABLE, MADV_UNMERGEABLE):
            error, flags = self.ksm_madvise(vma, start, end, behavior, flags)
            return error, flags
        if behavior == MADV_DOFORK:
            return (-EINVAL, flags) if flags & VM_IO else (0, flags & ~VM_DONTCOPY)
        if behavior == MADV_DONTFORK:
            return 0, flags | VM_DONTCOPY
        flags &= ~(VM_RAND_READ | VM_SEQ_READ)
        return 0, flags | {MADV_RANDOM: VM_RAND_READ, MADV_SEQUENTIAL: VM_SEQ_READ}.get(behavior, 0)

    def madvise_behavior(
        self, vma: Any, prev: Any, start: int, end: int, behavior: int
    ) -> tuple[int, Any]:
        """Change the flags of a range within one VMA; 0 or an error, and the VMA that holds it."""
        error, new_flags = self.madvise_new_flags(vma, start, end, behavior)
        if not error:
            error, prev = self.madvise_fixup(vma, prev, start, end, new_flags)
        return (-EAGAIN if error == -ENOMEM else error), prev

    def madvise_fixup(
        self, vma: Any, prev: Any, start: int, end: int, new_flags: int
    ) -> tuple[int, Any]:
        """Merge or split so that the range can have its new flags, and set them."""
        if new_flags == vma.vm_flags:
            return 0, vma
        mm = vma.vm_mm
        pgoff = vma.vm_pgoff + ((start - vma.vm_start) >> PAGE_SHIFT)
        merged = self.vma_merge(mm, prev, start, end, new_flags, vma.anon_vma, vma.vm_file, pgoff)
        if merged is not None:
            vma = merged
        else:
            error = self.split_to_range(mm, vma, start, end)
            if error:
                return error, vma
        self.vm_flags_reset(vma, new_flags)
        return 0, vma

    def madvise_dontneed(self, vma: Any, start: int, end: int) -> int:
        """Throw the pages of a range away."""
        if vma.vm_flags & (VM_LOCKED | VM_HUGETLB | VM_PFNMAP):
            return -EINVAL
        self.zap_page_range(vma, start, end - start)
        return 0

    def madvise_vma(
        self, vma: Any, prev: Any, start: int, end: int, behavior: int
    ) -> tuple[int, Any]:
        """Follow the advice within one VMA; 0 or an error, and the VMA that holds the range."""
        if behavior == MADV_DONTNEED:
            return self.madvise_dontneed(vma, start, end), vma
        return self.madvise_behavior(vma, prev, start, end, behavior)

    def sys_madvise(self, mm: Any, start: int, length: int, behavior: int) -> int:
        """The madvise system call."""
        if not self.madvise_behavior_valid(behavior) or start & ~PAGE_MASK:
            return -EINVAL
        write = self.madvise_need_mmap_write(behavior)
        (down_write if write else down_read)(mm.mmap_sem)
        error = self.madvise_range(mm, start, start + PAGE_ALIGN(length), behavior)
        if write:
            self.mmap_write_unlock(mm)
        else:
            up_read(mm.mmap_sem)
        return error

    def madvise_range(self, mm: Any, start: int, end: int, behavior: int) -> int:
        """Follow the advice in VMA after VMA. Holes are skipped, with -ENOMEM in the end."""
        unmapped_error = 0
        if start == end:
            return 0
        vma, prev = self.find_vma_prev(mm, start)
        if vma is not None and start > vma.vm_start:
            prev = vma
        while vma is not None:
            if start < vma.vm_start:
                unmapped_error = -ENOMEM
                start = vma.vm_start
                if start >= end:
                    return -ENOMEM
            tmp = min(vma.vm_end, end)
            error, prev = self.madvise_vma(vma, prev, start, tmp, behavior)
            if error:
                return error
            start = max(tmp, prev.vm_end)
            if start >= end:
                return unmapped_error
            vma = prev.vm_next
        return -ENOMEM
