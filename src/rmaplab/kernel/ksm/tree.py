"""mm/ksm.c: the stable tree of merged pages and the unstable tree of pages that stayed the same."""

from __future__ import annotations

from typing import Any

from rmaplab.kernel import contents
from rmaplab.kernel.ksm.state import (
    KSM_TAGS,
    SEQNR_MASK,
    STABLE_FLAG,
    UNSTABLE_FLAG,
    KsmState,
)
from rmaplab.kernel.mm_types import PAGE_MASK, VM_MERGEABLE
from rmaplab.machine import (
    BUG_ON,
    INIT_LIST_HEAD,
    READ_ONCE,
    RbLink,
    atomic_dec,
    atomic_inc,
    cond_resched,
    down_read,
    list_add,
    list_del,
    list_empty,
    list_for_each_entry,
    list_next_entry,
    rb_erase,
    rb_insert,
    rb_root,
    rcu_read_lock,
    rcu_read_unlock,
    up_read,
)


class KsmTrees(KsmState):
    """Searching, inserting and removing."""

    # Pages as they are seen from the trees

    def find_mergeable_vma(self, mm: Any, addr: int) -> Any:
        """The VMA at `addr` if KSM may touch it; what break_cow and get_mergeable_page both ask."""
        if self.ksm_test_exit(mm):
            return None
        vma = self.find_vma(mm, addr)
        if vma is None or vma.vm_start > addr:
            return None
        if not vma.vm_flags & VM_MERGEABLE or vma.anon_vma is None:
            return None
        return vma

    def get_mergeable_page(self, rmap_item: Any) -> Any:
        """The anonymous page that an rmap_item stands for, with a reference; None if it is gone."""
        mm = rmap_item.mm
        addr = rmap_item.address & PAGE_MASK
        page = None
        down_read(mm.mmap_sem)
        vma = self.find_mergeable_vma(mm, addr)
        if vma is not None:
            page = self.follow_page(vma, addr)
            if page is not None and not self.PageAnon(page):
                self.put_page(page)
                page = None
        up_read(mm.mmap_sem)
        return page

    def get_ksm_page(self, stable_node: Any) -> Any:
        """The page of a stable_node, with a reference; None if it is gone, and then the node too.

        The node holds no reference: the page is the right one as long as it points back.
        """
        page = self.pfn_to_page(stable_node.kpfn)
        expected_mapping = (KSM_TAGS, stable_node)
        rcu_read_lock()
        fresh = READ_ONCE(page, "mapping") == expected_mapping and self.get_page_unless_zero(page)
        if fresh and READ_ONCE(page, "mapping") != expected_mapping:
            self.put_page(page)
            fresh = False
        rcu_read_unlock()
        if fresh:
            return page
        self.remove_node_from_stable_tree(stable_node)
        return None

    def calc_checksum(self, page: Any) -> int:
        """What tells whether a page has changed since the last pass."""
        return contents.calc_checksum(READ_ONCE(page, "contents"))

    def memcmp_pages(self, page1: Any, page2: Any) -> int:
        """-1, 0 or 1: the order of two pages in the trees."""
        return contents.memcmp_pages(READ_ONCE(page1, "contents"), READ_ONCE(page2, "contents"))

    def pages_identical(self, page1: Any, page2: Any) -> bool:
        """Whether two pages hold the same bytes."""
        return not self.memcmp_pages(page1, page2)

    # Removal

    def remove_node_from_stable_tree(self, stable_node: Any) -> None:
        """Take a node out whose page is gone, letting go of every rmap_item on it.

        The kernel leaves the items linked to the dying node and later writes over their links;
        a list entry here has to be taken off.
        """
        for rmap_item in list_for_each_entry(stable_node.hlist):
            if list_next_entry(rmap_item.hlist) is not None:
                atomic_dec(self.ksm.ksm_pages_sharing)
            else:
                atomic_dec(self.ksm.ksm_pages_shared)
            self.leave_stable_node(rmap_item, stable_node)
            list_del(rmap_item.hlist)
            cond_resched()
        self.stable_node_dup_del(stable_node)
        self.free_stable_node(stable_node)

    # Cut out for 2c653d0ee2ae "ksm: introduce ksm_max_page_sharing per page deduplication limit",
    # 4.13, whose name this is. The other has lines that stand twice in the kernel.

    def stable_node_dup_del(self, stable_node: Any) -> None:
        """Take a node out of the stable tree."""
        rb_erase(self.ksm.root_stable_tree, stable_node)

    def leave_stable_node(self, rmap_item: Any, stable_node: Any) -> None:
        """Let go of what an rmap_item holds while it is on a stable_node."""
        self.ksm_drop_anon_vma(rmap_item)
        rmap_item.address &= PAGE_MASK

    def remove_rmap_item_from_tree(self, rmap_item: Any) -> None:
        """Take an rmap_item out of whichever tree it is in."""
        address = rmap_item.address
        if address & STABLE_FLAG:
            self._remove_from_stable_tree(rmap_item)
        elif address & UNSTABLE_FLAG:
            # The unstable tree forgets all at the start of a pass: only an item that this pass
            # put there has to be taken out, as when its mm exits.
            age = (self.ksm_scan.seqnr - address) & SEQNR_MASK
            BUG_ON(age > 1, "an rmap_item in the unstable tree is older than the last pass")
            if not age:
                rb_erase(self.ksm.root_unstable_tree, rmap_item)
            atomic_dec(self.ksm.ksm_pages_unshared)
            rmap_item.address = address & PAGE_MASK
        cond_resched()

    def _remove_from_stable_tree(self, rmap_item: Any) -> None:
        stable_node = rmap_item.head
        page = self.get_ksm_page_locked(stable_node)
        if page is not None:
            self.take_off_stable_node(rmap_item, stable_node, page)

    # Cut out for 8aafa6a485ae "ksm: get_ksm_page locked", 3.9.

    def get_ksm_page_locked(self, stable_node: Any) -> Any:
        """The page of a stable_node, with a reference and locked; None if it is gone."""
        page = self.get_ksm_page(stable_node)
        if page is not None:
            self.lock_page(page)
        return page

    # Cut out for 3e96b6a2e9ad "ksm: fix potential missing rmap_item for stable_node", 5.13.

    def take_off_stable_node(self, rmap_item: Any, stable_node: Any, page: Any) -> None:
        """Take an rmap_item off its node; the page is unlocked and let go."""
        list_del(rmap_item.hlist)
        self.unlock_page(page)
        self.put_page(page)
        if not list_empty(stable_node.hlist):
            atomic_dec(self.ksm.ksm_pages_sharing)
        else:
            atomic_dec(self.ksm.ksm_pages_shared)
        self.leave_stable_node(rmap_item, stable_node)

    def remove_trailing_rmap_items(self, mm_slot: Any, rmap_list_prev: Any) -> None:
        """Free all rmap_items of a slot after `rmap_list_prev` (None: all of them)."""
        while (rmap_item := self.get_rmap_list(mm_slot, rmap_list_prev)) is not None:
            self.set_rmap_list(mm_slot, rmap_list_prev, rmap_item.rmap_list)
            self.remove_rmap_item_from_tree(rmap_item)
            self.free_rmap_item(rmap_item)

    # Search and insertion

    def stable_tree_search(self, page: Any) -> Any:
        """A merged page with the same bytes, with a reference; None if there is none.

        None also where a stale node was met: the tree has changed under the search.
        """
        if self.page_stable_node(page) is not None:
            self.get_page(page)
            return page
        node = rb_root(self.ksm.root_stable_tree)
        while (stable_node := node.item) is not None:
            cond_resched()
            tree_page = self.get_ksm_page(stable_node)
            if tree_page is None:
                return None
            ret = self.memcmp_pages(page, tree_page)
            if ret == 0:
                return tree_page
            self.put_page(tree_page)
            node = node.left if ret < 0 else node.right
        return None

    def stable_tree_insert(self, kpage: Any) -> Any:
        """A new stable_node for a page just merged; None if it cannot have one."""
        new = self.stable_tree_place(kpage)[1]
        if new is None:
            return None
        stable_node = self.alloc_stable_node()
        if stable_node is None:
            return None
        rb_insert(self.ksm.root_stable_tree, stable_node, new)
        INIT_LIST_HEAD(stable_node.hlist)
        stable_node.kpfn = self.page_to_pfn(kpage)
        self.set_page_stable_node(kpage, stable_node)
        return stable_node

    # Cut out for f2e5ff85ed5f "mm/ksm: don't fail stable tree lookups if walking over stale
    # stable_nodes", 4.4.

    def stable_tree_place(self, kpage: Any) -> tuple[bool, RbLink | None]:
        """Whether a stale node was met, and where a new one goes.

        Nowhere, where the same bytes are already: the search before missed them since the page
        was not yet write-protected then.
        """
        new = rb_root(self.ksm.root_stable_tree)
        while (stable_node := new.item) is not None:
            cond_resched()
            tree_page = self.get_ksm_page(stable_node)
            if tree_page is None:
                return True, None
            ret = self.memcmp_pages(kpage, tree_page)
            self.put_page(tree_page)
            if ret == 0:
                return False, None
            new = new.left if ret < 0 else new.right
        return False, new

    def unstable_tree_search_insert(self, rmap_item: Any, page: Any) -> tuple[Any, Any]:
        """The rmap_item of another page with the same bytes, and that page with a reference.

        (None, None) if there is none: this one was put in then, unless the search met a page
        that is gone, or this very page, which fork shares.
        """
        new = rb_root(self.ksm.root_unstable_tree)
        while (tree_rmap_item := new.item) is not None:
            cond_resched()
            tree_page = self.get_mergeable_page(tree_rmap_item)
            if tree_page is None:
                return None, None
            if page == tree_page:
                self.put_page(tree_page)
                return None, None
            ret = self.memcmp_pages(page, tree_page)
            if ret == 0:
                return tree_rmap_item, tree_page
            self.put_page(tree_page)
            new = new.left if ret < 0 else new.right
        self.unstable_tree_insert(rmap_item, new)
        return None, None

    # Cut out for 4146d2d673e8 "ksm: make !merge_across_nodes migration safe", 3.9.

    def unstable_tree_insert(self, rmap_item: Any, link: RbLink) -> None:
        """Put an rmap_item at its place in the unstable tree."""
        rmap_item.address |= UNSTABLE_FLAG | self.ksm_scan.seqnr & SEQNR_MASK
        rb_insert(self.ksm.root_unstable_tree, rmap_item, link)
        atomic_inc(self.ksm.ksm_pages_unshared)

    def stable_tree_append(self, rmap_item: Any, stable_node: Any) -> None:
        """Hang an rmap_item on the node of the page that it now shares. The page is locked."""
        rmap_item.head = stable_node
        rmap_item.address |= STABLE_FLAG
        list_add(rmap_item.hlist, stable_node.hlist)
        if list_next_entry(rmap_item.hlist) is not None:
            atomic_inc(self.ksm.ksm_pages_sharing)
        else:
            atomic_inc(self.ksm.ksm_pages_shared)
