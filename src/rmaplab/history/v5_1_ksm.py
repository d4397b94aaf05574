"""KSM in v5.1."""

from __future__ import annotations

from typing import Any, Final

from rmaplab.history.v5_1 import Commite4c5800a3991

#: What a search gives for a page that is locked: ERR_PTR(-EBUSY).
BUSY_PAGE: Final[Any] = "ERR_PTR(-EBUSY)"


class Commit2cee57d1b08a(Commite4c5800a3991):
    """2cee57d1b08a "mm: ksm: do not block on page lock when searching stable tree".

    2019-03-05, v5.1. ksmd leaves what is locked to a later pass.
    """

    def touch_found_page(self, dup: Any) -> Any:
        """BUSY_PAGE, if another has the lock."""
        busy = []

        def trylock_page_of_node(page: Any, expected_mapping: Any) -> bool:
            if not self.trylock_page(page):
                self.put_page(page)
                busy.append(page)
                return True
            return self.check_page_of_node(page, expected_mapping)

        tree_page = self.keyhole_reference(dup, trylock_page_of_node)
        if busy:
            return BUSY_PAGE
        if tree_page is not None:
            self.unlock_page(tree_page)
        return tree_page

    def join_kpage(self, page: Any, rmap_item: Any, kpage: Any) -> None:
        """Nothing is joined that is busy."""
        if kpage is not BUSY_PAGE:
            super().join_kpage(page, rmap_item, kpage)
