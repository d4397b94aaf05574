"""KSM in v3.9: its pages migrate, and what is left over when all is unmerged goes.

One memory node: a stable_node is always in the right tree, so that none ever waits on
migrate_nodes, and merge_across_nodes is only a knob. Memory hotplug is that of before.
"""

from __future__ import annotations

from typing import Any, ClassVar

from rmaplab.history.v3_8 import Commitb6b19f25f6fd
from rmaplab.kernel.ksm.state import (
    KSM_RUN_UNMERGE,
    KSM_TAGS,
    KsmGlobals,
    StableNode,
)
from rmaplab.kernel.migrate import AnonVmaUse
from rmaplab.kernel.mm_types import EBUSY, EINVAL
from rmaplab.kernel.pgtable import is_migration_entry
from rmaplab.machine import (
    READ_ONCE,
    RbLink,
    Struct,
    atomic_read,
    list_add_tail,
    mutex_lock,
    mutex_unlock,
    pte_get,
    pte_offset_map,
    pte_wait_while,
    rb_items,
    rb_root,
    spin_lock,
    spin_unlock,
    value,
)


class KsmGlobalsOfNodes(KsmGlobals):
    """The static variables, with the knob for trees per node."""

    ksm_merge_across_nodes: int = value(1, marked="shown without ksm_thread_mutex")


class StableNodeOfMovingPage(StableNode):
    """struct stable_node whose page may migrate."""

    kpfn: int = value(0, marked="changed by migration under the page lock, looked at without it")


class Commit90bd6fd31c80(Commitb6b19f25f6fd):
    """90bd6fd31c80 "ksm: allow trees per NUMA node".

    2013-02-23, v3.9. With one node there is one tree, whatever the knob says.
    """

    KsmGlobals: ClassVar[type[Struct]] = KsmGlobalsOfNodes

    def merge_across_nodes_show(self) -> int:
        """New: whether pages of different nodes are merged."""
        return int(self.ksm.ksm_merge_across_nodes)

    def merge_across_nodes_store(self, knob: int) -> int:
        """New: 0 or an error; as long as anything is merged it cannot be changed."""
        if knob > 1:
            return -EINVAL
        err = 0
        mutex_lock(self.ksm.ksm_thread_mutex)
        if self.ksm.ksm_merge_across_nodes != knob:
            if self.trees_are_in_use():
                err = -EBUSY
            else:
                self.ksm.ksm_merge_across_nodes = knob
        mutex_unlock(self.ksm.ksm_thread_mutex)
        return err

    # The condition, cut out for cbf86cfe04a6 "ksm: remove old stable nodes more thoroughly", v3.9.

    def trees_are_in_use(self) -> bool:
        """New: whether anything is merged, as far as is counted."""
        return atomic_read(self.ksm.ksm_pages_shared) > 0


class Commit8aafa6a485ae(Commit90bd6fd31c80):
    """8aafa6a485ae "ksm: get_ksm_page locked".

    2013-02-23, v3.9. Until the page is locked, migration may take it away from the node.
    """

    def get_ksm_page_locked(self, stable_node: Any) -> Any:
        """Under the lock the page must still be that of the node."""
        page = self.get_ksm_page(stable_node)
        if page is None:
            return None
        self.lock_page(page)
        if READ_ONCE(page, "mapping") == (KSM_TAGS, stable_node):
            return page
        self.unlock_page(page)
        self.put_page(page)
        self.remove_node_from_stable_tree(stable_node)
        return None


class Commitcbf86cfe04a6(Commit8aafa6a485ae):
    """cbf86cfe04a6 "ksm: remove old stable nodes more thoroughly".

    2013-02-23, v3.9. Nodes without rmap_items stayed in the tree until a search met them.
    """

    def remove_stable_node(self, stable_node: Any) -> int:
        """New: remove a node whose page nobody maps; -EBUSY if somebody does."""
        page = self.get_ksm_page_locked(stable_node)
        if page is None:
            return 0
        err = -EBUSY
        if not self.page_mapped(page):
            self.set_page_stable_node(page, None)
            self.remove_node_from_stable_tree(stable_node)
            err = 0
        self.unlock_page(page)
        self.put_page(page)
        return err

    def remove_all_stable_nodes(self) -> int:
        """New: remove node after node; -EBUSY at the first that is in use."""
        while nodes := rb_items(self.ksm.root_stable_tree):
            if self.remove_stable_node_chain(nodes[0]):
                return -EBUSY
        return 0

    # Cut out for 2c653d0ee2ae "ksm: introduce ksm_max_page_sharing per page deduplication limit",
    # v4.13, whose name this is.

    def remove_stable_node_chain(self, stable_node: Any) -> int:
        """New: remove what is at one place of the stable tree; -EBUSY if it is in use."""
        return self.remove_stable_node(stable_node)

    def trees_are_in_use(self) -> bool:
        """Nodes that nobody uses go."""
        return super().trees_are_in_use() or bool(self.remove_all_stable_nodes())

    def all_is_unmerged(self) -> None:
        """Nodes that are left go; some may still be busy."""
        self.remove_all_stable_nodes()
        super().all_is_unmerged()

    def queue_mm_slot(self, mm_slot: Any) -> None:
        """While everything is unmerged a new slot goes last: else its pages were missed."""
        if self.ksm.ksm_run & KSM_RUN_UNMERGE:
            list_add_tail(mm_slot.mm_list, self.ksm.mm_list)
        else:
            super().queue_mm_slot(mm_slot)

    def ksm_is_elsewhere(self, page: Any, vma: Any, address: int) -> bool:
        """A KSM page of the swap cache is copied if it has no node, or may have none."""
        if self.PageKsm(page):
            unmerging = self.ksm.ksm_run & KSM_RUN_UNMERGE
            return self.page_stable_node(page) is None or bool(unmerging)
        return super().ksm_is_elsewhere(page, vma, address)


class Commitc8d6553b9580(Commitcbf86cfe04a6):
    """c8d6553b9580 "ksm: make KSM page migration possible".

    2013-02-23, v3.9. While a page moves, neither the old nor the new one may seem to be gone.
    """

    StableNode: ClassVar[type[Struct]] = StableNodeOfMovingPage

    def get_ksm_page(self, stable_node: Any) -> Any:
        """A page that is not the node's any more counts as gone only if the node has no other."""
        return self.keyhole_reference(stable_node, self.no_lock)

    def get_ksm_page_locked(self, stable_node: Any) -> Any:
        """The same, under the page lock."""
        return self.keyhole_reference(stable_node, self.lock_page_of_node)

    # The flags of get_ksm_page: what it does with the lock is a function here.

    def no_lock(self, page: Any, expected_mapping: Any) -> bool:
        """New: the page is right without a lock."""
        return True

    def lock_page_of_node(self, page: Any, expected_mapping: Any) -> bool:
        """New: lock the page; if it is another's by then, let it go."""
        self.lock_page(page)
        return self.check_page_of_node(page, expected_mapping)

    def check_page_of_node(self, page: Any, expected_mapping: Any) -> bool:
        """New: whether a locked page is the node's still; if not, let it go."""
        if READ_ONCE(page, "mapping") == expected_mapping:
            return True
        self.unlock_page(page)
        self.put_page(page)
        return False

    def keyhole_reference(self, stable_node: Any, lock: Any) -> Any:
        """New: the page of a node with a reference; without one the node goes."""
        expected_mapping = (KSM_TAGS, stable_node)
        while True:
            kpfn = READ_ONCE(stable_node, "kpfn")
            page = self.pfn_to_page(kpfn)
            if self.get_page_of_node(page, expected_mapping) and lock(page, expected_mapping):
                return page
            if READ_ONCE(stable_node, "kpfn") == kpfn:
                break
        self.remove_node_from_stable_tree(stable_node)
        return None

    def get_page_of_node(self, page: Any, expected_mapping: Any) -> bool:
        """New: take a reference to a page, if it is the node's before and after."""
        if READ_ONCE(page, "mapping") != expected_mapping:
            return False
        while not self.get_page_unless_zero(page):
            if not self.PageSwapCache(page):
                return False
            # The kernel spins until migration has unfrozen the page: it does under this lock.
            spin_lock(self.swap.tree_lock)
            spin_unlock(self.swap.tree_lock)
        if READ_ONCE(page, "mapping") != expected_mapping:
            self.put_page(page)
            return False
        return True

    def ksm_migrate_page(self, newpage: Any, oldpage: Any) -> None:
        """The old page keeps no node: who looks there looks at the new frame number next."""
        super().ksm_migrate_page(newpage, oldpage)
        if self.page_stable_node(newpage) is not None:
            self.set_page_stable_node(oldpage, None)

    def stable_tree_search(self, page: Any) -> Any:
        """The page found is locked for a moment, so that migration sees its new reference."""
        if self.page_stable_node(page) is not None:
            self.get_page(page)
            return page
        return self.walk_stable_tree(page)[1]

    # Cut out for f2e5ff85ed5f "mm/ksm: don't fail stable tree lookups if walking over stale
    # stable_nodes", v4.4.

    def walk_stable_tree(self, page: Any) -> tuple[bool, Any]:
        """New: whether a stale node stopped the search, and the page found."""
        node = rb_root(self.ksm.root_stable_tree)
        while (stable_node := node.item) is not None:
            tree_page = self.get_ksm_page(stable_node)
            if tree_page is None:
                return True, None
            ret = self.memcmp_pages(page, tree_page)
            self.put_page(tree_page)
            if ret == 0:
                tree_page = self.get_ksm_page_locked(stable_node)
                if tree_page is not None:
                    self.unlock_page(tree_page)
                return False, tree_page
            node = node.left if ret < 0 else node.right
        return False, None

    def migrates(self, page: Any, offlining: bool) -> bool:
        """A KSM page too."""
        return True

    def use_anon_vma(self, page: Any, use: AnonVmaUse) -> bool:
        """A KSM page has none: its rmap_items hold theirs."""
        return self.PageKsm(page) or super().use_anon_vma(page, use)


class Commit5117b3b835f2(Commitc8d6553b9580):
    """5117b3b835f2 "mm,ksm: FOLL_MIGRATION do migration_entry_wait".

    2013-02-23, v3.9. An entry that waits for a migration may be one of a KSM page.
    """

    def follow_page_to_break(self, vma: Any, addr: int) -> Any:
        """Wait for the migration."""
        mm = vma.vm_mm
        ptep = pte_offset_map(mm.pgd, addr)
        if ptep is not None and is_migration_entry(entry := pte_get(ptep)):
            self.migration_entry_wait(mm, ptep)
            pte_wait_while(ptep, entry)
        return super().follow_page_to_break(vma, addr)


class Commit4146d2d673e8(Commit5117b3b835f2):
    """4146d2d673e8 "ksm: make !merge_across_nodes migration safe".

    2013-02-23, v3.9. A page may change its node, so an rmap_item is asked for it.
    """

    def unstable_tree_insert(self, rmap_item: Any, link: RbLink) -> None:
        """The tree's node lies over the pointer to the stable_node, which is looked at now."""
        rmap_item.head = None
        super().unstable_tree_insert(rmap_item, link)

    def cmp_and_merge_page(self, page: Any, rmap_item: Any) -> None:
        """An rmap_item stays where it is if it is on the node of its page."""
        stable_node = self.page_stable_node(page)
        if stable_node is not None and rmap_item.head == stable_node:
            return
        kpage = self.stable_tree_search(page)
        self.remove_rmap_item_from_tree(rmap_item)
        if kpage is not None:
            self.join_kpage(page, rmap_item, kpage)
        elif not self.checksum_changed(page, rmap_item):
            self.merge_or_insert(page, rmap_item)

    def scanned_page(self, page: Any, rmap_item: Any) -> None:
        """Whether there is anything to do is asked in cmp_and_merge_page."""
        self.cmp_and_merge_page(page, rmap_item)
