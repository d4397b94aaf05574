"""v5.16, VMAs: mremap looks for the mapping first."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v5_13_ksm import Commit3e96b6a2e9ad
from rmaplab.kernel.mm_types import EFAULT, EINVAL, PAGE_MASK


class Commit550a7d60bd5e(Commit3e96b6a2e9ad):
    """550a7d60bd5e "mm, hugepages: add mremap() support for hugepage backed vma".

    2021-11-06, v5.16.
    """

    def do_mremap(
        self, mm: Any, addr: int, old_len: int, new_len: int, flags: int = 0, new_addr: int = 0
    ) -> int:
        """Before anything is unmapped, there must be something at the address."""
        if not self.mremap_flags_valid(flags, old_len, new_len) or addr & ~PAGE_MASK:
            return -EINVAL
        vma = self.find_vma(mm, addr)
        if new_len and (vma is None or vma.vm_start > addr):
            return -EFAULT
        return super().do_mremap(mm, addr, old_len, new_len, flags, new_addr)
