"""From v3.3 to v3.7: an interval tree in place of an anon_vma's list, and mremap by its order.

Left out: the lock of a file's VMAs, which has no pages here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from rmaplab.history.v3_0 import AnonVmaWithMutex
from rmaplab.history.v3_3 import Commit948f017b0993
from rmaplab.kernel.mm_types import ENOMEM, PAGE_SHIFT
from rmaplab.kernel.mmap_merge import Adjustment
from rmaplab.kernel.rmap import AnonVmaChain
from rmaplab.machine import (
    RB_EMPTY_ROOT,
    VM_BUG_ON,
    Struct,
    Tree,
    atomic_set,
    list_add,
    list_del,
    list_for_each_entry,
    rb_erase,
    rb_insert,
    rb_items,
    rb_reset,
    rb_root,
    removed,
    tree,
)


class AnonVmaWithTree(AnonVmaWithMutex):
    """struct anon_vma with its VMAs by the offsets of their pages."""

    head: Any = removed()
    rb_root: Tree = tree()  # of AnonVmaChain, under the root's lock


class AnonVmaChainInTree(AnonVmaChain):
    """struct anon_vma_chain without a list; where it is in the tree is the tree's own affair."""

    same_anon_vma: Any = removed()


class Commitca42b26ab8ee(Commit948f017b0993):
    """ca42b26ab8ee "mm: fix potential anon_vma locking issue in mprotect()".

    2012-10-09, v3.7.
    """

    def vma_adjust_lock(
        self, vma: Any, next: Any, insert: Any, start: int, adjustment: Adjustment
    ) -> Any:
        """If only the next VMA has an anon_vma, and its beginning moves, it is locked."""
        locked = super().vma_adjust_lock(vma, next, insert, start, adjustment)
        if locked is None and adjustment.adjust_next and next.anon_vma is not None:
            locked = next.anon_vma
            self.anon_vma_lock(locked)
        return locked


class Commit108d6642ad81(Commitca42b26ab8ee):
    """108d6642ad81 "mm anon rmap: remove anon_vma_moveto_tail".

    2012-10-09, v3.7. An interval tree, which comes next, has an order of its own.
    """

    def copy_vma_merged(self, vma: Any, new_vma: Any) -> bool:
        """Nothing is done to the lists."""
        return False

    def move_page_tables_back(
        self, new_vma: Any, new_addr: int, vma: Any, old_addr: int, moved_len: int
    ) -> None:
        """Nor here."""
        self.move_page_tables(new_vma, new_addr, vma, old_addr, moved_len, need_rmap_locks=True)

    def take_rmap_locks(self, vma: Any, need_rmap_locks: bool) -> None:
        """A walk sees all of the entries in the old place, or all in the new."""
        if vma.anon_vma is not None:
            self.anon_vma_lock(vma.anon_vma)

    def drop_rmap_locks(self, vma: Any, need_rmap_locks: bool) -> None:
        """Undo it."""
        if vma.anon_vma is not None:
            self.anon_vma_unlock(vma.anon_vma)


class Commit523d4e2008fd(Commit108d6642ad81):
    """523d4e2008fd "mm anon rmap: in mremap, set the new vma's position before anon_vma_clone()".

    2012-10-09, v3.7.
    """

    def copy_vma_chain(self, vma: Any, new_vma: Any, addr: int, length: int, pgoff: int) -> int:
        """Who finds the new VMA knows where it is."""
        self.copy_vma_place(new_vma, addr, length, pgoff)
        return -ENOMEM if self.anon_vma_clone(new_vma, vma) else 0


class Commitbf181b9f9d8d(Commit523d4e2008fd):
    """bf181b9f9d8d "mm anon rmap: replace same_anon_vma linked list with an interval tree.".

    2012-10-09, v3.7. A walk meets only the VMAs that reach the page, by the offsets of their first
    pages; among equals, who came first. vma_address still asks whether the page is in the VMA,
    which it is: 86c2ad19956f "mm rmap: remove vma_address check for address inside vma", v3.7.
    """

    AnonVma: ClassVar[type[Struct]] = AnonVmaWithTree
    AnonVmaChain: ClassVar[type[Struct]] = AnonVmaChainInTree

    def anon_vma_ctor(self, anon_vma: Any) -> None:
        """The tree is empty."""
        atomic_set(anon_vma.refcount, 0)
        rb_reset(anon_vma.rb_root)

    # mm/interval_tree.c

    def anon_vma_interval_tree_insert(self, avc: Any, anon_vma: Any) -> None:
        """New: add a VMA after all that do not begin beyond it."""
        pgoff = avc.vma.vm_pgoff
        link = rb_root(anon_vma.rb_root)
        while link.item is not None:
            link = link.left if pgoff < link.item.vma.vm_pgoff else link.right
        rb_insert(anon_vma.rb_root, avc, link)

    def anon_vma_interval_tree_remove(self, avc: Any, anon_vma: Any) -> None:
        """New: take a VMA out."""
        rb_erase(anon_vma.rb_root, avc)

    def anon_vma_entries(self, anon_vma: Any, page: Any = None) -> Iterator[Any]:
        """Those that reach the page, by their offsets. (anon_vma_interval_tree_foreach.)"""
        pgoff = None if page is None else page.index
        for avc in rb_items(anon_vma.rb_root):
            if pgoff is None or self.vma_has_pgoff(avc.vma, pgoff):
                yield avc

    def vma_has_pgoff(self, vma: Any, pgoff: int) -> bool:
        """New: whether a VMA reaches an offset."""
        first = vma.vm_pgoff
        return bool(first <= pgoff < first + ((vma.vm_end - vma.vm_start) >> PAGE_SHIFT))

    # mm/rmap.c

    def anon_vma_chain_link(self, vma: Any, avc: Any, anon_vma: Any) -> None:
        """In the tree."""
        avc.vma = vma
        avc.anon_vma = anon_vma
        list_add(avc.same_vma, vma.anon_vma_chain)
        self.anon_vma_interval_tree_insert(avc, anon_vma)

    def anon_vma_add_first(self, avc: Any, anon_vma: Any) -> None:
        """In the tree, too. (The kernel calls anon_vma_chain_link.)"""
        self.anon_vma_interval_tree_insert(avc, anon_vma)

    def unlink_anon_vmas_locked(self, vma: Any) -> None:
        """Out of the trees."""
        root = None
        for avc in list_for_each_entry(vma.anon_vma_chain):
            anon_vma = avc.anon_vma
            root = self.lock_anon_vma_root(root, anon_vma)
            self.anon_vma_interval_tree_remove(avc, anon_vma)
            if RB_EMPTY_ROOT(anon_vma.rb_root):
                self.anon_vma_is_empty(anon_vma)
                continue
            list_del(avc.same_vma)
            self.anon_vma_chain_free(avc)
        self.vma_is_unlinked(vma)
        self.unlock_anon_vma_root(root)

    # Cut out for 7a3ef208e662 "mm: prevent endless growth of anon_vma hierarchy", v3.19.

    def anon_vma_is_empty(self, anon_vma: Any) -> None:
        """New: the last VMA has left the tree of an anon_vma: nothing to do, under the lock."""

    def vma_is_unlinked(self, vma: Any) -> None:
        """New: a VMA has left all trees: nothing to do, under the lock."""

    # mm/mmap.c: a VMA whose boundaries move is in no tree meanwhile.

    def anon_vma_interval_tree_pre_update_vma(self, vma: Any) -> None:
        """New: take a VMA out of all trees that it is in; they are locked."""
        for avc in list_for_each_entry(vma.anon_vma_chain):
            self.anon_vma_interval_tree_remove(avc, avc.anon_vma)

    def anon_vma_interval_tree_post_update_vma(self, vma: Any) -> None:
        """New: put it back."""
        for avc in list_for_each_entry(vma.anon_vma_chain):
            self.anon_vma_interval_tree_insert(avc, avc.anon_vma)

    def vma_adjust_lock(
        self, vma: Any, next: Any, insert: Any, start: int, adjustment: Adjustment
    ) -> Any:
        """Whatever moves: the end of a VMA counts in a tree."""
        anon_vma = vma.anon_vma
        if anon_vma is None and adjustment.adjust_next:
            anon_vma = next.anon_vma
        if anon_vma is None:
            return None
        if adjustment.adjust_next and next.anon_vma is not None:
            VM_BUG_ON(anon_vma != next.anon_vma, "vma_adjust: the next VMA has another anon_vma")
        self.anon_vma_lock(anon_vma)
        self.anon_vma_interval_tree_pre_update_vma(vma)
        if adjustment.adjust_next:
            self.anon_vma_interval_tree_pre_update_vma(next)
        return anon_vma

    def vma_adjust_unlock(self, vma: Any, next: Any, adjustment: Adjustment, anon_vma: Any) -> None:
        """Back in the trees, the lock is released."""
        if anon_vma is None:
            return
        self.anon_vma_interval_tree_post_update_vma(vma)
        if adjustment.adjust_next:
            self.anon_vma_interval_tree_post_update_vma(next)
        self.anon_vma_unlock(anon_vma)

    def expand_end(self, vma: Any, address: int) -> None:
        """Out of the trees meanwhile."""
        self.anon_vma_interval_tree_pre_update_vma(vma)
        super().expand_end(vma, address)
        self.anon_vma_interval_tree_post_update_vma(vma)

    def expand_start(self, vma: Any, address: int) -> None:
        """Out of the trees meanwhile."""
        self.anon_vma_interval_tree_pre_update_vma(vma)
        super().expand_start(vma, address)
        self.anon_vma_interval_tree_post_update_vma(vma)


class Commit38a76013ad80(Commitbf181b9f9d8d):
    """38a76013ad80 "mm: avoid taking rmap locks in move_ptes()".

    2012-10-09, v3.7. A walk meets VMAs in the order of their vm_pgoff. That of a new VMA is not
    less than the source's, and among equals it comes later. exec's stack needs no locks either: a
    walk that may not miss a page passes over it until it is in its place.
    """

    def copy_vma_merged(self, vma: Any, new_vma: Any) -> bool:
        """Merged with another, the new place may come before the source: then locks are needed."""
        return bool(new_vma.vm_pgoff <= vma.vm_pgoff)

    def take_rmap_locks(self, vma: Any, need_rmap_locks: bool) -> None:
        """Only where they are needed."""
        if need_rmap_locks:
            super().take_rmap_locks(vma, need_rmap_locks)

    def drop_rmap_locks(self, vma: Any, need_rmap_locks: bool) -> None:
        """Undo it."""
        if need_rmap_locks:
            super().drop_rmap_locks(vma, need_rmap_locks)
