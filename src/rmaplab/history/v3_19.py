"""v3.19 and v4.0: fork uses an old anon_vma again, so that there are not more and more of them."""

from __future__ import annotations

from typing import Any, ClassVar

from rmaplab.history.v3_8 import AnonVmaWithRwSem
from rmaplab.history.v3_18 import Commitc4ea95d7cd08
from rmaplab.kernel.mm_types import ENOMEM
from rmaplab.machine import BUG_ON, Struct, list_for_each_entry_reverse, pointer, value

UNSIGNED = 1 << 32


class AnonVmaWithDegree(AnonVmaWithRwSem):
    """struct anon_vma that knows its place in the tree of forks; the root's lock guards both."""

    degree: int = value(0)  # unsigned: the VMAs whose own it is, and its children
    parent: Any = pointer()  # a root is its own child


class Commit7a3ef208e662(Commitc4ea95d7cd08):
    """7a3ef208e662 "mm: prevent endless growth of anon_vma hierarchy".

    2015-01-08, v3.19. An anon_vma that is no VMA's own and has but one child becomes the next
    child's own. An anon_vma that is used again gets no child by it: with a degree of one it may
    have one child, or be one VMA's own. That is CVE-2022-42703, bug until 2555283eb40d, v6.0.
    """

    AnonVma: ClassVar[type[Struct]] = AnonVmaWithDegree

    def anon_vma_alloc(self) -> Any:
        """With a degree, and a parent: itself, until anon_vma_fork knows better."""
        anon_vma = super().anon_vma_alloc()
        if anon_vma is not None:
            self.anon_vma_count_none(anon_vma)
            anon_vma.parent = anon_vma
        return anon_vma

    # How an anon_vma is counted, cut out for 2555283eb40d "mm/rmap: Fix anon_vma->degree ambiguity
    # leading to double-reuse", v6.0.

    def anon_vma_count_none(self, anon_vma: Any) -> None:
        """New: begin to count. One is for its first VMA; of a root, for itself as its child."""
        anon_vma.degree = 1

    def anon_vma_count_vma(self, anon_vma: Any, change: int) -> None:
        """New: one VMA more or less has it for its own."""
        anon_vma.degree = (anon_vma.degree + change) % UNSIGNED

    def anon_vma_count_child(self, anon_vma: Any, change: int) -> None:
        """New: it has one child more or less."""
        anon_vma.degree = (anon_vma.degree + change) % UNSIGNED

    def anon_vma_reusable(self, anon_vma: Any, src: Any) -> bool:
        """New: whether a fork of `src` may use this anon_vma of its chain; the parent keeps its."""
        return bool(anon_vma != src.anon_vma and anon_vma.degree < 2)

    def anon_vma_add_first(self, avc: Any, anon_vma: Any) -> None:
        """anon_vma_prepare counts the VMA."""
        super().anon_vma_add_first(avc, anon_vma)
        self.anon_vma_count_vma(anon_vma, 1)

    def anon_vma_clone(self, dst: Any, src: Any) -> int:
        """If `dst` has no anon_vma of its own, that is for a fork: it gets the oldest it may use.

        What it has then counts it.
        """
        root = None
        for pavc in list_for_each_entry_reverse(src.anon_vma_chain):
            root, avc = self.anon_vma_clone_alloc(root)
            if avc is None:
                self.anon_vma_clone_undo(dst)
                return -ENOMEM
            anon_vma = pavc.anon_vma
            root = self.lock_anon_vma_root(root, anon_vma)
            self.anon_vma_chain_link(dst, avc, anon_vma)
            if dst.anon_vma is None and self.anon_vma_reusable(anon_vma, src):
                dst.anon_vma = anon_vma
        if dst.anon_vma is not None:
            self.anon_vma_count_vma(dst.anon_vma, 1)
        self.unlock_anon_vma_root(root)
        return 0

    # Cut out of anon_vma_clone for 3fe89b3e2a7b.

    def anon_vma_clone_undo(self, dst: Any) -> None:
        """New: unlink what is linked. That counts off a VMA that was not counted."""
        self.unlink_anon_vmas(dst)

    def anon_vma_fork(self, vma: Any, pvma: Any) -> int:
        """A new anon_vma only if there was none to use again."""
        if pvma.anon_vma is None:
            return 0
        vma.anon_vma = None
        error: int = self.anon_vma_clone(vma, pvma)
        if error or vma.anon_vma is not None:
            return error
        return self.anon_vma_fork_own(vma, pvma)

    def anon_vma_fork_link(self, vma: Any, pvma: Any, avc: Any, anon_vma: Any) -> None:
        """The parent's own has one child more."""
        anon_vma.root = pvma.anon_vma.root
        anon_vma.parent = pvma.anon_vma
        self.get_anon_vma(anon_vma.root)
        vma.anon_vma = anon_vma
        self.anon_vma_lock(anon_vma)
        self.anon_vma_chain_link(vma, avc, anon_vma)
        self.anon_vma_count_child(anon_vma.parent, 1)
        self.anon_vma_unlock(anon_vma)

    def anon_vma_is_empty(self, anon_vma: Any) -> None:
        """Its parent has one child less; of a root, that is itself."""
        self.anon_vma_count_child(anon_vma.parent, -1)

    def vma_is_unlinked(self, vma: Any) -> None:
        """The VMA's own has one VMA less."""
        if vma.anon_vma is not None:
            self.anon_vma_count_vma(vma.anon_vma, -1)

    def put_empty_anon_vma(self, anon_vma: Any) -> None:
        """Nothing may count any more."""
        BUG_ON(anon_vma.degree != 0, "unlink_anon_vmas: the degree is not 0")
        super().put_empty_anon_vma(anon_vma)


class Commitb800c91a0517(Commit7a3ef208e662):
    """b800c91a0517 "mm: fix corner case in anon_vma endless growing prevention".

    2015-01-11, v3.19. A VMA that gets its neighbour's anon_vma when they merge was not counted.
    """

    def vma_import_anon_vma(self, importer: Any, exporter: Any) -> int:
        """The anon_vma is known before the chain is copied."""
        if exporter.anon_vma is None or importer.anon_vma is not None:
            return 0
        importer.anon_vma = exporter.anon_vma
        error: int = self.anon_vma_clone(importer, exporter)
        if error:
            importer.anon_vma = None
        return error


class Commit3fe89b3e2a7b(Commitb800c91a0517):
    """3fe89b3e2a7b "mm: fix anon_vma->degree underflow in anon_vma endless growing prevention".

    2015-03-25, v4.0.
    """

    def anon_vma_clone_undo(self, dst: Any) -> None:
        """What was not counted is not counted off."""
        dst.anon_vma = None
        super().anon_vma_clone_undo(dst)

    def vma_import_anon_vma(self, importer: Any, exporter: Any) -> int:
        """anon_vma_clone takes the anon_vma back itself."""
        if exporter.anon_vma is None or importer.anon_vma is not None:
            return 0
        importer.anon_vma = exporter.anon_vma
        return int(self.anon_vma_clone(importer, exporter))
