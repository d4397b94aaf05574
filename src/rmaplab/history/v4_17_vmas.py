"""v4.17, VMAs: a mapping that replaces nothing, and says so."""

from __future__ import annotations

from rmaplab.history.v4_14_vmas import Commitd2cd9ede6e19

EEXIST = 17


class Commita4ff8e8620d3(Commitd2cd9ede6e19):
    """a4ff8e8620d3 "mm: introduce MAP_FIXED_NOREPLACE".

    2018-04-11, v4.17. Before it, a mapping at an address that is taken goes elsewhere.
    """

    def mmap_occupied(self) -> int:
        """An error of its own."""
        return -EEXIST
