"""Fork uses an old anon_vma again, as 3.19 and 4.0 do, on top of v2.6.38.

7a3ef208e662 "mm: prevent endless growth of anon_vma hierarchy", with what b800c91a0517 and
3fe89b3e2a7b put right in it. Without 2555283eb40d (6.0), so an anon_vma may be used again while
it is some VMA's own: CVE-2022-42703.
"""

from rmaplab.history import V2_6_38
from rmaplab.kernel.mm_types import ENOMEM
from rmaplab.machine import (
    BUG_ON,
    list_del,
    list_empty,
    list_for_each_entry_reverse,
    pointer,
    value,
)


class AnonVmaWithDegree(V2_6_38.AnonVma):
    """struct anon_vma that knows its place in the tree of forks; the root's lock guards both."""

    degree = value(0)  # the VMAs whose own it is, and its children; a root is its own child
    parent = pointer()


class Reuse(V2_6_38):
    """An anon_vma with neither a VMA nor two children becomes the next child's own."""

    AnonVma = AnonVmaWithDegree

    def anon_vma_alloc(self):
        """It begins with one VMA of its own, or as the child of itself."""
        anon_vma = super().anon_vma_alloc()
        if anon_vma is not None:
            anon_vma.degree = 1
            anon_vma.parent = anon_vma
        return anon_vma

    def anon_vma_add_first(self, avc, anon_vma):
        """anon_vma_prepare, under the lock: it is one more VMA's own."""
        super().anon_vma_add_first(avc, anon_vma)
        anon_vma.degree += 1

    def anon_vma_clone(self, dst, src):
        """Where `dst` has no anon_vma of its own, it gets the oldest that it may use."""
        for pavc in list_for_each_entry_reverse(src.anon_vma_chain):
            avc = self.anon_vma_chain_alloc()
            if avc is None:
                self.unlink_anon_vmas(dst)
                dst.anon_vma = None
                return -ENOMEM
            self.anon_vma_chain_link(dst, avc, pavc.anon_vma)
            self.reuse_anon_vma(dst, src, pavc.anon_vma)
        return 0

    def reuse_anon_vma(self, dst, src, anon_vma):
        """Take an anon_vma that nobody uses; but the parent's own is the parent's."""
        self.anon_vma_lock(anon_vma)
        if dst.anon_vma is None and anon_vma != src.anon_vma and anon_vma.degree < 2:
            dst.anon_vma = anon_vma
        if dst.anon_vma == anon_vma:
            anon_vma.degree += 1
        self.anon_vma_unlock(anon_vma)

    def vma_import_anon_vma(self, importer, exporter):
        """b800c91a0517: the importer's own is known before, so that none is looked for."""
        if exporter.anon_vma is None or importer.anon_vma is not None:
            return 0
        importer.anon_vma = exporter.anon_vma
        return self.anon_vma_clone(importer, exporter)

    def anon_vma_fork(self, vma, pvma):
        """A new anon_vma only if there was none to use again."""
        if pvma.anon_vma is None:
            return 0
        vma.anon_vma = None
        if self.anon_vma_clone(vma, pvma):
            return -ENOMEM
        return 0 if vma.anon_vma is not None else self.anon_vma_fork_new(vma, pvma)

    def anon_vma_fork_new(self, vma, pvma):
        """The rest of anon_vma_fork, as it was."""
        anon_vma = self.anon_vma_alloc()
        avc = self.anon_vma_chain_alloc() if anon_vma is not None else None
        if avc is None:
            if anon_vma is not None:
                self.anon_vma_free(anon_vma)
            self.unlink_anon_vmas(vma)
            return -ENOMEM
        parent = pvma.anon_vma
        anon_vma.parent = parent
        self.anon_vma_lock(parent)
        parent.degree += 1
        self.anon_vma_unlock(parent)
        self.anon_vma_fork_link(vma, pvma, avc, anon_vma)
        return 0

    def anon_vma_unlink(self, anon_vma_chain):
        """One VMA less; with the last of its descendants' VMAs, one child of its parent less."""
        anon_vma, vma = anon_vma_chain.anon_vma, anon_vma_chain.vma
        self.anon_vma_lock(anon_vma)
        list_del(anon_vma_chain.same_anon_vma)
        if vma.anon_vma == anon_vma:
            anon_vma.degree -= 1
        unlinked = list_empty(anon_vma.head)
        if unlinked:
            anon_vma.parent.degree -= 1
            BUG_ON(anon_vma.degree != 0, "unlink_anon_vmas: it has a VMA or a child")
        empty = unlinked and not self.anonvma_external_refcount(anon_vma)
        self.anon_vma_unlock(anon_vma)
        if empty:
            if anon_vma.root != anon_vma:
                self.drop_anon_vma(anon_vma.root)
            self.anon_vma_free(anon_vma)
