"""What v2.6.38 changed in mlock."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v2_6_38 import Commit1ce82b69e96c
from rmaplab.machine import down_read, up_read


class Commitfed067da46ad(Commit1ce82b69e96c):
    """fed067da46ad "mlock: do not hold mmap_sem for extended periods of time".

    2011-01-13, v2.6.38. First all VMAs get VM_LOCKED, then the pages are made present: none of them
    if there is a hole. That mmap_sem is let go of while a page is read is left out.
    """

    def mlock_fixup_pages(self, vma: Any, start: int, end: int) -> int:
        """Not yet."""
        return 0

    def do_mlock_pages(self, mm: Any, start: int, length: int) -> int:
        """Make the pages of all VMAs of a range present; 0 or an error."""
        error = 0
        down_read(mm.mmap_sem)
        vma = self.find_vma(mm, start)
        end = start + length
        while not error and vma is not None and vma.vm_start < end:
            nstart, nend = max(start, vma.vm_start), min(end, vma.vm_end)
            error = self._mlock_posix_error_return(self._mlock_vma_pages_range(vma, nstart, nend))
            vma = vma.vm_next
        up_read(mm.mmap_sem)
        return error
