"""mm/mlock.c: locking memory, so that it is there and stays there.

There are no LRU lists, so marking a page moves it nowhere. Left out: the limits on how much a
process may lock, mlockall, and what file and device mappings need.
"""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.base import KernelBase
from rmaplab.kernel.mm_types import (
    EAGAIN,
    EFAULT,
    EINVAL,
    ENOMEM,
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE,
    VM_DONTEXPAND,
    VM_HUGETLB,
    VM_IO,
    VM_LOCKED,
    VM_PFNMAP,
    VM_RESERVED,
    VM_SPECIAL,
    VM_WRITE,
)
from rmaplab.kernel.munmap import PAGE_ALIGN
from rmaplab.machine import BUG_ON, VM_BUG_ON, cond_resched, down_write

#: VMAs that mlock passes over.
VM_NEVER_LOCKED = VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_RESERVED | VM_HUGETLB

#: How many pages are looked up before the first of them is marked.
BATCH = 16


class Mlock(KernelBase):
    """mlock, munlock and PG_mlocked."""

    # Pages

    def mlock_vma_page(self, page: Any) -> None:
        """Mark a page that a locked VMA maps. The page lock is held."""
        BUG_ON(not self.PageLocked(page), "mlock_vma_page: the page is not locked")
        page.mlocked = True

    def munlock_vma_page(self, page: Any) -> None:
        """Take the mark away, unless another locked VMA maps the page. The page lock is held."""
        BUG_ON(not self.PageLocked(page), "munlock_vma_page: the page is not locked")
        if page.mlocked:
            page.mlocked = False
            if not self.isolate_lru_page(page):
                self.try_to_munlock(page)
                self.putback_lru_page(page)

    def clear_page_mlock(self, page: Any) -> None:
        """Take the mark away: reclaim gives it back where it is needed (mm/internal.h)."""
        if page.mlocked:
            page.mlocked = False
            VM_BUG_ON(not self.PageLocked(page), "__clear_page_mlock: the page is not locked")

    def is_mlocked_vma(self, vma: Any, page: Any) -> bool:
        """Whether a VMA is locked; its new page is marked then (mm/internal.h)."""
        if vma.vm_flags & (VM_LOCKED | VM_SPECIAL) != VM_LOCKED:
            return False
        page.mlocked = True
        return True

    # Ranges within a VMA

    def _mlock_vma_pages_range(self, vma: Any, start: int, end: int) -> int:
        """Make the pages of a range present and mark them; 0, or the error that stopped it.

        mmap_sem is held. (The kernel's __mlock_vma_pages_range.)
        """
        VM_BUG_ON(start < vma.vm_start or end > vma.vm_end, "__mlock_vma_pages_range")
        write = bool(vma.vm_flags & VM_WRITE)
        while start < end:
            cond_resched()
            nr_pages = min((end - start) >> PAGE_SHIFT, BATCH)
            error, pages = self._get_user_pages(vma.vm_mm, start, nr_pages, write)
            if error:
                return int(error)
            for page in pages:
                if page is None:  # the zero page
                    continue
                if page.mapping is not None:
                    self.lock_page(page)
                    if page.mapping is not None:
                        self.mlock_vma_page(page)
                    self.unlock_page(page)
                self.put_page(page)
            start += len(pages) << PAGE_SHIFT
        return 0

    def _mlock_posix_error_return(self, retval: int) -> int:
        """The error that mlock gives in place of what went wrong."""
        return {-EFAULT: -ENOMEM, -ENOMEM: -EAGAIN}.get(retval, retval)

    def mlock_vma_pages_range(self, vma: Any, start: int, end: int) -> int:
        """Lock what a locked VMA has grown by, as far as memory goes; errors stay hidden.

        Returns the number of pages that are not to be counted as locked.
        """
        BUG_ON(not vma.vm_flags & VM_LOCKED, "mlock_vma_pages_range: the VMA is not locked")
        if not vma.vm_flags & VM_NEVER_LOCKED:
            self._mlock_vma_pages_range(vma, start, end)
            return 0
        self.vm_flags_reset(vma, vma.vm_flags & ~VM_LOCKED)
        return (end - start) >> PAGE_SHIFT

    def munlock_vma_pages_range(self, vma: Any, start: int, end: int) -> None:
        """Take the marks of a range away, and VM_LOCKED from its VMA."""
        self.vm_flags_reset(vma, vma.vm_flags & ~VM_LOCKED)
        for addr in range(start, end, PAGE_SIZE):
            page = self.follow_page(vma, addr)
            if page is not None:
                self.lock_page(page)
                if page.mapping is not None:
                    self.munlock_vma_page(page)
                self.unlock_page(page)
                self.put_page(page)
            cond_resched()

    def munlock_vma_pages_all(self, vma: Any) -> None:
        """The whole of a VMA (mm/internal.h)."""
        self.munlock_vma_pages_range(vma, vma.vm_start, vma.vm_end)

    # The system calls

    def mlock_fixup(
        self, vma: Any, prev: Any, start: int, end: int, newflags: int
    ) -> tuple[int, Any]:
        """Lock or unlock a range within one VMA; 0 or an error, and the VMA that holds it."""
        mm = vma.vm_mm
        if newflags == vma.vm_flags or vma.vm_flags & VM_NEVER_LOCKED:
            return 0, vma
        pgoff = vma.vm_pgoff + ((start - vma.vm_start) >> PAGE_SHIFT)
        merged = self.vma_merge(mm, prev, start, end, newflags, vma.anon_vma, vma.vm_file, pgoff)
        if merged is not None:
            vma = merged
        else:
            error = self.split_to_range(mm, vma, start, end)
            if error:
                return error, vma
        nr_pages = (end - start) >> PAGE_SHIFT
        if newflags & VM_LOCKED:
            mm.locked_vm += nr_pages
            self.vm_flags_reset(vma, newflags)
            return self.mlock_fixup_pages(vma, start, end), vma
        mm.locked_vm -= nr_pages
        self.munlock_vma_pages_range(vma, start, end)
        return 0, vma

    # Cut out of mlock_fixup() and sys_mlock() for fed067da46ad "mlock: do not hold mmap_sem for
    # extended periods of time", v2.6.38.

    def mlock_fixup_pages(self, vma: Any, start: int, end: int) -> int:
        """Make the pages of a locked range present; 0 or an error."""
        return self._mlock_posix_error_return(self._mlock_vma_pages_range(vma, start, end))

    def do_mlock_pages(self, mm: Any, start: int, length: int) -> int:
        """What is left to do for mlock when mmap_sem is free again: nothing."""
        return 0

    def do_mlock(self, mm: Any, start: int, length: int, on: bool) -> int:
        """Lock or unlock VMA after VMA, until the end or a hole."""
        end = start + PAGE_ALIGN(length)
        if end < start:
            return -EINVAL  # unreached: a sum of Python's never wraps around
        if end == start:
            return 0
        vma, prev = self.find_vma_prev(mm, start)
        if vma is None or vma.vm_start > start:
            return -ENOMEM
        if start > vma.vm_start:
            prev = vma
        nstart = start
        while True:
            newflags = vma.vm_flags | VM_LOCKED if on else vma.vm_flags & ~VM_LOCKED
            tmp = min(vma.vm_end, end)
            error, prev = self.mlock_fixup(vma, prev, nstart, tmp, newflags)
            if error:
                return error
            nstart = max(tmp, prev.vm_end)
            if nstart >= end:
                return 0
            vma = prev.vm_next
            if vma is None or vma.vm_start != nstart:
                return -ENOMEM

    def sys_mlock(self, mm: Any, start: int, length: int) -> int:
        """The mlock system call."""
        return self._mlock_call(mm, start, length, on=True)

    def sys_munlock(self, mm: Any, start: int, length: int) -> int:
        """The munlock system call."""
        return self._mlock_call(mm, start, length, on=False)

    def _mlock_call(self, mm: Any, start: int, length: int, on: bool) -> int:
        """What the two calls have in common."""
        length += start & ~PAGE_MASK
        start &= PAGE_MASK
        down_write(mm.mmap_sem)
        ret = self.do_mlock(mm, start, length, on)
        self.mmap_write_unlock(mm)
        return ret if ret or not on else self.do_mlock_pages(mm, start, length)
