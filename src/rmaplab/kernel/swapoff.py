"""mm/swapfile.c, second part: swapoff, which finds each entry of the device and brings it back."""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.memory import mk_pte
from rmaplab.kernel.mm_types import EFAULT, EINVAL, ENOMEM, PAGE_SIZE
from rmaplab.kernel.pgtable import SwapEntry, is_swap_entry
from rmaplab.kernel.swapfile import SWAP_SLOTS, SwapMap, swap_count
from rmaplab.machine import (
    cond_resched,
    down_read,
    down_read_trylock,
    pgd_addresses,
    pte_get,
    pte_offset_map,
    set_pte_at,
    spin_lock,
    spin_unlock,
    up_read,
)


class Swapfile(SwapMap):
    """All of mm/swapfile.c."""

    def unuse_pte(self, vma: Any, addr: int, entry: SwapEntry, page: Any) -> bool:
        """Map a page where its swap entry is; whether the entry was still there."""
        mm = vma.vm_mm
        ptep = pte_offset_map(mm.pgd, addr)
        if ptep is None:
            return False  # unreached: pgd_addresses() names only what has a table
        spin_lock(mm.page_table_lock)
        swp_pte = pte_get(ptep)
        found = is_swap_entry(swp_pte) and bool(swp_pte.offset == entry.offset)
        if found:
            self.get_page(page)
            pte = mk_pte(self.page_to_pfn(page), vma.vm_flags)
            set_pte_at(ptep, pte._replace(young=False))
            self.unuse_add_rmap(page, vma, addr, swp_pte)
            self.swap_free(entry)
        spin_unlock(mm.page_table_lock)
        return found

    # A line of unuse_pte(), cut out for 1493a1913e34 "mm/swap: remember PG_anon_exclusive via a swp
    # pte bit", v5.19.

    def unuse_add_rmap(self, page: Any, vma: Any, addr: int, swp_pte: SwapEntry) -> None:
        """Count the mapping that takes the place of a swap entry."""
        self.page_add_anon_rmap(page, vma, addr)

    def unuse_vma(self, vma: Any, entry: SwapEntry, page: Any) -> bool:
        """Look where the page would be, or everywhere if nobody knows; whether an entry went."""
        start, end = vma.vm_start, vma.vm_end
        if self.page_anon_vma(page) is not None:
            start = self.page_address_in_vma(page, vma)
            if start == -EFAULT:
                return False
            end = start + PAGE_SIZE
        addresses = pgd_addresses(vma.vm_mm.pgd, start, end)
        return any(self.unuse_pte(vma, addr, entry, page) for addr in addresses)

    def unuse_mm(self, mm: Any, entry: SwapEntry, page: Any) -> None:
        """Map a page where an address space has its swap entry. The page is locked, mostly."""
        if not down_read_trylock(mm.mmap_sem):
            self.unlock_page(page)
            down_read(mm.mmap_sem)
            self.lock_page(page)
        vma = mm.mmap
        while vma is not None:
            if vma.anon_vma is not None and self.unuse_vma(vma, entry, page):
                break
            vma = vma.vm_next
        up_read(mm.mmap_sem)

    def find_next_to_unuse(self, prev: int) -> int:
        """The next slot in use, beginning anew at the end; 0 if there is none."""
        for step in range(1, SWAP_SLOTS + 1):
            offset = (prev + step) % SWAP_SLOTS
            if offset and self.swap_slots[offset].swap_map:
                return offset
        return 0

    def try_to_unuse(self) -> int:
        """Bring back every page of the device; 0 or -ENOMEM.

        All address spaces are looked at for each slot: no start_mm remembers where one was found.
        """
        offset = self.find_next_to_unuse(0)
        while offset:
            entry = SwapEntry(offset)
            page = self.read_swap_cache_async(entry, None, 0)
            if page is not None:
                self.unuse_slot(entry, page)
                cond_resched()
            elif self.swap_slot(entry).swap_map:
                return -ENOMEM
            offset = self.find_next_to_unuse(offset)
        return 0

    # The body of the loop in try_to_unuse(), cut out for length.

    def unuse_slot(self, entry: SwapEntry, page: Any) -> None:
        """Map the page of a slot wherever it belongs, and take it out of the swap cache.

        If an entry is left (a merged page was one at several places) the slot is read once more.
        """
        slot = self.swap_slot(entry)
        self.wait_on_page_locked(page)
        self.wait_on_page_writeback(page)
        self.lock_page(page)
        self.wait_on_page_writeback(page)
        for mm in self.mmlist_users():
            if swap_count(slot.swap_map):
                self.unuse_mm(mm, entry, page)
            self.mmput(mm)
        if swap_count(slot.swap_map) and page.dirty and self.PageSwapCache(page):
            page.dirty = False
            self.swap_writepage(page)
            self.lock_page(page)
            self.wait_on_page_writeback(page)
        if self.PageSwapCache(page) and page.private == entry:
            self.delete_from_swap_cache(page)
        page.dirty = True
        self.unlock_page(page)
        self.put_page(page)

    def sys_swapoff(self) -> int:
        """Give up the device: 0, -EINVAL if that has been done, or -ENOMEM and all is as before."""
        if not self.CONFIG_SWAP:
            return -EINVAL
        spin_lock(self.swap.swap_lock)
        was_on = self.swap.writeok
        self.swap.writeok = False
        spin_unlock(self.swap.swap_lock)
        if not was_on:
            return -EINVAL
        err = self.try_to_unuse()
        if err:
            self.swap_set_writeok()
        return err

    def swap_set_writeok(self) -> None:
        """Slots may be given out again."""
        spin_lock(self.swap.swap_lock)
        self.swap.writeok = True
        spin_unlock(self.swap.swap_lock)

    def sys_swapon(self) -> int:
        """Take the device into use again."""
        if not self.CONFIG_SWAP or self.swap.writeok:
            return -EINVAL
        self.swap_set_writeok()
        return 0
