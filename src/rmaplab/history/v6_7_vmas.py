"""v6.7, VMAs: what never had a page need not be accounted for."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v6_6_vmas import Commit824135c46b00
from rmaplab.kernel.mm_types import VM_WRITE
from rmaplab.kernel.mmap import VM_ACCOUNT


class MprotectUnaccounts(Commit824135c46b00):
    """ "mm/mprotect: allow unfaulted VMAs to be unaccounted on mprotect()".

    2023-10-07, v6.7; by its mail, <bfef277462dd0dc75ce86e051bebc8b063f8d885.1696694712.git.
    lstoakes@gmail.com>.
    """

    def mprotect_account(self, vma: Any, newflags: int) -> int:
        """What becomes read-only before its first page merges with what always was so."""
        if newflags & VM_WRITE or vma.vm_file is not None or vma.anon_vma is not None:
            return super().mprotect_account(vma, newflags)
        return newflags & ~VM_ACCOUNT
