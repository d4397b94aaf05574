"""v2.6.33: one anon_vma for a whole family of processes, the design that chains replaced.

It is v2.6.34 with 5beb49305251 "mm: change anon_vma linking to fix multi-process server scalability
issue", 2010-03-05, taken back, and the commits that mended it: d0e9fe1758f2 and ea90002b0fa7 as in
`reverts`, c44b674323f4 "rmap: move exclusively owned pages to own anon_vma in do_wp_page()" and
ab941e0fff39 "rmap: remove anon_vma check in page_address_in_vma()".

Left as in v2.6.34, as they are not of the reverse map: the pages that exec reserves for a stack, 20
before 5ef097dd7ba4 "exec: create initial stack independent of PAGE_SIZE", and statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

from rmaplab.history.reverts import BeforeD0e9fe1758f2, BeforeEa90002b0fa7
from rmaplab.kernel.mm_types import EFAULT, ENOMEM, VM_LOCKED, VmAreaStruct
from rmaplab.kernel.mmap_merge import Adjustment
from rmaplab.machine import (
    BUG_ON,
    SLAB_DESTROY_BY_RCU,
    ListEntry,
    ListHead,
    RbLink,
    Struct,
    kmem_cache_free,
    list_add_tail,
    list_del,
    list_empty,
    list_entry,
    list_for_each_entry,
    might_sleep,
    removed,
    spin_lock,
    spin_unlock,
)


class VmAreaStructOnList(VmAreaStruct):
    """struct vm_area_struct, on the list of its one anon_vma."""

    anon_vma_chain: ListHead = removed()
    anon_vma_node: ListEntry = list_entry()  # under the lock of the anon_vma


class Listed(NamedTuple):
    """What a walk asks an anon_vma_chain for: nothing is read here, the VMA itself is listed."""

    vma: Any


class V2_6_33(BeforeD0e9fe1758f2, BeforeEa90002b0fa7):
    """v2.6.33, 2010-02-24: one anon_vma a family, before 5beb49305251 brought chains."""

    VmAreaStruct: ClassVar[type[Struct]] = VmAreaStructOnList

    # mm/rmap.c

    def anon_vma_init(self) -> None:
        """Create the one slab cache of the reverse map."""
        self.anon_vma_cachep = self.machine.kmem_cache_create(
            "anon_vma", self.AnonVma, SLAB_DESTROY_BY_RCU, self.anon_vma_ctor
        )

    def anon_vma_chain_init(self, vma: Any) -> None:
        """There is no chain."""

    def anon_vma_prepare(self, vma: Any) -> int:
        """Give a VMA an anon_vma: a neighbour's or a new one. mmap_sem is held for reading."""
        might_sleep("anon_vma_prepare")
        if vma.anon_vma is not None:
            return 0
        anon_vma = self.find_mergeable_anon_vma(vma)
        allocated = None
        if anon_vma is None:
            anon_vma = allocated = self.anon_vma_alloc()
            if anon_vma is None:
                return -ENOMEM
        mm = vma.vm_mm
        self.anon_vma_lock(anon_vma)
        spin_lock(mm.page_table_lock)
        if vma.anon_vma is None:
            vma.anon_vma = anon_vma
            list_add_tail(vma.anon_vma_node, anon_vma.head)
            allocated = None
        spin_unlock(mm.page_table_lock)
        self.anon_vma_unlock(anon_vma)
        if allocated is not None:
            self.anon_vma_free(allocated)
        return 0

    def _anon_vma_merge(self, vma: Any, next: Any) -> None:
        """Take a VMA that was merged into its neighbour off the list; the lock is held."""
        BUG_ON(vma.anon_vma != next.anon_vma, "__anon_vma_merge: two anon_vmas")
        list_del(next.anon_vma_node)

    def _anon_vma_link(self, vma: Any) -> None:
        """Put a VMA that has an anon_vma on its list; the lock is held."""
        anon_vma = vma.anon_vma
        if anon_vma is not None:
            list_add_tail(vma.anon_vma_node, anon_vma.head)

    def anon_vma_link(self, vma: Any) -> None:
        """Put the VMA of a child on the list of its family."""
        anon_vma = vma.anon_vma
        if anon_vma is not None:
            self.anon_vma_lock(anon_vma)
            list_add_tail(vma.anon_vma_node, anon_vma.head)
            self.anon_vma_unlock(anon_vma)

    def anon_vma_unlink(self, vma: Any) -> None:
        """Take a VMA off the list, and free the anon_vma if nobody needs it any more."""
        anon_vma = vma.anon_vma
        if anon_vma is None:
            return
        self.anon_vma_lock(anon_vma)
        list_del(vma.anon_vma_node)
        empty = list_empty(anon_vma.head) and not self.ksm_refcount(anon_vma)
        self.anon_vma_unlock(anon_vma)
        if empty:
            self.anon_vma_free(anon_vma)

    def unlink_anon_vmas(self, vma: Any) -> None:
        """Where v2.6.34 calls this, there is one to unlink."""
        self.anon_vma_unlink(vma)

    def anon_vma_clone(self, dst: Any, src: Any) -> int:
        """Nothing to copy: the copy of the VMA has the pointer, and _vma_link() does the rest."""
        return 0

    def page_address_in_vma(self, page: Any, vma: Any) -> int:
        """Where a page should be mapped in a VMA, if that is of the page's family."""
        if not self.PageAnon(page) or vma.anon_vma != self.page_anon_vma(page):
            return -EFAULT
        return self.vma_address(page, vma)

    def page_move_anon_rmap(self, page: Any, vma: Any, address: int) -> None:
        """do_wp_page() does not call this yet: the page is with its family already."""

    def anon_vma_entries(self, anon_vma: Any, page: Any = None) -> Iterator[Any]:
        """Every VMA of the family, whether it can have the page or not."""
        for vma in list_for_each_entry(anon_vma.head):
            yield Listed(vma)

    # mm/mmap.c

    def _vma_link(self, mm: Any, vma: Any, prev: Any, rb_link: RbLink) -> None:
        """Put a VMA in list and tree, and on the list of its anon_vma."""
        super()._vma_link(mm, vma, prev, rb_link)
        self._anon_vma_link(vma)

    def vma_import_anon_vma(self, importer: Any, exporter: Any) -> int:
        """Done under the lock, which vma_adjust_lock() takes."""
        return 0

    def vma_adjust_lock(
        self, vma: Any, next: Any, insert: Any, start: int, adjustment: Adjustment
    ) -> Any:
        """Lock the anon_vma, and have a VMA that grows over pages of another share it."""
        importer = adjustment.importer
        anon_vma = None if importer is None else next.anon_vma
        own = vma.anon_vma
        moves = insert is not None or importer is not None or start != vma.vm_start
        if own is not None and moves:
            anon_vma = own
        if anon_vma is not None:
            self.anon_vma_lock(anon_vma)
            if importer is not None and importer.anon_vma is None:
                importer.anon_vma = anon_vma
                self._anon_vma_link(importer)
        return anon_vma

    def vma_adjust_unlock(self, vma: Any, next: Any, adjustment: Adjustment, anon_vma: Any) -> None:
        """Unlock it; before that, a VMA that goes leaves its list."""
        if adjustment.remove_next and next.anon_vma is not None:
            self._anon_vma_merge(vma, next)
        if anon_vma is not None:
            self.anon_vma_unlock(anon_vma)

    def vma_adjust_remove(self, mm: Any, vma: Any, next: Any) -> None:
        """Free a VMA that another has grown over: it is on no list any more."""
        mm.map_count -= 1
        kmem_cache_free(self.vm_area_cachep, next)

    def anon_vmas_of(self, vma: Any) -> Iterator[Any]:
        """The one anon_vma of a VMA."""
        yield vma.anon_vma

    # kernel/fork.c

    def dup_mmap_vma(self, mm: Any, tmp: Any, mpnt: Any) -> int:
        """Make a copy of the parent's VMA the child's, and then let it be found: it cannot fail."""
        tmp.vm_flags &= ~VM_LOCKED
        tmp.vm_mm = mm
        tmp.vm_next = None
        self.anon_vma_link(tmp)
        return 0
