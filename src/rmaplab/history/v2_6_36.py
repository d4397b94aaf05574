"""From the merged form of the seed to v2.6.36.

Left out: huge pages, and the doubly linked list of VMAs.
"""

from __future__ import annotations

from typing import Any

from rmaplab.history.seed_v2 import SeedV2
from rmaplab.kernel.memory import VM_FAULT_OOM
from rmaplab.kernel.memory_swap import SwapFault
from rmaplab.kernel.mm_types import EFAULT, ENOMEM, PAGE_MAPPING_ANON, VM_LOCKED
from rmaplab.kernel.rmap import mapping_flags
from rmaplab.machine import (
    BUG_ON,
    READ_ONCE,
    VM_BUG_ON,
    RbLink,
    atomic_compare,
    atomic_inc_and_test,
    list_add_tail,
    list_del,
    list_empty,
    rcu_read_lock,
    rcu_read_unlock,
    spin_lock,
    spin_unlock,
)


class Commit76545066c852(SeedV2):
    """76545066c852 "mm: extend KSM refcounts to the anon_vma root".

    2010-08-09, v2.6.36. The seed's v2 with "[PATCH -mm] only drop root anon_vma if not self"
    folded in; its parent in the mainline is 012f18004da3.
    """

    def anon_vma_unlink(self, anon_vma_chain: Any) -> None:
        """Only a child has a reference to its root, so only a child drops one."""
        anon_vma = anon_vma_chain.anon_vma
        if anon_vma is None:
            return  # unreached: see Rmap.anon_vma_unlink
        self.anon_vma_lock(anon_vma)
        list_del(anon_vma_chain.same_anon_vma)
        empty = list_empty(anon_vma.head) and not self.anonvma_external_refcount(anon_vma)
        self.anon_vma_unlock(anon_vma)
        if empty:
            if anon_vma.root != anon_vma:
                self.drop_anon_vma(anon_vma.root)
            self.anon_vma_free(anon_vma)


class Commit5e549e989f94(Commit76545066c852):
    """5e549e989f94 "mmap: remove unnecessary lock from __vma_link".

    2010-08-09, v2.6.36.
    """

    def vma_link(self, mm: Any, vma: Any, prev: Any, rb_link: RbLink) -> None:
        """Without the lock of the anon_vma."""
        self._vma_link(mm, vma, prev, rb_link)
        mm.map_count += 1


class Commit26ba0cb63cb8(Commit5e549e989f94):
    """26ba0cb63cb8 "rmap: always add new vmas at the end".

    2010-08-09, v2.6.36. So that a walk does not miss a VMA that joins meanwhile.
    """

    def anon_vma_add_first(self, avc: Any, anon_vma: Any) -> None:
        """At the tail, also where a neighbour's anon_vma is joined."""
        list_add_tail(avc.same_anon_vma, anon_vma.head)


class Commitba6f0ff3981e(Commit26ba0cb63cb8):
    """ba6f0ff3981e "ksm: fix ksm swapin time optimization".

    2010-08-09, v2.6.36.
    """

    def ksm_might_need_to_copy(self, page: Any, vma: Any, address: int) -> Any:
        """A page of the VMA's family in its place needs no copy: a child may map its parent's."""
        if not self.ksm_is_elsewhere(page, vma, address):
            return page
        return self.ksm_does_need_to_copy(page, vma, address)

    # The condition, cut out for 4969c1192d15 "mm: fix swapin race condition", v2.6.36.

    def ksm_is_elsewhere(self, page: Any, vma: Any, address: int) -> bool:
        """New: whether a page belongs to another family or to another place."""
        anon_vma = self.page_anon_vma(page) if self.CONFIG_KSM else None
        if anon_vma is None:
            return False
        same = anon_vma.root == vma.anon_vma.root
        return not same or bool(page.index != self.linear_page_index(vma, address))


class Commit288468c334e9(Commitba6f0ff3981e):
    """288468c334e9 "rmap: always use anon_vma root pointer".

    2010-08-09, v2.6.36.
    """

    def _page_set_anon_rmap(self, page: Any, vma: Any, address: int, exclusive: bool) -> None:
        """The oldest anon_vma is the root; a page that has an anon_vma already keeps it."""
        anon_vma = vma.anon_vma
        BUG_ON(anon_vma is None, "__page_set_anon_rmap: the VMA has no anon_vma")
        if self.PageAnon(page):
            return
        if not exclusive:
            anon_vma = anon_vma.root
        page.mapping = (PAGE_MAPPING_ANON, anon_vma)
        page.index = self.linear_page_index(vma, address)


class Commit21d0d443cdc1(Commit288468c334e9):
    """21d0d443cdc1 "rmap: resurrect page_address_in_vma anon_vma check".

    2010-08-09, v2.6.36.
    """

    def page_address_in_vma(self, page: Any, vma: Any) -> int:
        """Only in a VMA of the page's family. The page of a failed merge has no anon_vma."""
        if not self.PageAnon(page):
            return -EFAULT
        if vma.anon_vma.root != self.page_anon_vma(page).root:
            return -EFAULT
        return self.vma_address(page, vma)


class Commit44ab57a06ded(Commit21d0d443cdc1):
    """44ab57a06ded "rmap: add anon_vma bug checks".

    2010-08-09, v2.6.36.
    """

    def _page_check_anon_rmap(self, page: Any, vma: Any, address: int) -> None:
        """The page is of the VMA's family, too."""
        BUG_ON(self.page_anon_vma(page).root != vma.anon_vma.root)
        super()._page_check_anon_rmap(page, vma, address)

    def drop_anon_vma(self, anon_vma: Any) -> None:
        """There must be a reference to drop."""
        if self.CONFIG_KSM or self.CONFIG_MIGRATION:
            BUG_ON(atomic_compare(anon_vma.external_refcount, "<=", 0), "drop_anon_vma")
        super().drop_anon_vma(anon_vma)

    def drop_root(self, root: Any) -> bool:
        """Of the root as well."""
        BUG_ON(atomic_compare(root.external_refcount, "<=", 0), "drop_anon_vma: the root")
        return super().drop_root(root)


class Commitad8c2ee801ad(Commit44ab57a06ded):
    """ad8c2ee801ad "rmap: add exclusive page to private anon_vma on swapin".

    2010-08-09, v2.6.36.
    """

    def swapin_add_rmap(self, page: Any, vma: Any, address: int, exclusive: bool) -> None:
        """A page that nobody else has belongs to the anon_vma of this VMA."""
        self.do_page_add_anon_rmap(page, vma, address, exclusive)

    def page_add_anon_rmap(self, page: Any, vma: Any, address: int) -> None:
        """For everybody but do_swap_page()."""
        self.do_page_add_anon_rmap(page, vma, address, exclusive=False)

    def do_page_add_anon_rmap(self, page: Any, vma: Any, address: int, exclusive: bool) -> None:
        """New: what page_add_anon_rmap() was, told whether the page is this VMA's alone."""
        first = atomic_inc_and_test(page._mapcount)
        if self.PageKsm(page):
            return
        VM_BUG_ON(not self.PageLocked(page), "page_add_anon_rmap: the page is not locked")
        VM_BUG_ON(address < vma.vm_start or address >= vma.vm_end)
        if first:
            self._page_set_anon_rmap(page, vma, address, exclusive)
        else:
            self._page_check_anon_rmap(page, vma, address)


class Commitf18194275c39(Commitad8c2ee801ad):
    """f18194275c39 "mm: fix hang on anon_vma->root->lock".

    2010-08-25, v2.6.36. An anon_vma that is freed and used again meanwhile has another root:
    what was locked is not what would be unlocked.
    """

    def page_lock_anon_vma(self, page: Any) -> Any:
        """The root is read once; under its lock the page must still be mapped."""
        rcu_read_lock()
        mapping = READ_ONCE(page, "mapping")
        if mapping_flags(mapping) != PAGE_MAPPING_ANON or not self.page_mapped(page):
            rcu_read_unlock()
            return None
        anon_vma = mapping[1]
        root_anon_vma = READ_ONCE(anon_vma, "root")
        spin_lock(root_anon_vma.lock)
        if self.page_mapped(page):
            return anon_vma
        spin_unlock(root_anon_vma.lock)
        rcu_read_unlock()
        return None


class Commit4969c1192d15(Commitf18194275c39):
    """4969c1192d15 "mm: fix swapin race condition".

    2010-09-09, v2.6.36. Only a page that is in the swap cache and locked keeps its slot from
    another use: else an equal entry may be there for something else.
    """

    def swapin_locked(self, fault: SwapFault, page: Any) -> int:
        """The page must still be in the swap cache; if it is copied, it stays locked meanwhile."""
        if not self.swapin_same(fault, page):
            self.swapin_release(page)
            return 0
        if not self.ksm_is_elsewhere(page, fault.vma, fault.address):
            return self.swapin_map(fault, page, None)
        copy = self.ksm_does_need_to_copy(page, fault.vma, fault.address)
        if copy is None:
            self.swapin_release(page)
            return VM_FAULT_OOM
        return self.swapin_map(fault, copy, page)

    # The condition, cut out for 31c4a3d3a0f8 "mm: further fix swapin race condition", v2.6.36.

    def swapin_same(self, fault: SwapFault, page: Any) -> bool:
        """New: whether the page is that of the entry still."""
        return self.PageSwapCache(page)

    def swapin_release(self, swapcache: Any) -> None:
        """Unlock and drop a page that was not mapped, if there is one."""
        if swapcache is not None:
            self.unlock_page(swapcache)
            self.put_page(swapcache)

    def ksm_does_need_to_copy(self, page: Any, vma: Any, address: int) -> Any:
        """The page is no longer let go of here."""
        new_page = self.alloc_page()
        if new_page is not None:
            new_page.contents = page.contents
            new_page.dirty = True
            new_page.swapbacked = True
            BUG_ON(not self.trylock_page(new_page), "a new page is locked")
        return new_page


class Commit31c4a3d3a0f8(Commit4969c1192d15):
    """31c4a3d3a0f8 "mm: further fix swapin race condition".

    2010-09-20, v2.6.36.
    """

    def swapin_same(self, fault: SwapFault, page: Any) -> bool:
        """Nor may it be in the swap cache for another slot."""
        return self.PageSwapCache(page) and bool(page.private == fault.entry)


class Commita247c3a97a02(Commit31c4a3d3a0f8):
    """a247c3a97a02 "rmap: fix walk during fork".

    2010-09-22, v2.6.36.
    """

    def dup_mmap_vma(self, mm: Any, tmp: Any, mpnt: Any) -> int:
        """The child's VMA names the child before the reverse map can find it."""
        tmp.vm_mm = mm
        if self.anon_vma_fork(tmp, mpnt):
            return -ENOMEM
        tmp.vm_flags &= ~VM_LOCKED
        tmp.vm_next = None
        return 0


class Commit2aeadc30de45(Commita247c3a97a02):
    """2aeadc30de45 "mmap: call unlink_anon_vmas() in __split_vma() in case of error".

    2010-09-22, v2.6.36. A precaution in these releases: vma_adjust only fails where it imports an
    anon_vma, and it imports none when it has a VMA to insert.
    """

    def split_vma_undo(self, new: Any) -> None:
        """The anon_vmas forget the VMA before it is freed."""
        self.unlink_anon_vmas(new)
        super().split_vma_undo(new)


class Commit4829b906cc06(Commit2aeadc30de45):
    """4829b906cc06 "ksm: fix page_address_in_vma anon_vma oops".

    2010-10-02, v2.6.36.
    """

    def page_address_in_vma(self, page: Any, vma: Any) -> int:
        """A VMA or a page without an anon_vma is of no family."""
        if not self.PageAnon(page):
            return -EFAULT
        anon_vma = self.page_anon_vma(page)
        if vma.anon_vma is None or anon_vma is None or vma.anon_vma.root != anon_vma.root:
            return -EFAULT
        return self.vma_address(page, vma)


class Commit4e31635c367a(Commit4829b906cc06):
    """4e31635c367a "ksm: fix bad user data when swapping".

    2010-10-02, v2.6.36. Nobody hands the dirty bit of an entry on when an anonymous page is
    unmapped: if KSM's page is to be shared, the page itself must know.
    """

    def write_protect_needed(self, entry: Any) -> bool:
        """Also of a read-only entry that is dirty."""
        return bool(entry.write or entry.dirty)

    def write_protect_pte(self, page: Any, entry: Any) -> Any:
        """The entry's dirty bit becomes the page's."""
        if entry.dirty:
            page.dirty = True
        return super().write_protect_pte(page, entry)._replace(dirty=False)


V2_6_36 = Commit4e31635c367a
