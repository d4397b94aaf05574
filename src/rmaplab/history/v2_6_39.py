"""From v2.6.38 to v2.6.39: an anon_vma is counted from its allocation on.

Left out: huge pages.
"""

from __future__ import annotations

from typing import Any, ClassVar

from rmaplab.history.root_lock import AnonVmaWithRoot
from rmaplab.history.v2_6_38_pages import Commitfed067da46ad
from rmaplab.machine import (
    BUG_ON,
    INIT_LIST_HEAD,
    VM_BUG_ON,
    Atomic,
    Struct,
    atomic_compare,
    atomic_dec_and_test,
    atomic_inc,
    atomic_set,
    kmem_cache_alloc,
    list_del,
    list_empty,
    refcount,
    removed,
)


class AnonVmaCounted(AnonVmaWithRoot):
    """struct anon_vma with a count of all that need it: 0 means free."""

    external_refcount: Any = removed()
    refcount: Atomic = refcount()


class Commit83813267c699(Commitfed067da46ad):
    """83813267c699 "mm: move anon_vma ref out from under CONFIG_foo".

    2011-03-22, v2.6.39. Every kernel counts, not only one with KSM or migration.
    """

    def anonvma_external_refcount_init(self, anon_vma: Any) -> None:
        """In every configuration. (The kernel does it in anon_vma_ctor.)"""
        atomic_set(anon_vma.external_refcount, 0)

    def anonvma_external_refcount(self, anon_vma: Any) -> bool:
        """In every configuration. (The kernel asks in anon_vma_unlink.)"""
        return atomic_compare(anon_vma.external_refcount, "!=", 0)

    def get_anon_vma(self, anon_vma: Any) -> None:
        """In every configuration."""
        atomic_inc(anon_vma.external_refcount)

    def drop_anon_vma(self, anon_vma: Any) -> None:
        """In every configuration."""
        BUG_ON(atomic_compare(anon_vma.external_refcount, "<=", 0), "drop_anon_vma")
        self.drop_anon_vma_counted(anon_vma)


class Commit01d8b20dec5f(Commit83813267c699):
    """01d8b20dec5f "mm: simplify anon_vma refcounts".

    2011-03-22, v2.6.39. The VMAs on the list hold one reference together, from the allocation on.
    What drop_anon_vma was is put_anon_vma since the commit before, 9e60109f125 "mm: rename
    drop_anon_vma() to put_anon_vma()".
    """

    AnonVma: ClassVar[type[Struct]] = AnonVmaCounted

    def anon_vma_ctor(self, anon_vma: Any) -> None:
        """The count has another name."""
        atomic_set(anon_vma.refcount, 0)
        INIT_LIST_HEAD(anon_vma.head)

    def anon_vma_alloc(self) -> Any:
        """With one reference, and a root: itself, until anon_vma_fork knows better."""
        anon_vma = kmem_cache_alloc(self.anon_vma_cachep)
        if anon_vma is not None:
            atomic_set(anon_vma.refcount, 1)
            anon_vma.root = anon_vma
        return anon_vma

    def anon_vma_alloc_root(self) -> Any:
        """It has its root already."""
        return self.anon_vma_alloc()

    def anon_vma_unused(self, anon_vma: Any) -> None:
        """Its one reference is put."""
        self.put_anon_vma(anon_vma)

    def anon_vma_free(self, anon_vma: Any) -> None:
        """Nobody may hold it."""
        VM_BUG_ON(atomic_compare(anon_vma.refcount, "!=", 0), "anon_vma_free: it is held")
        super().anon_vma_free(anon_vma)

    def get_anon_vma(self, anon_vma: Any) -> None:
        """One count for all."""
        atomic_inc(anon_vma.refcount)

    def put_anon_vma(self, anon_vma: Any) -> None:
        """New: let an anon_vma go, and free it with the last reference."""
        if atomic_dec_and_test(anon_vma.refcount):
            self._put_anon_vma(anon_vma)

    def _put_anon_vma(self, anon_vma: Any) -> None:
        """New: free an anon_vma, which lets its root go first. (The kernel's __put_anon_vma.)"""
        root = anon_vma.root
        if root != anon_vma:
            self.put_anon_vma(root)
        self.anon_vma_free(anon_vma)

    def anon_vma_unlink(self, anon_vma_chain: Any) -> None:
        """The last VMA to leave the list puts the reference of all."""
        anon_vma = anon_vma_chain.anon_vma
        if anon_vma is None:
            return  # unreached: see Rmap.anon_vma_unlink
        self.anon_vma_lock(anon_vma)
        list_del(anon_vma_chain.same_anon_vma)
        empty = list_empty(anon_vma.head)
        self.anon_vma_unlock(anon_vma)
        if empty:
            self.put_anon_vma(anon_vma)

    def ksm_drop_anon_vma(self, rmap_item: Any) -> None:
        """KSM puts."""
        self.put_anon_vma(rmap_item.anon_vma)

    def migrate_drop_anon_vma(self, anon_vma: Any) -> None:
        """Migration puts."""
        self.put_anon_vma(anon_vma)
