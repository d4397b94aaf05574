"""v3.3: mremap minds the order in which a walk meets the old place and the new."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v3_1 import Commit486cf46f3f9b
from rmaplab.machine import VM_BUG_ON, list_add_tail, list_del, list_for_each_entry_reverse


class Commit948f017b0993(Commit486cf46f3f9b):
    """948f017b0993 "mremap: enforce rmap src/dst vma ordering in case of vma_merge() succeeding in
    copy_vma()".

    2012-01-10, v3.3. A new VMA is last on every list, and so after the source. One that was there
    may be before it: then a walk looks where the entry will be, and later where it has been.
    """

    def anon_vma_moveto_tail(self, dst: Any) -> None:
        """New: make a VMA the last on the lists of all its anon_vmas."""
        root = None
        for pavc in list_for_each_entry_reverse(dst.anon_vma_chain):
            anon_vma = pavc.anon_vma
            VM_BUG_ON(pavc.vma != dst)
            root = self.lock_anon_vma_root(root, anon_vma)
            list_del(pavc.same_anon_vma)
            list_add_tail(pavc.same_anon_vma, anon_vma.head)
        self.unlock_anon_vma_root(root)

    def copy_vma_merged(self, vma: Any, new_vma: Any) -> bool:
        """The new place comes after the source, unless they are one VMA: then no page is mapped."""
        if new_vma != vma:
            self.anon_vma_moveto_tail(new_vma)
        return super().copy_vma_merged(vma, new_vma)

    def move_page_tables_back(
        self, new_vma: Any, new_addr: int, vma: Any, old_addr: int, moved_len: int
    ) -> None:
        """Back to a VMA that comes last, too."""
        self.anon_vma_moveto_tail(vma)
        super().move_page_tables_back(new_vma, new_addr, vma, old_addr, moved_len)
