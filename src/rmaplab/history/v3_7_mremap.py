"""v3.7, mremap: entries move under the locks of the reverse map, but where no walk can miss them.

Left out: the lock of a file's VMAs, which has no pages here.
"""

from __future__ import annotations

from typing import Any

from rmaplab.history.v3_3 import Commit948f017b0993


class Commit108d6642ad81(Commit948f017b0993):
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


class Commit38a76013ad80(Commit108d6642ad81):
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
