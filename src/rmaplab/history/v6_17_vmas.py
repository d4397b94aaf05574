"""v6.17, VMAs: mremap looks before it unmaps, and moves several mappings at once."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v6_17_ksm import Commitcf7e7a3503df
from rmaplab.kernel.mm_types import EFAULT, EINVAL, PAGE_MASK, TASK_SIZE
from rmaplab.kernel.mremap import MREMAP_DONTUNMAP, MREMAP_FIXED
from rmaplab.kernel.munmap import PAGE_ALIGN


class Commita85dc37186a5(Commitcf7e7a3503df):
    """a85dc37186a5 "mm/mremap: check remap conditions earlier".

    2025-07-17, v6.17. With its sisters, which sort the checks into functions.
    """

    def do_mremap(
        self, mm: Any, addr: int, old_len: int, new_len: int, flags: int = 0, new_addr: int = 0
    ) -> int:
        """What cannot be done fails before the new place is cleared."""
        old_len, new_len = PAGE_ALIGN(old_len), PAGE_ALIGN(new_len)
        error = self.check_mremap_params(addr, old_len, new_len, flags, new_addr)
        return error or self.mremap_checked(mm, addr, old_len, new_len, flags, new_addr)

    def check_mremap_params(
        self, addr: int, old_len: int, new_len: int, flags: int, new_addr: int
    ) -> int:
        """New: 0, or -EINVAL for what no mapping could make right."""
        if not self.mremap_flags_valid(flags, old_len, new_len) or addr & ~PAGE_MASK:
            return -EINVAL
        if not new_len or new_len > TASK_SIZE:
            return -EINVAL
        if not flags & MREMAP_FIXED:
            return 0
        if new_addr > TASK_SIZE - new_len or new_addr & ~PAGE_MASK:
            return -EINVAL
        overlaps = addr + old_len > new_addr and new_addr + new_len > addr
        return -EINVAL if overlaps else 0

    def mremap_checked(
        self, mm: Any, addr: int, old_len: int, new_len: int, flags: int, new_addr: int
    ) -> int:
        """New: the rest of do_mremap."""
        error = self.check_prep_vma(mm, addr, old_len, new_len, flags)
        return error or super().do_mremap(mm, addr, old_len, new_len, flags, new_addr)

    def check_prep_vma(self, mm: Any, addr: int, old_len: int, new_len: int, flags: int) -> int:
        """New: 0, or what is wrong with the mapping at an address."""
        vma = self.find_vma(mm, addr)
        if vma is None or vma.vm_start > addr:
            return -EFAULT
        if old_len >= new_len and not flags & (MREMAP_FIXED | MREMAP_DONTUNMAP):
            return 0
        if not old_len:
            return -EINVAL
        return -EFAULT if min(old_len, new_len) > vma.vm_end - addr else 0


class Commitd23cb648e365(Commita85dc37186a5):
    """d23cb648e365 "mm/mremap: permit mremap() move of multiple VMAs".

    2025-07-17, v6.17.
    """

    def mremap_checked(
        self, mm: Any, addr: int, old_len: int, new_len: int, flags: int, new_addr: int
    ) -> int:
        """What only moves may be of several mappings."""
        if flags & MREMAP_FIXED and old_len == new_len:
            return self.remap_move(mm, addr, old_len, flags, new_addr)
        return super().mremap_checked(mm, addr, old_len, new_len, flags, new_addr)

    def remap_move(self, mm: Any, start: int, length: int, flags: int, new_addr: int) -> int:
        """New: move mapping after mapping, as far apart as they are; where the first is, or an
        error, which may come after some have moved.
        """
        end, at, last_end = start + length, start, None
        vma = self.find_vma(mm, at)
        if vma is None or vma.vm_start > start:
            return -EFAULT
        target = new_addr
        while at < end and vma is not None and vma.vm_start < end:
            addr = max(vma.vm_start, start)
            length = min(end, vma.vm_end) - addr
            if last_end is not None:
                target += vma.vm_start - last_end
            last_end = vma.vm_end
            error = self.check_prep_vma(mm, addr, length, length, flags)
            moved = error or self.mremap_to(mm, addr, length, target, length, flags)
            if moved < 0:
                return moved
            target += length
            at = addr + length
            vma = self.find_vma(mm, at)
        return new_addr
