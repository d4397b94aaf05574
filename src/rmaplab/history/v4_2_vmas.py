"""v4.2, VMAs: what is locked and becomes writable."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v3_19 import Commit3fe89b3e2a7b
from rmaplab.kernel.mm_types import VM_LOCKED, VM_SHARED, VM_WRITE


class Commit36f881883c57(Commit3fe89b3e2a7b):
    """36f881883c57 "mm: fix mprotect() behaviour on VM_LOCKED VMAs".

    2015-06-24, v4.2.
    """

    def mprotect_fixup(
        self, vma: Any, prev: Any, start: int, end: int, newflags: int
    ) -> tuple[int, Any]:
        """The pages of a locked range that becomes writable are copied at once."""
        locked = vma.vm_flags & (VM_WRITE | VM_SHARED | VM_LOCKED) == VM_LOCKED
        error, vma = super().mprotect_fixup(vma, prev, start, end, newflags)
        if not error and locked and newflags & VM_WRITE:
            self._mlock_vma_pages_range(vma, start, end)
        return error, vma
