"""From v3.7 to v3.8: walks of one family go on side by side."""

from __future__ import annotations

from typing import Any, ClassVar

from rmaplab.history.v3_7 import AnonVmaWithTree, Commit38a76013ad80
from rmaplab.machine import (
    RwSem,
    Struct,
    down_read,
    down_read_trylock,
    down_write,
    down_write_trylock,
    removed,
    rwsem,
    rwsem_is_locked,
    spin_lock,
    spin_unlock,
    up_read,
    up_write,
)


class AnonVmaWithRwSem(AnonVmaWithTree):
    """struct anon_vma with a lock that can be shared."""

    mutex: Any = removed()
    rwsem: RwSem = rwsem()


class Commit5a505085f043(Commit38a76013ad80):
    """5a505085f043 "mm/rmap: Convert the struct anon_vma::mutex to an rwsem".

    2012-12-11, v3.8. Taken alone by everybody still.
    """

    AnonVma: ClassVar[type[Struct]] = AnonVmaWithRwSem

    def root_lock(self, root: Any) -> None:
        """Alone."""
        down_write(root.rwsem)

    def root_trylock(self, root: Any) -> bool:
        """Alone."""
        return down_write_trylock(root.rwsem)

    def root_unlock(self, root: Any) -> None:
        """Alone."""
        up_write(root.rwsem)

    def root_is_locked(self, root: Any) -> bool:
        """In either way."""
        return rwsem_is_locked(root.rwsem)


class Commit4fc3f1d66b1e(Commit5a505085f043):
    """4fc3f1d66b1e "mm/rmap, migration: Make rmap_walk_anon() and try_to_unmap_anon() more
    scalable".

    2012-12-11, v3.8. page_lock_anon_vma is page_lock_anon_vma_read from here on, and anon_vma_lock
    is anon_vma_lock_write; here they keep their names.
    """

    def anon_vma_lock_read(self, anon_vma: Any) -> None:
        """Walks share the lock."""
        down_read(anon_vma.root.rwsem)

    def anon_vma_unlock_read(self, anon_vma: Any) -> None:
        """Of one walk."""
        up_read(anon_vma.root.rwsem)

    def page_trylock_anon_vma(self, page: Any, anon_vma: Any) -> tuple[bool, Any]:
        """The same, with the lock shared."""
        root_anon_vma = anon_vma.read_once("root")
        if not down_read_trylock(root_anon_vma.rwsem):
            return False, anon_vma
        if self.page_mapped(page):
            return True, anon_vma
        up_read(root_anon_vma.rwsem)
        return True, None


class Commit4128997b5f0e(Commit4fc3f1d66b1e):
    """4128997b5f0e "mm: protect against concurrent vma expansion".

    2012-12-12, v3.8. Neighbours without a common anon_vma may grow at once.
    """

    def expand_end(self, vma: Any, address: int) -> None:
        """Under the lock of the page tables as well."""
        spin_lock(vma.vm_mm.page_table_lock)
        super().expand_end(vma, address)
        spin_unlock(vma.vm_mm.page_table_lock)

    def expand_start(self, vma: Any, address: int) -> None:
        """Under the lock of the page tables as well."""
        spin_lock(vma.vm_mm.page_table_lock)
        super().expand_start(vma, address)
        spin_unlock(vma.vm_mm.page_table_lock)


class Commitb6b19f25f6fd(Commit4128997b5f0e):
    """b6b19f25f6fd "ksm: make rmap walks more scalable".

    2012-12-20, v3.8.
    """

    def ksm_walk_lock(self, anon_vma: Any) -> None:
        """The walks of merged pages share the lock, too."""
        self.anon_vma_lock_read(anon_vma)

    def ksm_walk_unlock(self, anon_vma: Any) -> None:
        """Of one walk."""
        self.anon_vma_unlock_read(anon_vma)
