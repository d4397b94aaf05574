"""KSM in v4.13: no page is shared by more than so many rmap_items, so that no walk takes forever.

A litmus takes no time: a chain is pruned whenever it may be at once, and else never.
"""

from __future__ import annotations

from typing import Any, ClassVar

from rmaplab.history.v3_9_ksm import StableNodeOfMovingPage
from rmaplab.history.v4_11_ksm import KsmGlobalsWithZeroPages
from rmaplab.history.v4_12_pages import Commit93e06c7a6453
from rmaplab.kernel.ksm.sysfs import UINT_MAX
from rmaplab.kernel.mm_types import EBUSY, EINVAL
from rmaplab.machine import (
    BUG_ON,
    INIT_LIST_HEAD,
    VM_BUG_ON,
    Atomic,
    ListEntry,
    ListHead,
    RbLink,
    Struct,
    Tree,
    atomic,
    atomic_dec,
    atomic_inc,
    atomic_read,
    cond_resched,
    list_add,
    list_del,
    list_empty,
    list_entry,
    list_first_entry,
    list_for_each_entry,
    list_head,
    list_is_singular,
    mutex_lock,
    mutex_unlock,
    rb_erase,
    rb_insert,
    rb_items,
    rb_replace_node,
    rb_root,
    rb_tree,
    value,
)

#: rmap_hlist_len of a chain.
STABLE_NODE_CHAIN = -1024


class StableNodeOfChain(StableNodeOfMovingPage):
    """struct stable_node: of a merged page, or the head of a chain of nodes with the same bytes.

    In the kernel the head of a chain has its dups on `hlist`, and a dup is known by a mark.
    """

    rmap_hlist_len: int = value(0)  # rmap_items on hlist, or STABLE_NODE_CHAIN
    hlist_dups: ListHead = list_head()  # of a chain
    hlist_dup: ListEntry = list_entry()  # of a dup, on hlist_dups
    is_dup: bool = value(False)


class KsmGlobalsWithLimit(KsmGlobalsWithZeroPages):
    """The static variables, with those of the limit."""

    #: Of its very shape: a chain is pruned when a search comes past it.
    root_stable_tree: Tree = rb_tree()
    ksm_stable_node_chains: Atomic = atomic()
    ksm_stable_node_dups: Atomic = atomic()
    ksm_max_page_sharing: int = value(256, marked="shown without ksm_thread_mutex")
    ksm_stable_node_chains_prune_millisecs: int = value(
        2000, marked="set and shown without ksm_thread_mutex"
    )


class Commit2c653d0ee2ae(Commit93e06c7a6453):
    """2c653d0ee2ae "ksm: introduce ksm_max_page_sharing per page deduplication limit".

    2017-07-06, v4.13. With its followers in v4.13: 8dc5ffcd5a74 "ksm: swap the two output
    parameters of chain/chain_prune", 0ba1d0f7c41c "ksm: cleanup stable_node chain collapse case",
    80b18dfa53bb "ksm: optimize refile of stable_node_dup at the head of the chain".
    Left out: the warning where a limit is passed.
    """

    StableNode: ClassVar[type[Struct]] = StableNodeOfChain
    KsmGlobals: ClassVar[type[Struct]] = KsmGlobalsWithLimit

    # Chains

    def is_stable_node_chain(self, stable_node: Any) -> bool:
        """New: whether a node is the head of a chain."""
        return bool(stable_node.rmap_hlist_len == STABLE_NODE_CHAIN)

    def stable_node_chain_add_dup(self, dup: Any, chain: Any) -> None:
        """New: put a node on a chain, first."""
        VM_BUG_ON(dup.is_dup, "stable_node_chain_add_dup: it is on a chain already")
        dup.is_dup = True
        VM_BUG_ON(not self.is_stable_node_chain(chain), "stable_node_chain_add_dup: no chain")
        list_add(dup.hlist_dup, chain.hlist_dups)
        atomic_inc(self.ksm.ksm_stable_node_dups)

    def stable_node_dup_del(self, stable_node: Any) -> None:
        """A node of a chain is not in the tree itself."""
        VM_BUG_ON(self.is_stable_node_chain(stable_node), "stable_node_dup_del: a chain")
        if stable_node.is_dup:
            list_del(stable_node.hlist_dup)
            atomic_dec(self.ksm.ksm_stable_node_dups)
        else:
            rb_erase(self.ksm.root_stable_tree, stable_node)

    def alloc_stable_node_chain(self, dup: Any) -> Any:
        """New: a chain in the place of a node, which becomes its first; None without memory."""
        chain = self.alloc_stable_node()
        VM_BUG_ON(self.is_stable_node_chain(dup), "alloc_stable_node_chain: a chain already")
        if chain is not None:
            INIT_LIST_HEAD(chain.hlist_dups)
            chain.rmap_hlist_len = STABLE_NODE_CHAIN
            atomic_inc(self.ksm.ksm_stable_node_chains)
            rb_replace_node(self.ksm.root_stable_tree, dup, chain)
            self.stable_node_chain_add_dup(dup, chain)
        return chain

    def free_stable_node_chain(self, chain: Any) -> None:
        """New: take an empty chain out of the tree."""
        rb_erase(self.ksm.root_stable_tree, chain)
        self.free_stable_node(chain)
        atomic_dec(self.ksm.ksm_stable_node_chains)

    def collapse_chain(self, chain: Any, dup: Any) -> None:
        """New: put the only node of a chain in its place."""
        BUG_ON(not list_is_singular(chain.hlist_dups), "stable_node_dup: the chain has others")
        list_del(dup.hlist_dup)
        dup.is_dup = False  # in the kernel the tree's node lies over the mark
        rb_replace_node(self.ksm.root_stable_tree, chain, dup)
        self.free_stable_node(chain)
        atomic_dec(self.ksm.ksm_stable_node_chains)
        atomic_dec(self.ksm.ksm_stable_node_dups)

    def is_page_sharing_candidate(self, stable_node: Any, offset: int = 0) -> bool:
        """New: whether one more may share the page, and somebody still does."""
        length = stable_node.rmap_hlist_len
        VM_BUG_ON(length < 0, "is_page_sharing_candidate: a chain")
        return bool(length and length + offset < self.ksm.ksm_max_page_sharing)

    # Searching. What is found is three things: a node that has room, None if all are full; what is
    # in the tree there now, the node itself or its chain; and a page with a reference, None if the
    # tree has changed, so that the search begins again.

    def stable_node_dup(self, chain: Any, prune: bool) -> tuple[Any, Any, Any]:
        """New: find a node of a chain that has room.

        To prune is to look at all, so that those whose pages are gone go, and to take the fullest.
        """
        prune = prune and not self.ksm.ksm_stable_node_chains_prune_millisecs
        found, tree_page, seen = None, None, 0
        for dup in list_for_each_entry(chain.hlist_dups):
            cond_resched()
            page = self.get_ksm_page(dup)
            if page is None:
                continue
            seen += 1
            if not self.is_better_dup(dup, found):
                self.put_page(page)
                continue
            if found is not None:
                self.put_page(tree_page)
            found, tree_page = dup, page
            if not prune and self.is_page_sharing_candidate(found):
                break
        if found is not None:
            chain = self.refile_dup(chain, found, prune and seen == 1)
        return found, chain, tree_page

    # Cut out for a0b856b617c5 "mm/ksm: optimize the chain()/chain_prune() interfaces", v6.11.

    def is_better_dup(self, dup: Any, found: Any) -> bool:
        """New: whether a node of a chain is to be taken rather than that found before."""
        if not self.is_page_sharing_candidate(dup):
            return False
        return found is None or bool(dup.rmap_hlist_len > found.rmap_hlist_len)

    def refile_dup(self, chain: Any, found: Any, alone: bool) -> Any:
        """New: the node that is alone takes the place of its chain; another with room goes first.

        Returns what is in the tree then.
        """
        if alone:
            self.collapse_chain(chain, found)
            return found
        is_first = list_first_entry(chain.hlist_dups) == found
        if not is_first and self.is_page_sharing_candidate(found, 1):
            list_del(found.hlist_dup)
            list_add(found.hlist_dup, chain.hlist_dups)
        return chain

    def chain(self, stable_node: Any, prune: bool) -> tuple[Any, Any, Any]:
        """New: find a node that has room at a place of the tree; if all are full, any page."""
        if not self.is_stable_node_chain(stable_node):
            dup = stable_node if self.is_page_sharing_candidate(stable_node) else None
            return dup, stable_node, self.get_ksm_page(stable_node)
        dup, stable_node, tree_page = self.stable_node_dup(stable_node, prune)
        if dup is None:
            if list_empty(stable_node.hlist_dups):
                self.free_stable_node_chain(stable_node)
                return None, None, None
            tree_page = self.get_ksm_page(list_first_entry(stable_node.hlist_dups))
        return dup, stable_node, tree_page

    def stable_tree_descend(self, page: Any, prune: bool) -> tuple[RbLink, Any, Any]:
        """New: the place of a page's bytes, what is there, and a node that has room."""
        link = rb_root(self.ksm.root_stable_tree)
        while (stable_node := link.item) is not None:
            cond_resched()
            dup, stable_node, tree_page = self.chain(stable_node, prune)
            if tree_page is None:
                link = rb_root(self.ksm.root_stable_tree)
                continue
            ret = self.memcmp_pages(page, tree_page)
            self.put_page(tree_page)
            if ret == 0:
                return link, stable_node, dup
            link = link.left if ret < 0 else link.right
        return link, None, None

    def walk_stable_tree(self, page: Any) -> tuple[bool, Any]:
        """A page that is full is not found: another is made of the next two that are equal."""
        _, _, dup = self.stable_tree_descend(page, prune=True)
        if dup is None:
            return False, None
        tree_page = self.touch_found_page(dup)
        return tree_page is None, tree_page

    # Cut out for 2cee57d1b08a "mm: ksm: do not block on page lock when searching stable tree",
    # v5.1.

    def touch_found_page(self, dup: Any) -> Any:
        """New: lock and unlock the page found, so that migration sees its new reference."""
        tree_page = self.get_ksm_page_locked(dup)
        if tree_page is not None:
            self.unlock_page(tree_page)
        return tree_page

    # Inserting and removing

    def stable_tree_insert(self, kpage: Any) -> Any:
        """Where the same bytes are already, the new node goes on a chain with the old."""
        link, stable_node, _ = self.stable_tree_descend(kpage, prune=False)
        dup = self.alloc_stable_node()
        if dup is None:
            return None
        INIT_LIST_HEAD(dup.hlist)
        dup.kpfn = self.page_to_pfn(kpage)
        dup.rmap_hlist_len = 0
        if stable_node is None:
            rb_insert(self.ksm.root_stable_tree, dup, link)
        else:
            if not self.is_stable_node_chain(stable_node):
                stable_node = self.alloc_stable_node_chain(stable_node)
            if stable_node is None:
                self.free_stable_node(dup)
                return None
            self.stable_node_chain_add_dup(dup, stable_node)
        self.set_page_stable_node(kpage, dup)
        return dup

    def stable_tree_append(self, rmap_item: Any, stable_node: Any) -> None:
        """Who shares is counted. A fork may go past the limit."""
        BUG_ON(stable_node.rmap_hlist_len < 0, "stable_tree_append: a chain")
        stable_node.rmap_hlist_len += 1
        super().stable_tree_append(rmap_item, stable_node)

    def leave_stable_node(self, rmap_item: Any, stable_node: Any) -> None:
        """Who shares is counted."""
        VM_BUG_ON(stable_node.rmap_hlist_len <= 0, "an rmap_item of a node that has none")
        stable_node.rmap_hlist_len -= 1
        super().leave_stable_node(rmap_item, stable_node)

    def remove_stable_node_chain(self, stable_node: Any) -> int:
        """All nodes of a chain, and the chain."""
        if not self.is_stable_node_chain(stable_node):
            return self.remove_stable_node(stable_node)
        for dup in list_for_each_entry(stable_node.hlist_dups):
            if self.remove_stable_node(dup):
                return -EBUSY
        self.free_stable_node_chain(stable_node)
        return 0

    def ksm_check_stable_tree(self, start_pfn: int, end_pfn: int) -> Any:
        """Also a node of a chain. A chain that it leaves empty goes when a search meets it."""
        for stable_node in rb_items(self.ksm.root_stable_tree):
            nodes = [stable_node]
            if self.is_stable_node_chain(stable_node):
                nodes = list(list_for_each_entry(stable_node.hlist_dups))
            for node in nodes:
                if start_pfn <= node.kpfn < end_pfn:
                    return node
        return None

    # /sys/kernel/mm/ksm

    def max_page_sharing_show(self) -> int:
        """New: how many rmap_items may share a page."""
        return int(self.ksm.ksm_max_page_sharing)

    def max_page_sharing_store(self, knob: int) -> int:
        """New: 0 or an error; as long as anything is merged it cannot be changed."""
        if knob < 2:
            return -EINVAL
        if self.ksm.ksm_max_page_sharing == knob:
            return 0
        err = 0
        mutex_lock(self.ksm.ksm_thread_mutex)
        if self.ksm.ksm_max_page_sharing != knob:
            if self.trees_are_in_use():
                err = -EBUSY
            else:
                self.ksm.ksm_max_page_sharing = knob
        mutex_unlock(self.ksm.ksm_thread_mutex)
        return err

    def stable_node_chains_prune_millisecs_show(self) -> int:
        """New: how long a chain is left alone before it is pruned."""
        return int(self.ksm.ksm_stable_node_chains_prune_millisecs)

    def stable_node_chains_prune_millisecs_store(self, msecs: int) -> int:
        """New: 0 or an error."""
        if not 0 <= msecs <= UINT_MAX:
            return -EINVAL
        self.ksm.ksm_stable_node_chains_prune_millisecs = msecs
        return 0

    def stable_node_chains_show(self) -> int:
        """New: the chains."""
        return atomic_read(self.ksm.ksm_stable_node_chains)

    def stable_node_dups_show(self) -> int:
        """New: the nodes on chains."""
        return atomic_read(self.ksm.ksm_stable_node_dups)
