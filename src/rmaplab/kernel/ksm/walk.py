"""mm/ksm.c: from a merged page to the entries that map it.

Each walk goes twice over the rmap_items of the page, whose lock is held: first to the VMA that
the rmap_item was made for, then to those in other address spaces, forked since ksmd came by.
The low bits of rmap_item.address are flags; the page tables of the kernel pass over them.
"""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.ksm.state import KsmState
from rmaplab.kernel.mm_types import PAGE_MASK
from rmaplab.kernel.rmap import SWAP_AGAIN, SWAP_FAIL, RmapOne
from rmaplab.machine import BUG_ON, VM_BUG_ON, list_for_each_entry


class KsmWalks(KsmState):
    """The walks of vmscan and migration, and the copy that swap may need."""

    def _check_ksm_page_locked(self, page: Any) -> None:
        VM_BUG_ON(not self.PageKsm(page), "not a KSM page")
        VM_BUG_ON(not self.PageLocked(page), "the KSM page is not locked")

    # Cut out for b6b19f25f6fd "ksm: make rmap walks more scalable", v3.8.

    def ksm_walk_lock(self, anon_vma: Any) -> None:
        """Lock the anon_vma of an rmap_item for a walk."""
        self.anon_vma_lock(anon_vma)

    def ksm_walk_unlock(self, anon_vma: Any) -> None:
        """Unlock it."""
        self.anon_vma_unlock(anon_vma)

    def page_referenced_ksm(self, page: Any) -> int:
        """How many entries of a KSM page were used lately."""
        if not self.CONFIG_KSM:
            return 0
        self._check_ksm_page_locked(page)
        mapcount = self.page_mapcount(page)
        stable_node = self.page_stable_node(page)
        referenced = 0
        if stable_node is None:
            return referenced
        for search_new_forks in (False, True):
            for rmap_item in list_for_each_entry(stable_node.hlist):
                seen, mapcount = self._page_referenced_item(
                    page, rmap_item, search_new_forks, mapcount
                )
                referenced += seen
                if not mapcount:
                    return referenced
        return referenced

    def _page_referenced_item(
        self, page: Any, rmap_item: Any, search_new_forks: bool, mapcount: int
    ) -> tuple[int, int]:
        anon_vma = rmap_item.anon_vma
        referenced = 0
        self.ksm_walk_lock(anon_vma)
        for vmac in self.anon_vma_entries(anon_vma):
            vma = vmac.vma
            address = rmap_item.address & PAGE_MASK
            if address < vma.vm_start or address >= vma.vm_end:
                continue
            if (rmap_item.mm == vma.vm_mm) == search_new_forks:
                continue
            seen, mapcount = self.page_referenced_one(page, vma, address, mapcount)
            referenced += seen
            if not search_new_forks or not mapcount:
                break
        self.ksm_walk_unlock(anon_vma)
        return referenced, mapcount

    def try_to_unmap_ksm(self, page: Any, flags: int) -> int:
        """Unmap a KSM page everywhere: SWAP_AGAIN, or what else try_to_unmap_one() said."""
        if not self.CONFIG_KSM:
            return 0
        self._check_ksm_page_locked(page)
        stable_node = self.page_stable_node(page)
        if stable_node is None:
            return SWAP_FAIL
        ret = SWAP_AGAIN
        for search_new_forks in (False, True):
            for rmap_item in list_for_each_entry(stable_node.hlist):
                ret, done = self._try_to_unmap_item(page, rmap_item, search_new_forks, flags, ret)
                if done:
                    return ret
        return ret

    def _try_to_unmap_item(
        self, page: Any, rmap_item: Any, search_new_forks: bool, flags: int, ret: int
    ) -> tuple[int, bool]:
        anon_vma = rmap_item.anon_vma
        done = False
        self.ksm_walk_lock(anon_vma)
        for vmac in self.anon_vma_entries(anon_vma):
            vma = vmac.vma
            address = rmap_item.address & PAGE_MASK
            if address < vma.vm_start or address >= vma.vm_end:
                continue
            if (rmap_item.mm == vma.vm_mm) == search_new_forks:
                continue
            ret = self.try_to_unmap_one(page, vma, address, flags)
            if ret != SWAP_AGAIN or not self.page_mapped(page):
                done = True
                break
        self.ksm_walk_unlock(anon_vma)
        return ret, done

    def rmap_walk_ksm(self, page: Any, rmap_one: RmapOne, arg: Any) -> int:
        """Call `rmap_one` for every VMA that may map a KSM page, while it says SWAP_AGAIN."""
        if not self.CONFIG_KSM:
            return 0
        self._check_ksm_page_locked(page)
        stable_node = self.page_stable_node(page)
        ret = SWAP_AGAIN
        if stable_node is None:
            return ret
        for search_new_forks in (False, True):
            for rmap_item in list_for_each_entry(stable_node.hlist):
                ret = self._rmap_walk_item(page, rmap_item, search_new_forks, rmap_one, arg)
                if ret != SWAP_AGAIN:
                    return ret
        return ret

    def _rmap_walk_item(
        self,
        page: Any,
        rmap_item: Any,
        search_new_forks: bool,
        rmap_one: RmapOne,
        arg: Any,
    ) -> int:
        anon_vma = rmap_item.anon_vma
        ret = SWAP_AGAIN
        self.ksm_walk_lock(anon_vma)
        for vmac in self.anon_vma_entries(anon_vma):
            vma = vmac.vma
            address = rmap_item.address & PAGE_MASK
            if address < vma.vm_start or address >= vma.vm_end:
                continue
            if (rmap_item.mm == vma.vm_mm) == search_new_forks:
                continue
            ret = rmap_one(page, vma, address, arg)
            if ret != SWAP_AGAIN:
                break
        self.ksm_walk_unlock(anon_vma)
        return ret

    def ksm_migrate_page(self, newpage: Any, oldpage: Any) -> None:
        """Let the stable_node know that its page has moved. Both pages are locked."""
        if not self.CONFIG_KSM:
            return
        VM_BUG_ON(not self.PageLocked(oldpage), "the old page is not locked")
        VM_BUG_ON(not self.PageLocked(newpage), "the new page is not locked")
        VM_BUG_ON(newpage.mapping != oldpage.mapping, "the mapping was not moved first")
        stable_node = self.page_stable_node(newpage)
        if stable_node is not None:
            kpfn = self.page_to_pfn(oldpage)
            VM_BUG_ON(stable_node.kpfn != kpfn, "the stable_node is that of another page")
            stable_node.kpfn = self.page_to_pfn(newpage)

    def ksm_might_need_to_copy(self, page: Any, vma: Any, address: int) -> Any:
        """The page to map for one that swap brought back: itself, or a copy; None without memory.

        Once a KSM page, it may belong to another anon_vma or another place than this one.
        """
        if not self.CONFIG_KSM:
            return page
        anon_vma = self.page_anon_vma(page)
        if anon_vma is None:
            return page
        index = self.linear_page_index(vma, address)
        if anon_vma == vma.anon_vma and page.index == index:
            return page
        return self.ksm_does_need_to_copy(page, vma, address)

    def ksm_does_need_to_copy(self, page: Any, vma: Any, address: int) -> Any:
        """A locked copy of the page in its place; None without memory. The page is let go of."""
        self.unlock_page(page)
        new_page = self.alloc_page()
        if new_page is not None:
            new_page.contents = page.contents
            new_page.dirty = True
            new_page.swapbacked = True
            BUG_ON(not self.trylock_page(new_page), "a new page is locked")
        self.put_page(page)
        return new_page
