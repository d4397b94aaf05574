"""From v2.6.35 to the root lock: one lock for a whole family of anon_vmas. Never released alone."""

from __future__ import annotations

from typing import Any, ClassVar

from rmaplab.history.v2_6_35 import V2_6_35, AnonVmaWithOneCount
from rmaplab.kernel.mmap_merge import Adjustment
from rmaplab.machine import SpinLock, Struct, pointer


class AnonVmaWithRoot(AnonVmaWithOneCount):
    """struct anon_vma that knows the oldest one of its family."""

    root: Any = pointer(marked="a late reader under RCU may look at any life of the object")


class Commit5c341ee1dfc8(V2_6_35):
    """5c341ee1dfc8 "mm: track the root (oldest) anon_vma".

    2010-08-09, v2.6.36. The root is the last that unlink_anon_vmas frees, so that it can be
    pointed to without a reference: as long as nothing but a VMA keeps its children alive.
    """

    AnonVma: ClassVar[type[Struct]] = AnonVmaWithRoot

    def anon_vma_alloc_root(self) -> Any:
        """An anon_vma of its own makes a VMA the first of a family."""
        anon_vma = self.anon_vma_alloc()
        if anon_vma is not None:
            anon_vma.root = anon_vma
        return anon_vma

    def anon_vma_fork_link(self, vma: Any, pvma: Any, avc: Any, anon_vma: Any) -> None:
        """The child is of its parent's family. It is linked last, when it has a root to lock."""
        anon_vma.root = pvma.anon_vma.root
        vma.anon_vma = anon_vma
        self.anon_vma_chain_link(vma, avc, anon_vma)


class Commit012f18004da3(Commit5c341ee1dfc8):
    """012f18004da3 "mm: always lock the root (oldest) anon_vma".

    2010-08-09, v2.6.36. The base of the seed's patch: a child that KSM or migration holds may
    outlive its root, and the lock with it.
    """

    def anon_vma_lock_of(self, anon_vma: Any) -> SpinLock:
        """The root's, for anon_vma_lock, vma_lock_anon_vma and the last reference alike."""
        lock: SpinLock = anon_vma.root.lock
        return lock

    def vm_lock_anon_vma(self, mm: Any, anon_vma: Any) -> None:
        """The root says whether its lock is taken."""
        super().vm_lock_anon_vma(mm, anon_vma.root)

    def vm_unlock_anon_vma(self, anon_vma: Any) -> None:
        """Undo it."""
        super().vm_unlock_anon_vma(anon_vma.root)

    def vma_adjust_lock(
        self, vma: Any, next: Any, insert: Any, start: int, adjustment: Adjustment
    ) -> Any:
        """Boundaries move under the lock, unless it is only the end, and nobody else's pages."""
        anon_vma = vma.anon_vma
        moves = insert is not None or adjustment.importer is not None
        if anon_vma is None or (not moves and start == vma.vm_start):
            return None
        self.anon_vma_lock(anon_vma)
        return anon_vma

    def vma_adjust_unlock(self, vma: Any, next: Any, adjustment: Adjustment, anon_vma: Any) -> None:
        """Undo it."""
        if anon_vma is not None:
            self.anon_vma_unlock(anon_vma)


RootLock = Commit012f18004da3
