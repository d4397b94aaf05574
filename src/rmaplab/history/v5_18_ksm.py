"""KSM in v5.18: what its merging does to locked pages."""

from __future__ import annotations

from typing import Any, ClassVar

from rmaplab.history.v4_11_ksm import ZERO_PAGE
from rmaplab.history.v4_13_ksm import KsmGlobalsWithLimit
from rmaplab.history.v5_16_vmas import Commit550a7d60bd5e
from rmaplab.machine import Struct, value

#: How many pages a CPU collects before it does what is to be done to them (15 until v6.8).
PAGEVEC_SIZE = 31


class KsmGlobalsWithBatch(KsmGlobalsWithLimit):
    """The static variables, with the batch of mm/mlock.c on the CPU of ksmd."""

    mlock_fbatch: tuple[Any, ...] = value((), marked="of one CPU, with its lock held")


class Commit2fbb0c10d1e8(Commit550a7d60bd5e):
    """2fbb0c10d1e8 "mm/munlock: mlock_page() munlock_page() batch by pagevec".

    2022-02-17, v5.18. A page that loses a locked mapping keeps a reference until the batch is
    drained: in the pass that took it from one process, it looks as if it were in use, and is not
    merged for its relatives. Left out: the batches of CPUs that ksmd does not run on.
    """

    KsmGlobals: ClassVar[type[Struct]] = KsmGlobalsWithBatch

    def _hand_on_mlock(self, page: Any, kpage: Any) -> Any:
        """Both pages go into the batch."""
        if kpage is not ZERO_PAGE:
            self.mlock_batch_add(kpage)
        self.mlock_batch_add(page)
        return super()._hand_on_mlock(page, kpage)

    def mlock_batch_add(self, page: Any) -> None:
        """New: collect a page, and do with all of them what is to be done if they are enough."""
        self.get_page(page)
        self.ksm.mlock_fbatch = (*self.ksm.mlock_fbatch, page)
        if len(self.ksm.mlock_fbatch) == PAGEVEC_SIZE:
            self.mlock_drain()

    def batched_pages(self) -> tuple[Any, ...]:
        """Those of ksmd's CPU."""
        return tuple(self.ksm.mlock_fbatch) if self.CONFIG_KSM else ()

    def mlock_drain(self) -> None:
        """New: let the pages of the batch go."""
        pages = self.ksm.mlock_fbatch
        self.ksm.mlock_fbatch = ()
        for page in pages:
            self.put_page(page)

    def start_pass(self) -> Any:
        """lru_add_drain_all(): ksmd has all batches drained first."""
        self.mlock_drain()
        return super().start_pass()

    def migrate_prep(self) -> int:
        """The same."""
        if self.CONFIG_KSM:
            self.mlock_drain()
        return super().migrate_prep()

    def sysctl_compaction_handler(self) -> int:
        """The same."""
        if self.CONFIG_KSM:
            self.mlock_drain()
        return super().sysctl_compaction_handler()
