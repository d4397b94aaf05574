"""mm/swapfile.c: the swap map of the one swap device, and giving the device up.

Left out: more than one device, priorities, clusters, and the block layer. A count does not end at
SWAP_MAP_MAX: where the kernel goes on in continuation pages, the number here just grows.
"""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.base import KernelBase
from rmaplab.kernel.pgtable import SwapEntry
from rmaplab.kernel.swap_state import EEXIST, ENOENT
from rmaplab.machine import (
    BUG_ON,
    VM_BUG_ON,
    BitLock,
    ListHead,
    SpinLock,
    Struct,
    atomic_compare,
    atomic_inc_not_zero,
    bitlock,
    list_add,
    list_add_after,
    list_del,
    list_for_each_entry,
    list_head,
    pointer,
    spin_lock,
    spin_unlock,
    spinlock,
    trylock_bit,
    unlock_bit,
    value,
)

#: In swap_map: the swap cache has the slot. (0x40 in the kernel, where a count is of 6 bits.)
SWAP_HAS_CACHE = 1 << 16

#: Slots of the device; the first is its header.
SWAP_SLOTS = 64


class SwapSlot(Struct):
    """A slot of the device: its byte in swap_map, its place in the tree, and what is on the disk.

    `moving` is locked while swap map and tree disagree about the swap cache, so that who finds
    them so can wait; the kernel polls.
    """

    swap_map: int = value(0, marked="swapoff looks for used slots without swap_lock")
    page: Any = pointer(marked="looked up under RCU alone")
    contents: Any = value(None)
    moving: BitLock = bitlock()


class SwapInfo(Struct):
    """struct swap_info_struct, swapper_space and the static variables around them."""

    swap_lock: SpinLock = spinlock()
    tree_lock: SpinLock = spinlock()  # swapper_space.tree_lock
    writeok: bool = value(False)  # SWP_WRITEOK
    nr_swap_pages: int = value(0, marked="vm_swap_full() is a guess")
    mmlist_lock: SpinLock = spinlock()
    mmlist: ListHead = list_head()  # init_mm.mmlist: the address spaces that may have swap entries


def swap_count(ent: int) -> int:
    """How many entries of page tables a byte of swap_map counts."""
    return ent & ~SWAP_HAS_CACHE


class SwapMap(KernelBase):
    """The counts of slots, and who may have a page for himself."""

    def boot(self) -> None:
        """The static variables, and a device that is switched on."""
        super().boot()
        if not self.CONFIG_SWAP:
            return
        self.swap = self.machine.static(SwapInfo, "swap")
        self.swap_slots: list[Any] = [
            self.machine.static(SwapSlot, f"swap_slot_{number}") for number in range(SWAP_SLOTS)
        ]
        self.swap.writeok = True
        self.swap.nr_swap_pages = SWAP_SLOTS - 1

    def swap_slot(self, entry: SwapEntry) -> Any:
        """The slot that an entry names."""
        return self.swap_slots[entry.offset]

    def vm_swap_full(self) -> bool:
        """Whether more than half of the device is in use (include/linux/swap.h)."""
        return self.CONFIG_SWAP and self.swap.nr_swap_pages * 2 < SWAP_SLOTS - 1

    def get_swap_page(self) -> SwapEntry | None:
        """The first free slot, marked as that of the swap cache; None if there is none."""
        spin_lock(self.swap.swap_lock)
        entry = self.scan_swap_map() if self.swap.writeok else None
        if entry is not None:
            self.swap.nr_swap_pages -= 1
        spin_unlock(self.swap.swap_lock)
        return entry

    def scan_swap_map(self) -> SwapEntry | None:
        """Look for a free slot and take it."""
        for offset in range(1, SWAP_SLOTS):
            slot = self.swap_slots[offset]
            if not slot.swap_map:
                slot.swap_map = SWAP_HAS_CACHE
                BUG_ON(not trylock_bit(slot.moving), "scan_swap_map: a free slot is not settled")
                return SwapEntry(offset)
        return None

    def _swap_duplicate(self, entry: SwapEntry, usage: int) -> int:
        """Count a user of a slot or the swap cache; 0 or an error. (__swap_duplicate.)"""
        slot = self.swap_slot(entry)
        spin_lock(self.swap.swap_lock)
        ent = slot.swap_map
        err = 0
        if not ent:
            err = -ENOENT
        elif usage == SWAP_HAS_CACHE and ent & SWAP_HAS_CACHE:
            err = -EEXIST
        else:
            slot.swap_map = ent + usage
            if usage == SWAP_HAS_CACHE:
                BUG_ON(not trylock_bit(slot.moving), "swapcache_prepare: the slot is not settled")
        spin_unlock(self.swap.swap_lock)
        return err

    def swap_duplicate(self, entry: SwapEntry) -> int:
        """Count one more entry of a page table; 0 or -ENOENT."""
        return self._swap_duplicate(entry, 1)

    def swapcache_prepare(self, entry: SwapEntry) -> int:
        """Announce a page for the swap cache; 0, -EEXIST or -ENOENT."""
        return self._swap_duplicate(entry, SWAP_HAS_CACHE)

    def swap_entry_free(self, entry: SwapEntry, usage: int) -> int:
        """Count one user less; what is left of swap_map. swap_lock is held.

        The kernel complains about a slot that nobody uses, and goes on; here that is a stop.
        """
        slot = self.swap_slot(entry)
        ent = slot.swap_map
        gone = ent & SWAP_HAS_CACHE if usage == SWAP_HAS_CACHE else swap_count(ent)
        BUG_ON(not gone, "swap_free: Unused swap offset entry")
        slot.swap_map = ent - usage
        if ent == usage:
            self.swap.nr_swap_pages += 1
        return int(ent - usage)

    def swap_free(self, entry: SwapEntry) -> None:
        """One entry of a page table less."""
        spin_lock(self.swap.swap_lock)
        self.swap_entry_free(entry, 1)
        spin_unlock(self.swap.swap_lock)

    def swapcache_free(self, entry: SwapEntry) -> None:
        """The swap cache does not have the slot any more."""
        spin_lock(self.swap.swap_lock)
        self.swap_entry_free(entry, SWAP_HAS_CACHE)
        unlock_bit(self.swap_slot(entry).moving)
        spin_unlock(self.swap.swap_lock)

    def page_swapcount(self, page: Any) -> int:
        """How many entries of page tables name the slot of a page."""
        slot = self.swap_slot(page.private)
        spin_lock(self.swap.swap_lock)
        count = swap_count(slot.swap_map)
        spin_unlock(self.swap.swap_lock)
        return count

    def reuse_swap_page(self, page: Any) -> bool:
        """Whether a locked page is the writer's alone; it then leaves the swap cache.

        While it is being written it stays there, and is not marked dirty: its entry will be.
        """
        VM_BUG_ON(not self.PageLocked(page), "reuse_swap_page() of an unlocked page")
        if self.PageKsm(page):
            return False
        if atomic_compare(page._mapcount, ">", 0):  # page_mapcount(page) > 1
            return False
        if not self.PageSwapCache(page):
            return True
        count = self.page_mapcount(page) + self.page_swapcount(page)
        if count == 1 and not self.PageWriteback(page):
            self.delete_from_swap_cache(page)
            page.dirty = True
        return bool(count <= 1)

    def try_to_free_swap(self, page: Any) -> bool:
        """Take a locked page out of the swap cache if no entry names its slot; whether it did."""
        VM_BUG_ON(not self.PageLocked(page), "try_to_free_swap() of an unlocked page")
        if not self.PageSwapCache(page) or self.PageWriteback(page) or self.page_swapcount(page):
            return False
        self.delete_from_swap_cache(page)
        page.dirty = True
        return True

    def free_swap_and_cache(self, entry: SwapEntry) -> None:
        """One entry of a page table less; with the last one the page leaves the swap cache."""
        page = None
        spin_lock(self.swap.swap_lock)
        if self.swap_entry_free(entry, 1) == SWAP_HAS_CACHE:
            page = self.find_get_page(entry)
            if page is not None and not self.trylock_page(page):
                self.put_page(page)
                page = None
        spin_unlock(self.swap.swap_lock)
        if page is None:
            return
        idle = self.PageSwapCache(page) and not self.PageWriteback(page)
        if idle and (not self.page_mapped(page) or self.vm_swap_full()):
            self.delete_from_swap_cache(page)
            page.dirty = True
        self.unlock_page(page)
        self.put_page(page)

    # The list of address spaces for swapoff. The kernel first asks without mmlist_lock whether a
    # mm is on it already.

    def mmlist_add(self, mm: Any, beside: Any = None) -> None:
        """Let swapoff find an address space: a child after its parent (`beside`)."""
        spin_lock(self.swap.mmlist_lock)
        if not mm.mmlist.linked():
            if beside is not None and beside.mmlist.linked():
                list_add_after(mm.mmlist, self.swap.mmlist, beside.mmlist)
            else:
                list_add(mm.mmlist, self.swap.mmlist)
        spin_unlock(self.swap.mmlist_lock)

    def mmlist_del(self, mm: Any) -> None:
        """An address space that nobody uses has no entries any more: a part of mmput()."""
        if self.CONFIG_SWAP:
            spin_lock(self.swap.mmlist_lock)
            if mm.mmlist.linked():
                list_del(mm.mmlist)
            spin_unlock(self.swap.mmlist_lock)

    def mmlist_users(self) -> list[Any]:
        """The address spaces on the list, with a user more each."""
        spin_lock(self.swap.mmlist_lock)
        mms = list_for_each_entry(self.swap.mmlist)
        found = [mm for mm in mms if atomic_inc_not_zero(mm.mm_users)]
        spin_unlock(self.swap.mmlist_lock)
        return found
