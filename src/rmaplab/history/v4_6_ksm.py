"""KSM in v4.6."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v4_5_pages import Commit854e9ed09ded
from rmaplab.machine import spin_unlock, up_read


class Commit7496fea9a6bf(Commit854e9ed09ded):
    """7496fea9a6bf "ksm: fix conflict between mmput and scan_get_next_rmap_item".

    2016-05-12, v4.6. As soon as ksm_mmlist_lock is free, an mm that exits may take its slot out,
    and with it the reference that keeps the mm.
    """

    def leave_mm(self, mm: Any) -> None:
        """First mmap_sem, then the lock under which nobody can let the mm go."""
        up_read(mm.mmap_sem)
        spin_unlock(self.ksm.ksm_mmlist_lock)
