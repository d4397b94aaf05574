"""mm/memory.c, second part: faults on entries that are neither empty nor present."""

from __future__ import annotations

from typing import Any, NamedTuple

from rmaplab.kernel.base import KernelBase
from rmaplab.kernel.memory import (
    VM_FAULT_ERROR,
    VM_FAULT_OOM,
    VM_FAULT_SIGBUS,
    maybe_mkwrite,
    mk_pte,
)
from rmaplab.kernel.mm_types import VM_LOCKED
from rmaplab.kernel.pgtable import SwapEntry, is_migration_entry
from rmaplab.machine import pte_get, set_pte_at, spin_lock, spin_unlock


class SwapFault(NamedTuple):
    """What do_swap_page() is called with, and `orig_pte` as the swap entry that it is."""

    mm: Any
    vma: Any
    address: int
    page_table: Any
    entry: SwapEntry
    write: bool


class MemorySwap(KernelBase):
    """do_swap_page(), cut at its labels and where later commits change it."""

    def do_swap_page(
        self, mm: Any, vma: Any, address: int, page_table: Any, orig_pte: Any, write: bool
    ) -> int:
        """Wait for a migration, or map a page that swap has."""
        if not isinstance(orig_pte, SwapEntry):
            if not is_migration_entry(orig_pte):
                return VM_FAULT_SIGBUS
            self.migration_entry_wait(mm, page_table)
            return 0
        fault = SwapFault(mm, vma, address, page_table, orig_pte, write)
        page = self.lookup_swap_cache(orig_pte)
        if page is None:
            page = self.read_swap_cache_async(orig_pte, vma, address)
            if page is None:
                return self.swapin_failed(fault)
        self.lock_page(page)
        return self.swapin_locked(fault, page)

    def swapin_failed(self, fault: SwapFault) -> int:
        """There is no page: no memory, unless somebody else has faulted it in."""
        spin_lock(fault.mm.page_table_lock)
        same = pte_get(fault.page_table) == fault.entry
        spin_unlock(fault.mm.page_table_lock)
        return VM_FAULT_OOM if same else 0

    def swapin_locked(self, fault: SwapFault, page: Any) -> int:
        """Go on with a locked page that was found in the swap cache or read."""
        page = self.ksm_might_need_to_copy(page, fault.vma, fault.address)
        if page is None:
            return VM_FAULT_OOM
        return self.swapin_map(fault, page, None)

    def swapin_map(self, fault: SwapFault, page: Any, swapcache: Any) -> int:
        """Map a locked page, unless somebody else has; `swapcache` is what it is a copy of.

        reuse_swap_page() counts the slot's users before the new mapping is one in place of it.
        """
        spin_lock(fault.mm.page_table_lock)
        if pte_get(fault.page_table) != fault.entry:
            spin_unlock(fault.mm.page_table_lock)
            self.unlock_page(page)
            self.put_page(page)
            self.swapin_release(swapcache)
            return 0
        flags = fault.vma.vm_flags
        pte = mk_pte(self.page_to_pfn(page), flags)
        exclusive = fault.write and self.reuse_swap_page(page)
        if exclusive:
            pte = maybe_mkwrite(pte._replace(dirty=True), flags)
        set_pte_at(fault.page_table, pte)
        self.swapin_add_rmap(page, fault.vma, fault.address, exclusive)
        self.swap_free(fault.entry)
        if self.vm_swap_full() or flags & VM_LOCKED or page.mlocked:
            self.try_to_free_swap(page)
        self.unlock_page(page)
        self.swapin_release(swapcache)
        return self.swapin_finish(fault, pte, exclusive)

    def swapin_add_rmap(self, page: Any, vma: Any, address: int, exclusive: bool) -> None:
        """Count the mapping: for the oldest anon_vma, also where the page is this VMA's alone."""
        self.page_add_anon_rmap(page, vma, address)

    def swapin_finish(self, fault: SwapFault, pte: Any, exclusive: bool) -> int:
        """Copy the page if a write found it shared; the entry is unlocked."""
        if fault.write and not exclusive:
            ret: int = self.do_wp_page(fault.mm, fault.vma, fault.address, fault.page_table, pte)
            return ret & VM_FAULT_ERROR if ret & VM_FAULT_ERROR else ret
        spin_unlock(fault.mm.page_table_lock)
        return 0

    def swapin_release(self, swapcache: Any) -> None:
        """Let go of the page that was copied: nothing to do until 4969c1192d15, v2.6.36."""
