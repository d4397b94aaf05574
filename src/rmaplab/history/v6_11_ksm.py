"""KSM in v6.11: a page that changes is not looked for in the stable tree."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v6_9_ksm import Commit3a9e567ca45f
from rmaplab.machine import list_is_singular


class Commitd58a361b0350(Commit3a9e567ca45f):
    """d58a361b0350 "mm/ksm: don't waste time searching stable tree for fast changing page".

    2024-07-03, v6.11. So a page is merged a pass later, in its second at the earliest. With
    90e823498881 "mm/ksm: refactor out try_to_merge_with_zero_page()", v6.11.
    """

    def cmp_and_merge_page(self, page: Any, rmap_item: Any) -> None:
        """The checksum first, and the zero page; then the stable tree."""
        stable_node = self.page_stable_node(page)
        if stable_node is not None:
            if rmap_item.head == stable_node:
                return
        else:
            self.remove_rmap_item_from_tree(rmap_item)
            if self.checksum_changed(page, rmap_item):
                return
        kpage = self.stable_tree_search(page)
        self.remove_rmap_item_from_tree(rmap_item)
        if kpage is not None:
            self.join_kpage(page, rmap_item, kpage)
        else:
            self.merge_or_insert(page, rmap_item)


class Commita0b856b617c5(Commitd58a361b0350):
    """a0b856b617c5 "mm/ksm: optimize the chain()/chain_prune() interfaces".

    2024-07-03, v6.11. A node of a chain is found also if all are full.
    """

    def is_better_dup(self, dup: Any, found: Any) -> bool:
        """Any is better than none."""
        if found is None:
            return True
        if not self.is_page_sharing_candidate(dup):
            return False
        full = not self.is_page_sharing_candidate(found)
        return full or bool(dup.rmap_hlist_len > found.rmap_hlist_len)

    def refile_dup(self, chain: Any, found: Any, alone: bool) -> Any:
        """Whoever is alone on a chain takes its place."""
        return super().refile_dup(chain, found, list_is_singular(chain.hlist_dups))

    def chain(self, stable_node: Any, prune: bool) -> tuple[Any, Any, Any]:
        """A chain without nodes goes."""
        if not self.is_stable_node_chain(stable_node):
            tree_page = self.get_ksm_page(stable_node)
            return self.dup_with_room(stable_node, tree_page), stable_node, tree_page
        dup, in_tree, tree_page = self.stable_node_dup(stable_node, prune)
        if dup is None:
            self.free_stable_node_chain(stable_node)
        return self.dup_with_room(dup, tree_page), in_tree, tree_page

    def dup_with_room(self, dup: Any, tree_page: Any) -> Any:
        """New: the node, if it is there and not full: here asked before bytes are compared."""
        if tree_page is None or not self.is_page_sharing_candidate(dup):
            return None
        return dup
