"""v3.1: a migration entry that moves is not looked for without the lock of the entries."""

from __future__ import annotations

from rmaplab.history.v3_0 import Commitdd34739c03f2
from rmaplab.machine import PtePointer


class Commit486cf46f3f9b(Commitdd34739c03f2):
    """486cf46f3f9b "mm: fix race between mremap and removing migration entry".

    2011-10-20, v3.1. An entry that mremap has taken and not yet set was in neither place.
    """

    def remove_migration_pte_not_at(self, ptep: PtePointer) -> bool:
        """The lock is taken first."""
        return False
