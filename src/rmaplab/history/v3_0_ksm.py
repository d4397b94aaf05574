"""KSM in v3.0."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v3_0 import Commitdd34739c03f2


class Commit2b472611a32a(Commitdd34739c03f2):
    """2b472611a32a "ksm: fix NULL pointer dereference in scan_get_next_rmap_item()".

    2011-06-15, v3.0. The last mm may leave between the question whether the list is empty and
    the lock.
    """

    def start_pass(self) -> Any:
        """There is nothing to do where the list has become empty."""
        slot = super().start_pass()
        return None if slot == self.ksm_mm_head else slot
