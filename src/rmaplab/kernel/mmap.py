"""mm/mmap.c: finding, linking and making VMAs. Merging and unmapping are in files beside this one.

A name that starts with two underscores in the kernel starts with one here: Python mangles two.
mm->mmap_cache is left out: it only makes find_vma() faster.
"""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.mm_types import (
    EINVAL,
    ENOMEM,
    PAGE_MASK,
    PAGE_SHIFT,
    TASK_SIZE,
    VM_EXEC,
    VM_GROWSDOWN,
    VM_READ,
    VM_WRITE,
)
from rmaplab.kernel.mmap_grow import MmapGrow
from rmaplab.kernel.mmap_locks import MmapLocks
from rmaplab.kernel.mmap_merge import MmapMerge
from rmaplab.kernel.munmap import PAGE_ALIGN, Munmap
from rmaplab.machine import (
    BUG_ON,
    RbLink,
    down_write,
    kmem_cache_alloc,
    kmem_cache_free,
    rb_insert,
    rb_root,
)

#: Its pages count against the overcommit limit: it was writable once. Two VMAs that differ in
#: this do not merge, even where mprotect made their other flags equal.
VM_ACCOUNT = 0x100000

PROT_MASK = VM_READ | VM_WRITE | VM_EXEC
MAP_GROWSDOWN = 0x100

#: From here up, the kernel picks addresses (asm/processor.h).
TASK_UNMAPPED_BASE = TASK_SIZE // 3 & PAGE_MASK


class Mmap(MmapMerge, MmapGrow, MmapLocks, Munmap):
    """All of mm/mmap.c."""

    def find_vma(self, mm: Any, addr: int) -> Any:
        """The first VMA that ends above an address, or None."""
        vma = None
        rb_node = rb_root(mm.mm_rb)
        while rb_node.item is not None:
            vma_tmp = rb_node.item
            if vma_tmp.vm_end > addr:
                vma = vma_tmp
                if vma_tmp.vm_start <= addr:
                    break
                rb_node = rb_node.left
            else:
                rb_node = rb_node.right
        return vma

    def find_vma_prev(self, mm: Any, addr: int) -> tuple[Any, Any]:
        """What find_vma() gives, and the VMA before it."""
        vma, prev = mm.mmap, None
        rb_node = rb_root(mm.mm_rb)
        while rb_node.item is not None:
            vma_tmp = rb_node.item
            if addr < vma_tmp.vm_end:
                rb_node = rb_node.left
            else:
                prev = vma_tmp
                next = prev.vm_next
                if next is None or addr < next.vm_end:
                    break
                rb_node = rb_node.right
        return (vma if prev is None else prev.vm_next), prev

    def find_vma_prepare(self, mm: Any, addr: int) -> tuple[Any, Any, RbLink]:
        """The VMA at or after an address, the one before, and the place for a new one."""
        vma = prev = None
        rb_link = rb_root(mm.mm_rb)
        while rb_link.item is not None:
            vma_tmp = rb_link.item
            if vma_tmp.vm_end > addr:
                vma = vma_tmp
                if vma_tmp.vm_start <= addr:
                    break
                rb_link = rb_link.left
            else:
                prev = vma_tmp
                rb_link = rb_link.right
        return vma, prev, rb_link

    def _vma_link_list(self, mm: Any, vma: Any, prev: Any) -> None:
        """Put a VMA after `prev`, or first."""
        if prev is None:
            vma.vm_next = mm.mmap
            mm.mmap = vma
        else:
            vma.vm_next = prev.vm_next
            prev.vm_next = vma

    def _vma_link_rb(self, mm: Any, vma: Any, rb_link: RbLink) -> None:
        """Put a VMA in the tree."""
        rb_insert(mm.mm_rb, vma, rb_link)

    def _vma_link(self, mm: Any, vma: Any, prev: Any, rb_link: RbLink) -> None:
        """Put a VMA in list and tree."""
        self._vma_link_list(mm, vma, prev)
        self._vma_link_rb(mm, vma, rb_link)

    def vma_link(self, mm: Any, vma: Any, prev: Any, rb_link: RbLink) -> None:
        """Add a VMA to an mm."""
        self.vma_lock_anon_vma(vma)
        self._vma_link(mm, vma, prev, rb_link)
        self.vma_unlock_anon_vma(vma)
        mm.map_count += 1

    def _insert_vm_struct(self, mm: Any, vma: Any) -> None:
        """Add a VMA that was split off another."""
        following, prev, rb_link = self.find_vma_prepare(mm, vma.vm_start)
        BUG_ON(following is not None and following.vm_start < vma.vm_end)
        self._vma_link(mm, vma, prev, rb_link)
        mm.map_count += 1

    def copy_vma(self, vma: Any, addr: int, length: int, pgoff: int) -> tuple[Any, Any, bool]:
        """A VMA like another at a new place, for mremap to move entries to, or None without memory.

        Before it the source: by merging, it may have become part of the new one. After it whether
        the entries are to be moved under the locks of the reverse map.
        """
        mm = vma.vm_mm
        vma_start = vma.vm_start
        if vma.vm_file is None and vma.anon_vma is None:
            pgoff = addr >> PAGE_SHIFT
        _, prev, rb_link = self.find_vma_prepare(mm, addr)
        new_vma = self.copy_vma_merge(vma, prev, addr, addr + length, pgoff)
        if new_vma is not None:
            if new_vma.vm_start <= vma_start < new_vma.vm_end:
                vma = new_vma
            return vma, new_vma, self.copy_vma_merged(vma, new_vma)
        new_vma = self.vm_area_dup(vma)
        if new_vma is None:
            return vma, None, False
        if self.copy_vma_chain(vma, new_vma, addr, length, pgoff):
            kmem_cache_free(self.vm_area_cachep, new_vma)
            return vma, None, False
        self.vma_link(mm, new_vma, prev, rb_link)
        return vma, new_vma, False

    # Cut out of copy_vma for 948f017b0993 "mremap: enforce rmap src/dst vma ordering in case of
    # vma_merge() succeeding in copy_vma()", v3.3.

    def copy_vma_merged(self, vma: Any, new_vma: Any) -> bool:
        """The new place is part of a VMA that was there; what copy_vma says of locks: no.

        A walk may meet that VMA before the source.
        """
        return False

    # Cut out of copy_vma for 523d4e2008fd "mm anon rmap: in mremap, set the new vma's position
    # before anon_vma_clone()", v3.7.

    def copy_vma_chain(self, vma: Any, new_vma: Any, addr: int, length: int, pgoff: int) -> int:
        """Let the new VMA be found, and then tell where it is; 0 or -ENOMEM."""
        if self.anon_vma_clone(new_vma, vma):
            return -ENOMEM
        self.copy_vma_place(new_vma, addr, length, pgoff)
        return 0

    def copy_vma_place(self, new_vma: Any, addr: int, length: int, pgoff: int) -> None:
        """Tell where the new VMA is."""
        new_vma.vm_start = addr
        new_vma.vm_end = addr + length
        new_vma.vm_pgoff = pgoff

    # Cut out of copy_vma for 61f67c230a5e "mm/vma: fix anon_vma UAF on mremap() faulted, unfaulted
    # merge", v6.19.

    def copy_vma_merge(self, vma: Any, prev: Any, addr: int, end: int, pgoff: int) -> Any:
        """Let a neighbour of the new place grow over it; that, or None."""
        return self.vma_merge(
            vma.vm_mm, prev, addr, end, vma.vm_flags, vma.anon_vma, vma.vm_file, pgoff
        )

    def get_unmapped_area(self, mm: Any, length: int) -> int:
        """Room at an address of the kernel's choice, the lowest; or -ENOMEM."""
        addr = TASK_UNMAPPED_BASE
        vma = self.find_vma(mm, addr)
        while vma is not None and vma.vm_start < addr + length:
            addr = vma.vm_end
            vma = vma.vm_next
        return addr if addr + length <= TASK_SIZE else -ENOMEM

    def sys_mmap(
        self, mm: Any, addr: int, length: int, prot: int, fixed: bool = False, file: Any = None,
        flags: int = 0,
    ) -> int:  # fmt: skip
        """The mmap system call."""
        down_write(mm.mmap_sem)
        ret = self.do_mmap(mm, addr, length, prot, fixed, file, flags=flags)
        self.mmap_write_unlock(mm)
        return ret

    def do_mmap(
        self, mm: Any, addr: int, length: int, prot: int, fixed: bool = False, file: Any = None,
        pgoff: int = 0, flags: int = 0,
    ) -> int:  # fmt: skip
        """Map a private range at an address, anonymous or of a file; the address, or an error.

        With `fixed` (MAP_FIXED) what is there goes away. Without, an occupied range is -ENOMEM:
        scenarios name their addresses, so none is picked here. Of other flags MAP_GROWSDOWN counts.
        """
        length = PAGE_ALIGN(length)
        if length == 0 or addr & ~PAGE_MASK:
            return -EINVAL
        if addr + length > TASK_SIZE or mm.map_count > self.sysctl_max_map_count:
            return -ENOMEM
        if not fixed:
            vma = self.find_vma(mm, addr)
            if vma is not None and vma.vm_start < addr + length:
                return self.mmap_occupied()
        if file is None:
            pgoff = addr >> PAGE_SHIFT
        vm_flags = prot & PROT_MASK | self.calc_vm_flag_bits(flags)
        return self.mmap_region(mm, addr, length, vm_flags, file, pgoff)

    # Cut out of do_mmap for a4ff8e8620d3 "mm: introduce MAP_FIXED_NOREPLACE", v4.17.

    def mmap_occupied(self) -> int:
        """The error of a mapping that would have to replace another."""
        return -ENOMEM

    def calc_vm_flag_bits(self, flags: int) -> int:
        """What the flags of a mmap mean for its VMA (include/linux/mman.h)."""
        return VM_GROWSDOWN if flags & MAP_GROWSDOWN else 0

    def mmap_region(
        self, mm: Any, addr: int, length: int, vm_flags: int, file: Any, pgoff: int
    ) -> int:
        """Clear a range and map it anew, by growing a neighbour if one fits."""
        vma, prev, rb_link = self.find_vma_prepare(mm, addr)
        while vma is not None and vma.vm_start < addr + length:
            if self.do_munmap(mm, addr, length):
                return -ENOMEM
            vma, prev, rb_link = self.find_vma_prepare(mm, addr)
        if self.accountable_mapping(vm_flags):
            vm_flags |= VM_ACCOUNT
        if self.vma_merge(mm, prev, addr, addr + length, vm_flags, None, file, pgoff) is not None:
            return addr
        vma = kmem_cache_alloc(self.vm_area_cachep)
        if vma is None:
            return -ENOMEM
        vma.vm_mm = mm
        vma.vm_start = addr
        vma.vm_end = addr + length
        vma.vm_flags = vm_flags
        vma.vm_pgoff = pgoff
        self.anon_vma_chain_init(vma)
        vma.vm_file = file
        self.vma_link(mm, vma, prev, rb_link)
        self.ksm_add_vma(vma)
        return addr

    def accountable_mapping(self, vm_flags: int) -> bool:
        """Whether the pages of a private mapping count against the overcommit limit."""
        return bool(vm_flags & VM_WRITE)

    def do_brk(self, mm: Any, addr: int, length: int) -> int:
        """Map the heap's next pages: what mmap does, readable and writable."""
        length = PAGE_ALIGN(length)
        if length == 0:
            return addr
        if addr & ~PAGE_MASK or addr + length > TASK_SIZE:
            return -EINVAL
        return self.mmap_region(mm, addr, length, VM_READ | VM_WRITE, None, addr >> PAGE_SHIFT)
