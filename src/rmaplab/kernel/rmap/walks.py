"""mm/rmap.c, third part: the walks over all mappings of a page.

Left out: swap tokens, memory cgroups, poisoned pages, and file pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rmaplab.kernel.mm_types import EFAULT, VM_LOCKED, VM_SEQ_READ
from rmaplab.kernel.rmap.pages import PageRmap
from rmaplab.kernel.rmap.structs import (
    SWAP_AGAIN,
    SWAP_FAIL,
    SWAP_MLOCK,
    SWAP_SUCCESS,
    TTU_ACTION,
    TTU_IGNORE_ACCESS,
    TTU_IGNORE_MLOCK,
    TTU_MIGRATION,
    TTU_MUNLOCK,
)
from rmaplab.machine import (
    BUG_ON,
    VM_BUG_ON,
    BugOn,
    PtePointer,
    down_read_trylock,
    list_for_each_entry,
    pte_get,
    ptep_get_and_clear,
    set_pte_at,
    spin_unlock,
    up_read,
)

RmapOne = Callable[[Any, Any, int, Any], int]


def ptep_clear_flush_young(pte: PtePointer) -> bool:
    """Clear the accessed bit of an entry, and say whether it was set (asm/pgtable.h)."""
    entry = pte_get(pte)
    if entry.young:
        set_pte_at(pte, entry._replace(young=False))
    return bool(entry.young)


class Walks(PageRmap):
    """The functions that visit every page table entry which maps a page."""

    # The loop over same_anon_vma, cut out for bf181b9f9d8d "mm anon rmap: replace same_anon_vma
    # linked list with an interval tree.", v3.7.

    def anon_vma_entries(self, anon_vma: Any, page: Any = None) -> Iterator[Any]:
        """The entries of the VMAs where a page may be: all of the anon_vma, in the list's order."""
        return list_for_each_entry(anon_vma.head)

    # The kernel also collects the flags of the VMAs in which the page was used, for vmscan: it asks
    # only for VM_LOCKED. What it does through a pointer to `mapcount` is a second result.

    def page_referenced_one(
        self, page: Any, vma: Any, address: int, mapcount: int
    ) -> tuple[int, int]:
        """Test and clear the accessed bit of one mapping; how many mappings are still to be met."""
        mm = vma.vm_mm
        pte = self.page_check_address(page, mm, address)
        if pte is None:
            return 0, mapcount
        referenced = 0
        if vma.vm_flags & VM_LOCKED:
            mapcount = 1  # break early from the walk
        elif ptep_clear_flush_young(pte) and not vma.vm_flags & VM_SEQ_READ:
            referenced = 1
        spin_unlock(mm.page_table_lock)
        return referenced, mapcount - 1

    def page_referenced_anon(self, page: Any) -> int:
        """Count the references to an anonymous page, until all its mappings are met."""
        anon_vma = self.page_lock_anon_vma(page)
        if anon_vma is None:
            return 0
        referenced = 0
        mapcount = self.page_mapcount(page)
        for avc in self.anon_vma_entries(anon_vma, page):
            vma = avc.vma
            address = self.vma_address(page, vma)
            if address == -EFAULT:
                continue
            seen, mapcount = self.page_referenced_one(page, vma, address, mapcount)
            referenced += seen
            if not mapcount:
                break
        self.page_unlock_anon_vma(anon_vma)
        return referenced

    def page_referenced(self, page: Any, is_locked: bool) -> int:
        """How many mappings of a page were used since they were last asked."""
        if not self.page_mapped(page) or self.page_rmapping(page) is None:
            return 0
        we_locked = False
        if not is_locked and (not self.PageAnon(page) or self.PageKsm(page)):
            we_locked = self.trylock_page(page)
            if not we_locked:
                return 1
        referenced = 0
        if self.PageKsm(page):
            referenced = self.page_referenced_ksm(page)
        elif self.PageAnon(page):
            referenced = self.page_referenced_anon(page)
        if we_locked:
            self.unlock_page(page)
        return referenced

    def try_to_unmap_one(self, page: Any, vma: Any, address: int, flags: int) -> int:
        """Take one mapping of a page away, or tell what forbids it."""
        mm = vma.vm_mm
        pte = self.page_check_address(page, mm, address)
        if pte is None:
            return SWAP_AGAIN
        if not flags & TTU_IGNORE_MLOCK:
            if vma.vm_flags & VM_LOCKED:
                spin_unlock(mm.page_table_lock)
                return self.try_to_mlock_one(page, vma)
            if TTU_ACTION(flags) == TTU_MUNLOCK:
                spin_unlock(mm.page_table_lock)
                return SWAP_AGAIN
        if not flags & TTU_IGNORE_ACCESS and ptep_clear_flush_young(pte):
            spin_unlock(mm.page_table_lock)
            return SWAP_FAIL
        ret = self.try_to_unmap_pte(page, mm, pte, flags)
        spin_unlock(mm.page_table_lock)
        return ret

    # The two functions below are the middle and the end of try_to_unmap_one, cut out for length.

    def try_to_unmap_pte(self, page: Any, mm: Any, pte: PtePointer, flags: int) -> int:
        """Replace an entry by one that tells where the page went. The entry is locked."""
        entry = ptep_get_and_clear(pte)
        if entry.dirty:
            page.dirty = True
        ret, instead = self.entry_instead(page, mm, entry, flags)
        if ret == SWAP_FAIL:
            set_pte_at(pte, entry)
            return ret
        if instead is not None:
            set_pte_at(pte, instead)
        self.page_remove_rmap(page)
        self.page_cache_release(page)
        return ret

    # Cut out of try_to_unmap_one for f7ad2a6cb9f7 "mm: move MADV_FREE pages into LRU_INACTIVE_FILE
    # list", v4.12, and 6c287605fd56 "mm: remember exclusively mapped anonymous pages with
    # PG_anon_exclusive", v5.19.

    def entry_instead(self, page: Any, mm: Any, entry: Any, flags: int) -> tuple[int, Any]:
        """SWAP_AGAIN and the entry that tells where the page went; SWAP_FAIL if it has to stay."""
        if self.PageSwapCache(page):
            if self.swap_duplicate(page.private):
                return SWAP_FAIL, None  # unreached: a page of the swap cache has a slot
            self.mmlist_add(mm)
            return SWAP_AGAIN, page.private
        if self.CONFIG_MIGRATION:
            BUG_ON(TTU_ACTION(flags) != TTU_MIGRATION, "try_to_unmap of a page without swap")
            return SWAP_AGAIN, self.make_migration_entry(page, entry.write)
        return SWAP_AGAIN, None

    def try_to_mlock_one(self, page: Any, vma: Any) -> int:
        """Mark a page found in a locked VMA as such, if mmap_sem can be had without waiting."""
        ret = SWAP_AGAIN
        mm = vma.vm_mm
        if down_read_trylock(mm.mmap_sem):
            if vma.vm_flags & VM_LOCKED:
                self.mlock_vma_page(page)
                ret = SWAP_MLOCK
            up_read(mm.mmap_sem)
        return ret

    def try_to_unmap_anon(self, page: Any, flags: int) -> int:
        """Take the mappings of an anonymous page away, or look for a locked VMA among them."""
        ret = SWAP_AGAIN
        anon_vma = self.page_lock_anon_vma(page)
        if anon_vma is None:
            return ret
        for avc in self.anon_vma_entries(anon_vma, page):
            vma = avc.vma
            address = self.vma_address(page, vma)
            if address == -EFAULT:
                continue
            ret = self.try_to_unmap_one(page, vma, address, flags)
            if ret != SWAP_AGAIN or not self.page_mapped(page):
                break
        self.page_unlock_anon_vma(anon_vma)
        return ret

    def try_to_unmap_file(self, page: Any, flags: int) -> int:
        """There are no file pages: the kernel would follow a NULL mapping here."""
        raise BugOn("NULL pointer dereference: the page has no mapping")

    def try_to_unmap(self, page: Any, flags: int) -> int:
        """Take all mappings of a locked page away; SWAP_SUCCESS if none is left."""
        BUG_ON(not self.PageLocked(page), "try_to_unmap: the page is not locked")
        if self.PageKsm(page):
            ret: int = self.try_to_unmap_ksm(page, flags)
        elif self.PageAnon(page):
            ret = self.try_to_unmap_anon(page, flags)
        else:
            ret = self.try_to_unmap_file(page, flags)
        if ret != SWAP_MLOCK and not self.page_mapped(page):
            ret = SWAP_SUCCESS
        return ret

    def try_to_munlock(self, page: Any) -> int:
        """Whether another locked VMA maps a locked page: SWAP_MLOCK, and it is marked again."""
        VM_BUG_ON(not self.PageLocked(page), "try_to_munlock: the page is not locked")
        if self.PageKsm(page):
            ret: int = self.try_to_unmap_ksm(page, TTU_MUNLOCK)
            return ret
        if self.PageAnon(page):
            return self.try_to_unmap_anon(page, TTU_MUNLOCK)
        return self.try_to_unmap_file(page, TTU_MUNLOCK)

    # With CONFIG_MIGRATION only.

    def rmap_walk_anon(self, page: Any, rmap_one: RmapOne, arg: Any) -> int:
        """Visit each place where an anonymous page belongs, mapped or not.

        Nothing is checked and RCU is not taken: the caller keeps the anon_vma alive.
        """
        ret = SWAP_AGAIN
        anon_vma = self.page_anon_vma(page)
        if anon_vma is None:
            return ret
        self.anon_vma_lock_read(anon_vma)
        for avc in self.anon_vma_entries(anon_vma, page):
            vma = avc.vma
            address = self.vma_address(page, vma)
            if address == -EFAULT:
                continue
            ret = rmap_one(page, vma, address, arg)
            if ret != SWAP_AGAIN:
                break
        self.anon_vma_unlock_read(anon_vma)
        return ret

    def rmap_walk(self, page: Any, rmap_one: RmapOne, arg: Any) -> int:
        """Call `rmap_one(page, vma, address, arg)` for each place where a locked page belongs."""
        VM_BUG_ON(not self.PageLocked(page), "rmap_walk: the page is not locked")
        if self.PageKsm(page):
            ret: int = self.rmap_walk_ksm(page, rmap_one, arg)
            return ret
        if self.PageAnon(page):
            return self.rmap_walk_anon(page, rmap_one, arg)
        return SWAP_AGAIN
