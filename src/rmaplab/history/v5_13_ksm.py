"""KSM in v5.13."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v5_12 import Commitee8ab1903e3d


class Commit3e96b6a2e9ad(Commitee8ab1903e3d):
    """3e96b6a2e9ad "ksm: fix potential missing rmap_item for stable_node".

    2021-05-04, v5.13. An rmap_item that pointed to a node which is freed seemed to be on another
    with the same memory, and was not put on it.
    """

    def take_off_stable_node(self, rmap_item: Any, stable_node: Any, page: Any) -> None:
        """The pointer goes too. (That of an item whose node was found gone stays.)"""
        super().take_off_stable_node(rmap_item, stable_node, page)
        rmap_item.head = None
