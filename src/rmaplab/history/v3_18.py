"""From v3.8 to v3.18: what went wrong with letting an anon_vma go, and one error path.

Left out: 051ac83adf69 "mm/rmap: make rmap_walk to get the rmap_walk_control argument" and its
series, v3.14, which makes one walk of what was a walk for each purpose: what they visit, and under
which lock, stays.
"""

from __future__ import annotations

from typing import Any

from rmaplab.history.v3_9_ksm import Commit4146d2d673e8
from rmaplab.kernel.mm_types import ENOMEM
from rmaplab.machine import atomic_dec_and_test, might_sleep, rcu_read_unlock


class Commitef0855d334e1(Commit4146d2d673e8):
    """ef0855d334e1 "mm: mempolicy: turn vma_set_policy() into vma_dup_policy()".

    2013-09-11, v3.12. A split that has no memory for the chain says that it is done.
    """

    def split_vma_clone_error(self) -> int:
        """What vma_dup_policy returned stands in `err`: no error."""
        return 0


class Commit7f39dda9d86f(Commitef0855d334e1):
    """7f39dda9d86f "mm: fix sleeping function warning from __put_anon_vma".

    2014-06-04, v3.16. Since 88c22088bf23 who puts the last reference may have to wait for the lock.
    """

    def anon_vma_flush(self, anon_vma: Any) -> None:
        """Says so."""
        might_sleep("anon_vma_free")
        super().anon_vma_flush(anon_vma)

    def take_anon_vma(self, page: Any, anon_vma: Any) -> Any:
        """RCU is left before the reference is put."""
        anon_vma = self.hold_unless_free(anon_vma)
        mapped = anon_vma is not None and self.page_mapped(page)
        rcu_read_unlock()
        if anon_vma is not None and not mapped:
            self.put_anon_vma(anon_vma)
            return None
        return anon_vma


class Commit624483f3ea82(Commit7f39dda9d86f):
    """624483f3ea82 "mm: rmap: fix use-after-free in __put_anon_vma".

    2014-06-06, v3.16. Since 88c22088bf23 freeing an anon_vma looks at the lock of its root.
    """

    def _put_anon_vma(self, anon_vma: Any) -> None:
        """The root is let go last."""
        root = anon_vma.root
        self.anon_vma_free(anon_vma)
        if root != anon_vma and atomic_dec_and_test(root.refcount):
            self.anon_vma_free(root)


class Commitc4ea95d7cd08(Commit624483f3ea82):
    """c4ea95d7cd08 "mm: fix anon_vma_clone() error treatment".

    2014-12-02, v3.18.
    """

    def split_vma_clone_error(self) -> int:
        """The error of anon_vma_clone."""
        return -ENOMEM
