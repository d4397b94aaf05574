"""The patch that this project grew from, as mailed; it never entered the mainline in this form."""

from __future__ import annotations

from typing import Any

from rmaplab.history.root_lock import RootLock
from rmaplab.machine import (
    atomic_dec_and_lock,
    atomic_dec_and_test,
    atomic_inc,
    list_del,
    list_empty,
)


class SeedV2(RootLock):
    """[PATCH -mm v2] "mm: extend KSM refcounts to the anon_vma root", Rik van Riel.

    2010-05-26, in mmotm 2010-06-03. Each child holds a reference to its root. A root that its
    last VMA leaves drops one as well, which it never took: see 76545066c852.
    """

    def get_anon_vma(self, anon_vma: Any) -> None:
        """New: hold an anon_vma from outside its list."""
        if self.CONFIG_KSM or self.CONFIG_MIGRATION:
            atomic_inc(anon_vma.external_refcount)

    def drop_anon_vma(self, anon_vma: Any) -> None:
        """New: let an anon_vma go; free it, and then its root, if nobody needs them any more."""
        if self.CONFIG_KSM or self.CONFIG_MIGRATION:
            self.drop_anon_vma_counted(anon_vma)

    # The body of drop_anon_vma, cut out for 83813267c699 "mm: move anon_vma ref out from under
    # CONFIG_foo", v2.6.39.

    def drop_anon_vma_counted(self, anon_vma: Any) -> None:
        """New: lower the count, and free what nobody needs any more."""
        if atomic_dec_and_lock(anon_vma.external_refcount, self.anon_vma_lock_of(anon_vma)):
            root = anon_vma.root
            empty = list_empty(anon_vma.head)
            last_root_user = root_empty = False
            if empty and anon_vma != root:
                last_root_user = self.drop_root(root)
                root_empty = list_empty(root.head)
            self.anon_vma_unlock(anon_vma)
            if empty:
                self.anon_vma_free(anon_vma)
                if root_empty and last_root_user:
                    self.anon_vma_free(root)

    # A line of drop_anon_vma, cut out for 44ab57a06ded "rmap: add anon_vma bug checks", v2.6.36.

    def drop_root(self, root: Any) -> bool:
        """New: take back a dying child's reference to its root; whether it was the last one."""
        return atomic_dec_and_test(root.external_refcount)

    def anon_vma_fork_link(self, vma: Any, pvma: Any, avc: Any, anon_vma: Any) -> None:
        """The root is held until the child is freed, since the lock is in the root."""
        anon_vma.root = pvma.anon_vma.root
        self.get_anon_vma(anon_vma.root)
        vma.anon_vma = anon_vma
        self.anon_vma_chain_link(vma, avc, anon_vma)

    def anon_vma_unlink(self, anon_vma_chain: Any) -> None:
        """The root is dropped before the anon_vma is freed: even by the root itself."""
        anon_vma = anon_vma_chain.anon_vma
        if anon_vma is None:
            return  # unreached: see Rmap.anon_vma_unlink
        self.anon_vma_lock(anon_vma)
        list_del(anon_vma_chain.same_anon_vma)
        empty = list_empty(anon_vma.head) and not self.anonvma_external_refcount(anon_vma)
        self.anon_vma_unlock(anon_vma)
        if empty:
            self.drop_anon_vma(anon_vma.root)
            self.anon_vma_free(anon_vma)

    def hold_anon_vma(self, rmap_item: Any, anon_vma: Any) -> None:
        """KSM counts by get_anon_vma."""
        rmap_item.anon_vma = anon_vma
        self.get_anon_vma(anon_vma)

    def ksm_drop_anon_vma(self, rmap_item: Any) -> None:
        """KSM counts by drop_anon_vma. (This is where the kernel's name gets its ksm_.)"""
        self.drop_anon_vma(rmap_item.anon_vma)

    def migrate_get_anon_vma(self, anon_vma: Any) -> None:
        """Migration counts by get_anon_vma."""
        self.get_anon_vma(anon_vma)

    def migrate_drop_anon_vma(self, anon_vma: Any) -> None:
        """Migration counts by drop_anon_vma."""
        self.drop_anon_vma(anon_vma)
