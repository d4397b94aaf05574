"""mm/memory.c, second part: get_user_pages, by which the kernel reaches for a user's pages.

Left out: gate areas, signals, and file pages.
"""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.base import KernelBase
from rmaplab.kernel.memory import VM_FAULT_ERROR, VM_FAULT_OOM, VM_FAULT_WRITE
from rmaplab.kernel.mm_types import (
    EFAULT,
    ENOMEM,
    PAGE_SIZE,
    VM_IO,
    VM_PFNMAP,
    VM_READ,
    VM_WRITE,
)
from rmaplab.kernel.pgtable import Pte, pte_present
from rmaplab.machine import cond_resched, pte_get, pte_offset_map, spin_lock, spin_unlock


class Gup(KernelBase):
    """get_user_pages."""

    # Cut out for 008cfe4418b3 "mm: Introduce mm_struct.has_pinned", v5.9.

    def pin_user_page(self, mm: Any, page: Any) -> None:
        """What I/O does to a page that it has found: a reference (FOLL_GET)."""
        self.get_page(page)

    def unpin_user_page(self, page: Any) -> None:
        """The I/O is over."""
        self.put_page(page)

    def follow_page_touch(
        self, vma: Any, address: int, write: bool, cow: bool = False
    ) -> tuple[bool, Any]:
        """follow_page() with FOLL_GET and FOLL_TOUCH: whether a page is there, and the page.

        It is not there either if it is to be written to and may not; `cow` tells that a copy was
        made for that before. The zero page is None.
        """
        mm = vma.vm_mm
        ptep = pte_offset_map(mm.pgd, address)
        if ptep is None:
            return False, None
        spin_lock(mm.page_table_lock)
        pte = pte_get(ptep)
        present = pte_present(pte) and (not write or self.can_follow_write_pte(pte, vma, cow))
        page = self.vm_normal_page(vma, address, pte) if present else None
        if page is not None:
            self.get_page(page)
            if write and not pte.dirty:
                page.dirty = True
        spin_unlock(mm.page_table_lock)
        return present, page

    def can_follow_write_pte(self, pte: Pte, vma: Any, cow: bool) -> bool:
        """Whether an entry may be written through. (A test within follow_page until v4.9.)"""
        return pte.write

    def _get_user_pages(
        self, mm: Any, start: int, nr_pages: int, write: bool, force: bool = False
    ) -> tuple[int, list[Any]]:
        """Make pages present and take references: an error if not even the first could be had.

        Less pages than asked for are no error. With `force` (FOLL_FORCE) the protection does not
        count, for every mapping is private. (The kernel's __get_user_pages.)
        """
        pages: list[Any] = []
        vma = None
        for address in range(start, start + nr_pages * PAGE_SIZE, PAGE_SIZE):
            if vma is None or address >= vma.vm_end:
                vma = self.find_extend_vma(mm, address)
            error, page = -EFAULT, None
            flags = VM_IO if vma is None else vma.vm_flags
            allowed = force or flags & (VM_WRITE if write else VM_READ)
            if allowed and not flags & (VM_IO | VM_PFNMAP):
                error, page = self.get_user_page(vma, address, write)
            if error:
                return (0 if pages else error), pages
            pages.append(page)
        return 0, pages

    # Cut out of __get_user_pages: its innermost loop.

    def get_user_page(self, vma: Any, address: int, write: bool) -> tuple[int, Any]:
        """Fault until a page is there: 0 and the page, or an error."""
        while True:
            cond_resched()
            present, page = self.follow_page_touch(vma, address, write)
            if present:
                return 0, page
            ret = self.handle_mm_fault(vma.vm_mm, vma, address, write)
            if ret & VM_FAULT_ERROR:
                return (-ENOMEM if ret & VM_FAULT_OOM else -EFAULT), None
            if ret & VM_FAULT_WRITE and not vma.vm_flags & VM_WRITE:
                write = False  # it is a copy by now, if not a writable one
