"""KSM in v4.4."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v4_2_vmas import Commit36f881883c57
from rmaplab.machine import RbLink


class Commitf2e5ff85ed5f(Commit36f881883c57):
    """f2e5ff85ed5f "mm/ksm: don't fail stable tree lookups if walking over stale stable_nodes".

    2015-11-05, v4.4. A search begins again where it met a node that is gone.
    """

    def walk_stable_tree(self, page: Any) -> tuple[bool, Any]:
        """Again, while a stale node is met."""
        stale, found = super().walk_stable_tree(page)
        while stale:
            stale, found = super().walk_stable_tree(page)
        return stale, found

    def stable_tree_place(self, kpage: Any) -> tuple[bool, RbLink | None]:
        """Again, while a stale node is met."""
        stale, place = super().stable_tree_place(kpage)
        while stale:
            stale, place = super().stable_tree_place(kpage)
        return stale, place
