"""mm/mremap.c: resizing mappings and moving them, with their page table entries.

Left out: huge pages, files' page tables (a file VMA has no pages here), accounting and its limits.
What a call does to the reservation of memory shows only in VM_ACCOUNT, which decides on merging.
"""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.base import KernelBase
from rmaplab.kernel.madvise import MADV_UNMERGEABLE
from rmaplab.kernel.memory import PMD_SIZE
from rmaplab.kernel.mm_types import (
    EFAULT,
    EINVAL,
    ENOMEM,
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE,
    TASK_SIZE,
    VM_DONTEXPAND,
    VM_HUGETLB,
    VM_LOCKED,
    VM_PFNMAP,
)
from rmaplab.kernel.mmap import VM_ACCOUNT
from rmaplab.kernel.munmap import PAGE_ALIGN
from rmaplab.machine import (
    cond_resched,
    down_write,
    pgd_addresses,
    pte_alloc_map,
    pte_get,
    pte_offset_map,
    ptep_get_and_clear,
    set_pte_at,
    spin_lock,
    spin_unlock,
)

MREMAP_MAYMOVE = 1
MREMAP_FIXED = 2
MREMAP_DONTUNMAP = 4

PMD_MASK = ~(PMD_SIZE - 1)
#: How much is moved under one hold of the lock.
LATENCY_LIMIT = 64 * PAGE_SIZE


class Mremap(KernelBase):
    """mremap, and move_page_tables, which exec uses too."""

    # Page tables

    # need_rmap_locks is of 38a76013ad80 "mm: avoid taking rmap locks in move_ptes()", v3.7, and
    # take_rmap_locks of 1d069b7dd56d, v4.8. No release before 108d6642ad81, v3.7, asks for either.

    def move_ptes(
        self, vma: Any, old_addr: int, old_end: int, new_addr: int, need_rmap_locks: bool
    ) -> None:
        """Move the entries of a range to tables that are there, under the lock of the entries.

        One lock guards all entries here, so it is taken once.
        """
        mm = vma.vm_mm
        self.take_rmap_locks(vma, need_rmap_locks)
        addresses = pgd_addresses(mm.pgd, old_addr, old_end)
        spin_lock(mm.page_table_lock)
        for address in addresses:
            old_pte = pte_offset_map(mm.pgd, address)
            new_pte = pte_offset_map(mm.pgd, address - old_addr + new_addr)
            if old_pte is None or new_pte is None or pte_get(old_pte) is None:
                continue
            set_pte_at(new_pte, ptep_get_and_clear(old_pte))
        spin_unlock(mm.page_table_lock)
        self.drop_rmap_locks(vma, need_rmap_locks)

    def take_rmap_locks(self, vma: Any, need_rmap_locks: bool) -> None:
        """Lock no anon_vma while entries move.

        A walk may look for an entry where it was after it has gone, and where it will be before it
        is there.
        """

    def drop_rmap_locks(self, vma: Any, need_rmap_locks: bool) -> None:
        """Undo take_rmap_locks."""

    def alloc_new_ptes(self, mm: Any, old_addr: int, old_end: int, new_addr: int) -> int | None:
        """Where there are old tables, have new ones: None, or the address that could get none.

        In the kernel it is one table for the whole extent (alloc_new_pmd).
        """
        for address in pgd_addresses(mm.pgd, old_addr, old_end):
            if pte_alloc_map(mm.pgd, address - old_addr + new_addr) is None:
                return address
        return None

    def move_page_tables(
        self, vma: Any, old_addr: int, new_vma: Any, new_addr: int, length: int,
        need_rmap_locks: bool,
    ) -> int:  # fmt: skip
        """Move the entries of a range, from its beginning; how many bytes of it were done."""
        mm = vma.vm_mm
        start, old_end = old_addr, old_addr + length
        while old_addr < old_end:
            cond_resched()
            extent = self.move_extent(old_addr, old_end, new_addr)
            failed = self.alloc_new_ptes(mm, old_addr, old_addr + extent, new_addr)
            if failed is not None:
                extent = failed - old_addr
            if extent and pgd_addresses(mm.pgd, old_addr, old_addr + extent):
                self.move_ptes(vma, old_addr, old_addr + extent, new_addr, need_rmap_locks)
            old_addr += extent
            new_addr += extent
            if failed is not None:
                break
        return old_addr - start

    def move_extent(self, old_addr: int, old_end: int, new_addr: int) -> int:
        """How much can be moved at once: within a page table of either side, and not too long."""
        old_next = min((old_addr + PMD_SIZE) & PMD_MASK, old_end)
        new_next = (new_addr + PMD_SIZE) & PMD_MASK
        return min(old_next - old_addr, new_next - new_addr, LATENCY_LIMIT)

    # VMAs

    def move_vma(
        self, vma: Any, old_addr: int, old_len: int, new_len: int, new_addr: int, flags: int
    ) -> int:
        """Move a range of a VMA; its new address, or an error with the range where it was."""
        mm = vma.vm_mm
        vm_flags = vma.vm_flags
        if mm.map_count >= self.sysctl_max_map_count - 3:
            return -ENOMEM  # do_munmap() could fail later on
        # The VMA stays mergeable: ksmd may merge its pages again, here or there.
        err, _ = self.ksm_madvise(vma, old_addr, old_addr + old_len, MADV_UNMERGEABLE, vm_flags)
        if err:
            return int(err)
        new_pgoff = vma.vm_pgoff + ((old_addr - vma.vm_start) >> PAGE_SHIFT)
        keep_source = bool(flags & MREMAP_DONTUNMAP)
        vma, new_vma, locks = self.copy_vma(vma, new_addr, new_len, new_pgoff)
        if new_vma is None:
            return -ENOMEM
        ret, grown = new_addr, (new_addr + old_len, new_addr + new_len)
        moved_len = self.move_page_tables(vma, old_addr, new_vma, new_addr, old_len, locks)
        if moved_len < old_len:
            # The entries go back, for which the tables are still there; the new range goes away.
            self.move_page_tables_back(new_vma, new_addr, vma, old_addr, moved_len)
            vma, old_addr, old_len, ret = new_vma, new_addr, new_len, -ENOMEM
            keep_source = False
        self.move_vma_end(vma, vm_flags, old_addr, old_len, keep_source)
        if vm_flags & VM_LOCKED:
            mm.locked_vm += new_len >> PAGE_SHIFT
            if new_len > old_len:
                self.mlock_vma_pages_range(new_vma, *grown)
        return ret

    # Cut out of move_vma for e346b3813067 "mm/mremap: add MREMAP_DONTUNMAP to mremap()", v5.7;
    # before it nobody keeps the source.

    def move_vma_end(
        self, vma: Any, vm_flags: int, addr: int, length: int, keep_source: bool
    ) -> None:
        """What becomes of the range that is empty now."""
        self.unmap_moved(vma, vm_flags, addr, length)

    # A line of move_vma, cut out for 948f017b0993 "mremap: enforce rmap src/dst vma ordering in
    # case of vma_merge() succeeding in copy_vma()", v3.3.

    def move_page_tables_back(
        self, new_vma: Any, new_addr: int, vma: Any, old_addr: int, moved_len: int
    ) -> None:
        """Move what was moved back to where it was."""
        self.move_page_tables(new_vma, new_addr, vma, old_addr, moved_len, need_rmap_locks=True)

    # Cut out of move_vma for length.

    def unmap_moved(self, vma: Any, vm_flags: int, addr: int, length: int) -> None:
        """Unmap the range that is empty now, without giving back what was reserved for its pages.

        If that fails, the VMA stays whole, and does not count any more.
        """
        excess, split = 0, False
        if vm_flags & VM_ACCOUNT:
            vma.vm_flags &= ~VM_ACCOUNT
            excess = vma.vm_end - vma.vm_start - length
            split = addr > vma.vm_start and addr + length < vma.vm_end
        if self.do_munmap(vma.vm_mm, addr, length) < 0:
            excess = 0
        if excess:
            vma.vm_flags |= VM_ACCOUNT
            if split:
                vma.vm_next.vm_flags |= VM_ACCOUNT

    def vma_to_resize(self, mm: Any, addr: int, old_len: int, new_len: int) -> tuple[int, Any]:
        """0 and the one VMA that has the whole range, if that may get its new length; or an error.

        Limits of locked memory, of the address space and of memory promised are left out.
        """
        vma = self.find_vma(mm, addr)
        if vma is None or vma.vm_start > addr:
            return -EFAULT, None
        if vma.vm_flags & VM_HUGETLB:
            return -EINVAL, None
        if old_len > vma.vm_end - addr:
            return -EFAULT, None
        if vma.vm_flags & (VM_DONTEXPAND | VM_PFNMAP) and new_len > old_len:
            return -EFAULT, None
        return 0, vma

    def vma_expandable(self, vma: Any, delta: int) -> bool:
        """Whether there is room after a VMA."""
        end = vma.vm_end + delta
        if vma.vm_next is not None and vma.vm_next.vm_start < end:
            return False
        return bool(end <= TASK_SIZE)

    # The system call

    def mremap_to(
        self, mm: Any, addr: int, old_len: int, new_addr: int, new_len: int, flags: int
    ) -> int:
        """MREMAP_FIXED: what is at the new place goes away first."""
        if new_addr & ~PAGE_MASK or new_addr + new_len > TASK_SIZE:
            return -EINVAL
        if new_addr <= addr < new_addr + new_len or addr <= new_addr < addr + old_len:
            return -EINVAL
        ret: int = self.do_munmap(mm, new_addr, new_len)
        if ret:
            return ret
        if old_len >= new_len:
            ret = self.do_munmap(mm, addr + new_len, old_len - new_len)
            if ret and old_len != new_len:
                return ret
            old_len = new_len
        ret, vma = self.vma_to_resize(mm, addr, old_len, new_len)
        if ret:
            return ret
        return self.move_vma(vma, addr, old_len, new_len, new_addr, flags)

    def expand_vma(self, vma: Any, addr: int, old_len: int, new_len: int) -> int:
        """The part of do_mremap that lets a VMA grow where it is; the address, or -ENOMEM."""
        if self.vma_adjust(vma, vma.vm_start, addr + new_len, vma.vm_pgoff, None):
            return -ENOMEM  # unreached: growing over no other VMA needs no memory
        if vma.vm_flags & VM_LOCKED:
            vma.vm_mm.locked_vm += (new_len - old_len) >> PAGE_SHIFT
            self.mlock_vma_pages_range(vma, addr + old_len, addr + new_len)
        return addr

    def do_mremap(
        self, mm: Any, addr: int, old_len: int, new_len: int, flags: int = 0, new_addr: int = 0
    ) -> int:
        """Resize a mapping, or move it; where it is then, or an error."""
        if not self.mremap_flags_valid(flags, old_len, new_len) or addr & ~PAGE_MASK:
            return -EINVAL
        old_len, new_len = PAGE_ALIGN(old_len), PAGE_ALIGN(new_len)
        if not new_len:
            return -EINVAL
        if flags & MREMAP_FIXED:
            return self.mremap_to(mm, addr, old_len, new_addr, new_len, flags)
        if old_len >= new_len:
            ret: int = self.do_munmap(mm, addr + new_len, old_len - new_len)
            return ret if ret and old_len != new_len else addr
        ret, vma = self.vma_to_resize(mm, addr, old_len, new_len)
        if ret:
            return ret
        if old_len == vma.vm_end - addr and self.vma_expandable(vma, new_len - old_len):
            return self.expand_vma(vma, addr, old_len, new_len)
        if not flags & MREMAP_MAYMOVE:
            return -ENOMEM
        new_addr = self.get_unmapped_area(mm, new_len)
        if new_addr & ~PAGE_MASK:
            return new_addr
        return self.move_vma(vma, addr, old_len, new_len, new_addr, flags)

    # Cut out of do_mremap for e346b3813067 "mm/mremap: add MREMAP_DONTUNMAP to mremap()", v5.7.

    def mremap_flags_valid(self, flags: int, old_len: int, new_len: int) -> bool:
        """Whether this kernel knows the flags, and they agree: a fixed place implies a move."""
        if flags & ~(MREMAP_FIXED | MREMAP_MAYMOVE):
            return False
        return not flags & MREMAP_FIXED or bool(flags & MREMAP_MAYMOVE)

    def sys_mremap(
        self, mm: Any, addr: int, old_len: int, new_len: int, flags: int = 0, new_addr: int = 0
    ) -> int:
        """The mremap system call."""
        down_write(mm.mmap_sem)
        ret = self.do_mremap(mm, addr, old_len, new_len, flags, new_addr)
        self.mmap_write_unlock(mm)
        return ret
