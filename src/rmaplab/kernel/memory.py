"""mm/memory.c: page faults, and copying and zapping page table entries.

What is assumed here: every mapping is private (is_cow_mapping() holds for each VMA), and
mm.page_table_lock guards every entry, as in a kernel for fewer than 4 CPUs.
Page tables are walked by the addresses that have tables, not level by level.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from rmaplab.kernel.base import KernelBase
from rmaplab.kernel.contents import ZERO
from rmaplab.kernel.mm_types import ENOMEM, VM_EXEC, VM_LOCKED, VM_READ, VM_WRITE
from rmaplab.kernel.pgtable import (
    ZERO_PFN,
    Pte,
    is_swap_entry,
    pte_mkdirty,
    pte_mkwrite,
    pte_present,
    pte_setyoung,
    pte_wrprotect,
)
from rmaplab.machine import (
    VM_BUG_ON,
    free_pgd_range,
    pgd_addresses,
    pte_alloc_map,
    pte_get,
    pte_offset_map,
    ptep_get_and_clear,
    set_pte_at,
    spin_lock,
    spin_unlock,
)

VM_FAULT_OOM = 1
VM_FAULT_SIGBUS = 2
VM_FAULT_WRITE = 8
VM_FAULT_ERROR = VM_FAULT_OOM | VM_FAULT_SIGBUS

PMD_SIZE = 1 << 21


class MmuGather(NamedTuple):
    """struct mmu_gather: pages unmapped from an address space, kept until its TLBs are flushed."""

    mm: Any
    pages: list[Any]


# Entries. An entry that is not young lets nobody in: the next access faults, and the fault makes
# it young. So the processor here has no accessed bit of its own, and PROT_NONE is "never young".


def pte_mkyoung(pte: Pte, vm_flags: int) -> Pte:
    """Open the entry for accesses, unless its VMA is PROT_NONE."""
    return pte_setyoung(pte, bool(vm_flags & (VM_READ | VM_WRITE | VM_EXEC)))


def mk_pte(pfn: int, vm_flags: int) -> Pte:
    """A new entry with vm_page_prot: that of a private mapping never allows writing."""
    return Pte(pfn, young=bool(vm_flags & (VM_READ | VM_WRITE | VM_EXEC)))


def pte_modify(pte: Pte, vm_flags: int) -> Pte:
    """The entry with another vm_page_prot."""
    return pte_mkyoung(pte_wrprotect(pte), vm_flags)


def maybe_mkwrite(pte: Pte, vm_flags: int) -> Pte:
    """Allow writing if the VMA does; without VM_WRITE it is a write forced by the kernel."""
    return pte_mkwrite(pte) if vm_flags & VM_WRITE else pte


class Memory(KernelBase):
    """Faults, what fork copies, and unmapping."""

    def vm_normal_page(self, vma: Any, address: int, pte: Pte) -> Any:
        """The struct page that an entry maps; None for the zero page."""
        return None if pte.special else self.pfn_to_page(pte.pfn)

    def follow_page(self, vma: Any, address: int) -> Any:
        """The page mapped at an address with a reference taken (FOLL_GET), or None.

        The zero page gives None as well: the kernel returns it, and no caller here has a use
        for a page that is neither anonymous nor KSM's.
        """
        mm = vma.vm_mm
        page = None
        ptep = pte_offset_map(mm.pgd, address)
        if ptep is None:
            return None
        spin_lock(mm.page_table_lock)
        pte = pte_get(ptep)
        if pte_present(pte):
            page = self.vm_normal_page(vma, address, pte)
            if page is not None:
                self.get_page(page)
        spin_unlock(mm.page_table_lock)
        return page

    # Page faults. Entered with mmap_sem held for reading; the entry is not locked.

    def handle_mm_fault(self, mm: Any, vma: Any, address: int, write: bool) -> int:
        """Resolve a fault; a mask of VM_FAULT_*."""
        pte = pte_alloc_map(mm.pgd, address)
        if pte is None:
            return VM_FAULT_OOM
        return self.handle_pte_fault(mm, vma, address, pte, write)

    def handle_pte_fault(self, mm: Any, vma: Any, address: int, pte: Any, write: bool) -> int:
        """Resolve a fault whose entry is found."""
        entry = pte_get(pte)
        if not pte_present(entry):
            if entry is not None:
                ret: int = self.do_swap_page(mm, vma, address, pte, entry, write)
                return ret
            if vma.vm_file is not None:
                return VM_FAULT_SIGBUS  # a file VMA has no pages here
            return self.do_anonymous_page(mm, vma, address, pte, write)
        spin_lock(mm.page_table_lock)
        if pte_get(pte) == entry:
            updated = entry
            if write:
                if not entry.write:
                    return self.do_wp_page(mm, vma, address, pte, entry)
                updated = pte_mkdirty(updated)
            updated = pte_mkyoung(updated, vma.vm_flags)
            if updated != entry:
                set_pte_at(pte, updated)
        spin_unlock(mm.page_table_lock)
        return 0

    def do_anonymous_page(
        self, mm: Any, vma: Any, address: int, page_table: Any, write: bool
    ) -> int:
        """The first touch: the zero page for a read, a page of one's own for a write."""
        if not write:
            entry = mk_pte(ZERO_PFN, vma.vm_flags)._replace(special=True)
            spin_lock(mm.page_table_lock)
            if pte_get(page_table) is None:
                set_pte_at(page_table, entry)
            spin_unlock(mm.page_table_lock)
            return 0
        if self.anon_vma_prepare(vma):
            return VM_FAULT_OOM
        page = self.alloc_page()
        if page is None:
            return VM_FAULT_OOM
        page.contents = ZERO
        entry = mk_pte(self.page_to_pfn(page), vma.vm_flags)
        if vma.vm_flags & VM_WRITE:
            entry = pte_mkwrite(pte_mkdirty(entry))
        spin_lock(mm.page_table_lock)
        if pte_get(page_table) is None:
            self.page_add_new_anon_rmap(page, vma, address)
            set_pte_at(page_table, entry)
        else:
            self.put_page(page)
        spin_unlock(mm.page_table_lock)
        return 0

    def do_wp_page(self, mm: Any, vma: Any, address: int, page_table: Any, orig_pte: Pte) -> int:
        """A write to a present, read-only entry. Entered with the entry locked, left without."""
        old_page = self.vm_normal_page(vma, address, orig_pte)
        if old_page is not None and self.PageAnon(old_page) and not self.PageKsm(old_page):
            if not self.lock_wp_page(mm, page_table, orig_pte, old_page):
                return 0
            reuse = self.reuse_swap_page(old_page)
            if reuse:
                self.page_move_anon_rmap(old_page, vma, address)
            self.unlock_page(old_page)
            if reuse:
                return self.wp_page_reuse(mm, vma, page_table, orig_pte)
        return self.wp_page_copy(mm, vma, address, page_table, orig_pte, old_page)

    # Cut out of do_wp_page() for 52d1e606ee73 "mm: reuse only-pte-mapped KSM page in do_wp_page()",
    # v5.1, which does it for KSM pages too.

    def lock_wp_page(self, mm: Any, page_table: Any, orig_pte: Pte, old_page: Any) -> bool:
        """Lock the page of a locked entry; False, with the entry unlocked, if that has changed."""
        if self.trylock_page(old_page):
            return True
        self.get_page(old_page)
        spin_unlock(mm.page_table_lock)
        self.lock_page(old_page)
        spin_lock(mm.page_table_lock)
        changed = bool(pte_get(page_table) != orig_pte)
        if changed:
            self.unlock_page(old_page)
        self.put_page(old_page)
        if changed:
            spin_unlock(mm.page_table_lock)
        return not changed

    # The two ends of do_wp_page() have had these names since 4.1.

    def wp_page_reuse(self, mm: Any, vma: Any, page_table: Any, orig_pte: Pte) -> int:
        """Make the entry writable and unlock it."""
        vm_flags = vma.vm_flags
        entry = pte_mkdirty(pte_mkyoung(orig_pte, vm_flags))
        set_pte_at(page_table, maybe_mkwrite(entry, vm_flags))
        spin_unlock(mm.page_table_lock)
        return VM_FAULT_WRITE

    def wp_page_copy(
        self, mm: Any, vma: Any, address: int, page_table: Any, orig_pte: Pte, old_page: Any,
        write: bool = True,
    ) -> int:  # fmt: skip
        """Unlock the entry, copy the page (None: the zero page), and map the copy.

        That nobody writes is new in 6cce3314b928, v6.2.
        """
        if old_page is not None:
            self.get_page(old_page)
        spin_unlock(mm.page_table_lock)
        new_page = None if self.anon_vma_prepare(vma) else self.alloc_page()
        if new_page is None:
            if old_page is not None:
                self.put_page(old_page)
            return VM_FAULT_OOM
        new_page.contents = ZERO if old_page is None else old_page.contents
        if old_page is not None and vma.vm_flags & VM_LOCKED:
            self.lock_page(old_page)
            self.clear_page_mlock(old_page)  # else another, perhaps unlocked, would keep it so
            self.unlock_page(old_page)
        spin_lock(mm.page_table_lock)
        ret = 0
        if pte_get(page_table) == orig_pte:
            self.wp_page_switch(vma, address, page_table, old_page, new_page, write)
            ret = VM_FAULT_WRITE
            new_page = old_page  # the reference that the entry had
        for page in (new_page, old_page):
            if page is not None:
                self.put_page(page)
        spin_unlock(mm.page_table_lock)
        return ret

    def wp_page_switch(
        self, vma: Any, address: int, page_table: Any, old_page: Any, new_page: Any, write: bool
    ) -> None:
        """Map the copy in place of the old page; the entry is locked."""
        vm_flags = vma.vm_flags
        entry = mk_pte(self.page_to_pfn(new_page), vm_flags)
        if write:
            entry = maybe_mkwrite(pte_mkdirty(entry), vm_flags)
        ptep_get_and_clear(page_table)
        self.page_add_new_anon_rmap(new_page, vma, address)
        set_pte_at(page_table, entry)
        if old_page is not None:
            # Only now: else another could see itself alone and write to what this task still maps.
            self.page_remove_rmap(old_page)

    # Fork. Both mmap_sems are held for writing.

    def copy_page_range(self, dst_mm: Any, src_mm: Any, vma: Any) -> int:
        """Copy the entries of a VMA; 0 or -ENOMEM."""
        if vma.anon_vma is None:
            return 0  # what is mapped there, faults will map again
        addresses = pgd_addresses(src_mm.pgd, vma.vm_start, vma.vm_end)
        return self.copy_pte_range(dst_mm, src_mm, vma, addresses) if addresses else 0

    def copy_pte_range(self, dst_mm: Any, src_mm: Any, vma: Any, addresses: Iterable[int]) -> int:
        """Copy entries: tables first, since nothing can be allocated under the locks."""
        entries = []
        for address in addresses:
            dst_pte = pte_alloc_map(dst_mm.pgd, address)
            if dst_pte is None:
                return -ENOMEM
            entries.append((address, dst_pte, pte_offset_map(src_mm.pgd, address)))
        return self.copy_ptes(dst_mm, src_mm, vma, entries)

    # The loop of copy_pte_range(), cut out for 70e806e4e645 "mm: Do early cow for pinned pages
    # during fork() for ptes", v5.9, which allocates between two entries.

    def copy_ptes(
        self, dst_mm: Any, src_mm: Any, vma: Any, entries: list[tuple[int, Any, Any]]
    ) -> int:
        """Copy entries: each is its address, the child's pointer and the parent's."""
        spin_lock(dst_mm.page_table_lock)
        spin_lock(src_mm.page_table_lock)
        for address, dst_pte, src_pte in entries:
            self.copy_one_pte(dst_mm, src_mm, dst_pte, src_pte, vma, address)
        spin_unlock(src_mm.page_table_lock)
        spin_unlock(dst_mm.page_table_lock)
        return 0

    def copy_one_pte(
        self, dst_mm: Any, src_mm: Any, dst_pte: Any, src_pte: Any, vma: Any, address: int
    ) -> None:
        """Copy an entry, write-protected in parent and child. It stays young: see pte_mkyoung()."""
        pte = pte_get(src_pte)
        if pte is None:
            return
        if pte_present(pte):
            set_pte_at(dst_pte, self.copy_present_pte(src_pte, pte, vma, address))
        else:
            set_pte_at(dst_pte, self.copy_nonpresent_pte(dst_mm, src_mm, src_pte, pte))

    # The two halves of copy_one_pte() have had these names since 5.9.

    def copy_present_pte(self, src_pte: Any, pte: Pte, vma: Any, address: int) -> Pte:
        """Share what an entry maps with the child: the entry for both."""
        if pte.write:
            pte = pte_wrprotect(pte)
            set_pte_at(src_pte, pte)
        page = self.vm_normal_page(vma, address, pte)
        if page is not None:
            self.get_page(page)
            self.page_dup_rmap(page)
        return pte

    def copy_nonpresent_pte(self, dst_mm: Any, src_mm: Any, src_pte: Any, pte: Any) -> Any:
        """Share a slot of swap, or what a migration entry waits for: the entry for both."""
        if is_swap_entry(pte):
            VM_BUG_ON(self.swap_duplicate(pte), "copy_one_pte: an entry of an unused slot")
            self.mmlist_add(dst_mm, src_mm)
        elif pte.write:
            pte = pte_wrprotect(pte)
            set_pte_at(src_pte, pte)
        return pte

    # Unmapping.

    def tlb_gather_mmu(self, mm: Any) -> MmuGather:
        """Begin to unmap: pages taken out are kept."""
        return MmuGather(mm, [])

    def tlb_remove_page(self, tlb: MmuGather, page: Any) -> None:
        """Keep the reference of an entry that is gone until the end."""
        tlb.pages.append(page)

    def tlb_finish_mmu(self, tlb: MmuGather) -> None:
        """No TLB has the entries any more: let the pages go."""
        self.free_pages_and_swap_cache(tlb.pages)
        tlb.pages.clear()

    def zap_page_range(self, vma: Any, address: int, size: int) -> None:
        """Unmap the pages of a part of a VMA."""
        tlb = self.tlb_gather_mmu(vma.vm_mm)
        self.unmap_vmas(tlb, vma, address, address + size)
        self.tlb_finish_mmu(tlb)

    def unmap_vmas(self, tlb: MmuGather, vma: Any, start_addr: int, end_addr: int) -> None:
        """Unmap what lies in a range, in a VMA and those after it."""
        while vma is not None and vma.vm_start < end_addr:
            start = max(vma.vm_start, start_addr)
            end = min(vma.vm_end, end_addr)
            if start < end:
                self.zap_pte_range(tlb, vma, start, end)
            vma = vma.vm_next

    def zap_pte_range(self, tlb: MmuGather, vma: Any, addr: int, end: int) -> None:
        """Unmap a part of a VMA, where there are page tables."""
        addresses = pgd_addresses(tlb.mm.pgd, addr, end)
        if addresses:
            spin_lock(tlb.mm.page_table_lock)
            for address in addresses:
                self.zap_pte(tlb, vma, address, pte_offset_map(tlb.mm.pgd, address))
            spin_unlock(tlb.mm.page_table_lock)

    def zap_pte(self, tlb: MmuGather, vma: Any, address: int, pte: Any) -> None:
        """Empty one entry; it is locked."""
        ptent = pte_get(pte)
        if ptent is None:
            return
        if not pte_present(ptent):  # a migration entry holds no reference
            if is_swap_entry(ptent):
                self.free_swap_and_cache(ptent)
            set_pte_at(pte, None)
            return
        page = self.vm_normal_page(vma, address, ptent)
        ptep_get_and_clear(pte)
        if page is not None:
            self.page_remove_rmap(page)
            self.tlb_remove_page(tlb, page)

    def free_pgtables(self, tlb: MmuGather, vma: Any) -> None:
        """Hide each VMA of a list from the reverse map, then free its page tables.

        No floor and ceiling: a table here belongs to one address, so no neighbour shares it.
        """
        while vma is not None:
            next = vma.vm_next
            addr = vma.vm_start
            self.unlink_anon_vmas(vma)
            while next is not None and next.vm_start <= vma.vm_end + PMD_SIZE:
                vma = next
                next = vma.vm_next
                self.unlink_anon_vmas(vma)
            free_pgd_range(tlb.mm.pgd, addr, vma.vm_end)
            vma = next
