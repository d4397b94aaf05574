"""What v4.2 changed for pages."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v2_6_39_pages import V2_6_39
from rmaplab.kernel.mm_types import VM_LOCKED, VM_WRITE


class Commit36f881883c57(V2_6_39):
    """36f881883c57 "mm: fix mprotect() behaviour on VM_LOCKED VMAs".

    2015-06-24, v4.2. A page that is locked and may be written must not need a copy any more.
    """

    def mprotect_fixup(
        self, vma: Any, prev: Any, start: int, end: int, newflags: int
    ) -> tuple[int, Any]:
        """What is locked and becomes writable is copied at once; an error of that stays hidden."""
        oldflags = vma.vm_flags
        error, vma = super().mprotect_fixup(vma, prev, start, end, newflags)
        became_writable = newflags & VM_WRITE and not oldflags & VM_WRITE
        if not error and oldflags & VM_LOCKED and became_writable:
            self._mlock_vma_pages_range(vma, start, end)
        return error, vma


V4_2 = Commit36f881883c57
