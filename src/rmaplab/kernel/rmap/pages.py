"""mm/rmap.c, second part: from a page to its anon_vma, and the map count of a page.

A name that starts with two underscores in the kernel starts with one here: Python mangles two.
File pages are not modelled: a page is anonymous, or has no mapping at all.
"""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.mm_types import (
    EFAULT,
    PAGE_MAPPING_ANON,
    PAGE_MAPPING_KSM,
    PAGE_SHIFT,
)
from rmaplab.kernel.pgtable import pte_present
from rmaplab.kernel.rmap.anon_vma import AnonVmas
from rmaplab.machine import (
    BUG_ON,
    READ_ONCE,
    VM_BUG_ON,
    PtePointer,
    atomic_compare,
    atomic_dec,
    atomic_inc,
    atomic_inc_and_test,
    atomic_set,
    list_last_entry,
    pte_get,
    pte_offset_map,
    rcu_read_lock,
    rcu_read_unlock,
    spin_lock,
    spin_unlock,
)

PAGE_MAPPING_FLAGS = PAGE_MAPPING_ANON | PAGE_MAPPING_KSM


def mapping_flags(mapping: tuple[int, Any] | None) -> int:
    """The tags in the low bits of page->mapping."""
    return mapping[0] if mapping is not None else 0


class PageRmap(AnonVmas):
    """The functions that read and set what the reverse map keeps in a page."""

    def PageAnon(self, page: Any) -> bool:
        """Whether a page is anonymous; true for a KSM page too (include/linux/mm.h)."""
        mapping = page.mapping
        return mapping is not None and bool(mapping[0] & PAGE_MAPPING_ANON)

    def page_mapped(self, page: Any) -> bool:
        """Whether any page table entry maps a page."""
        return atomic_compare(page._mapcount, ">=", 0)

    def page_rmapping(self, page: Any) -> Any:
        """What page->mapping points to, without its tags."""
        mapping = page.mapping
        return mapping[1] if mapping is not None else None

    def page_anon_vma(self, page: Any) -> Any:
        """The anon_vma of a page, None for a KSM page. Nothing keeps it alive."""
        mapping = page.mapping
        return mapping[1] if mapping_flags(mapping) == PAGE_MAPPING_ANON else None

    def page_lock_anon_vma(self, page: Any) -> Any:
        """Lock the anon_vma of a page, if it is mapped; RCU is held along with the lock."""
        rcu_read_lock()
        mapping = READ_ONCE(page, "mapping")
        if mapping_flags(mapping) != PAGE_MAPPING_ANON or not self.page_mapped(page):
            rcu_read_unlock()
            return None
        anon_vma = mapping[1]
        self.anon_vma_lock(anon_vma)
        return anon_vma

    def page_unlock_anon_vma(self, anon_vma: Any) -> None:
        """Undo page_lock_anon_vma."""
        self.anon_vma_unlock(anon_vma)
        rcu_read_unlock()

    def linear_page_index(self, vma: Any, address: int) -> int:
        """The page->index of a page at this address (include/linux/pagemap.h)."""
        pgoff: int = (address - vma.vm_start) >> PAGE_SHIFT
        return pgoff + int(vma.vm_pgoff)

    def vma_address(self, page: Any, vma: Any) -> int:
        """Where a page should be mapped in a VMA; -EFAULT if the VMA does not reach there."""
        start: int = vma.vm_start
        address: int = start + ((page.index - vma.vm_pgoff) << PAGE_SHIFT)
        if address < start or address >= vma.vm_end:
            return -EFAULT
        return address

    def page_address_in_vma(self, page: Any, vma: Any) -> int:
        """Where a page should be mapped in a VMA that it is known to belong to."""
        if not self.PageAnon(page):
            return -EFAULT
        return self.vma_address(page, vma)

    def page_check_address(
        self, page: Any, mm: Any, address: int, sync: bool = False
    ) -> PtePointer | None:
        """The entry at this address if it maps the page; mm.page_table_lock is then held.

        Without `sync` an entry that is not present is believed without the lock.
        """
        pte = pte_offset_map(mm.pgd, address)
        if pte is None:
            return None
        if not sync and not pte_present(pte_get(pte)):
            return None
        spin_lock(mm.page_table_lock)
        entry = pte_get(pte)
        if pte_present(entry) and self.page_to_pfn(page) == entry.pfn:
            return pte
        spin_unlock(mm.page_table_lock)
        return None

    def page_mapped_in_vma(self, page: Any, vma: Any) -> bool:
        """Whether the page tables of a VMA really map a page."""
        address = self.vma_address(page, vma)
        if address == -EFAULT:
            return False
        mm = vma.vm_mm
        pte = self.page_check_address(page, mm, address, sync=True)
        if pte is None:
            return False
        spin_unlock(mm.page_table_lock)
        return True

    def page_move_anon_rmap(self, page: Any, vma: Any, address: int) -> None:
        """Give a page that only this process still has to its own anon_vma."""
        anon_vma = vma.anon_vma
        VM_BUG_ON(not self.PageLocked(page), "page_move_anon_rmap: the page is not locked")
        VM_BUG_ON(anon_vma is None, "page_move_anon_rmap: the VMA has no anon_vma")
        VM_BUG_ON(page.index != self.linear_page_index(vma, address))
        page.mapping = (PAGE_MAPPING_ANON, anon_vma)

    def _page_set_anon_rmap(self, page: Any, vma: Any, address: int, exclusive: bool) -> None:
        """Point a page to its anon_vma: the oldest one of the VMA, unless the page is ours."""
        anon_vma = vma.anon_vma
        BUG_ON(anon_vma is None, "__page_set_anon_rmap: the VMA has no anon_vma")
        if not exclusive:
            anon_vma = list_last_entry(vma.anon_vma_chain).anon_vma
        page.mapping = (PAGE_MAPPING_ANON, anon_vma)
        page.index = self.linear_page_index(vma, address)

    def _page_check_anon_rmap(self, page: Any, vma: Any, address: int) -> None:
        """Check that a page which is mapped once more was set up for this address."""
        BUG_ON(page.index != self.linear_page_index(vma, address))

    def page_add_anon_rmap(self, page: Any, vma: Any, address: int) -> None:
        """Count one more mapping of an anonymous page that may be mapped already.

        The page is locked, and the page table entry too.
        """
        first = atomic_inc_and_test(page._mapcount)
        if self.PageKsm(page):
            return
        VM_BUG_ON(not self.PageLocked(page), "page_add_anon_rmap: the page is not locked")
        VM_BUG_ON(address < vma.vm_start or address >= vma.vm_end)
        if first:
            self._page_set_anon_rmap(page, vma, address, exclusive=False)
        else:
            self._page_check_anon_rmap(page, vma, address)

    def page_add_new_anon_rmap(self, page: Any, vma: Any, address: int) -> None:
        """Count the first mapping of a new page, which nobody else can see yet."""
        VM_BUG_ON(address < vma.vm_start or address >= vma.vm_end)
        page.swapbacked = True
        atomic_set(page._mapcount, 0)
        self._page_set_anon_rmap(page, vma, address, exclusive=True)
        self.is_mlocked_vma(vma, page)  # page_evictable() asks, to find the page an LRU list

    def page_dup_rmap(self, page: Any) -> None:
        """Count the mapping that fork copies."""
        atomic_inc(page._mapcount)

    def page_remove_rmap(self, page: Any) -> None:
        """Count one mapping less. page->mapping stays, to be trusted only while mapped.

        What the kernel does with the result is statistics, which are not modelled.
        """
        atomic_dec(page._mapcount)
