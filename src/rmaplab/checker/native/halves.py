"""One half of the states of a native walk: which are known, how they were reached, the frontier."""

from __future__ import annotations

from typing import Any

import numpy as np

from rmaplab.checker.native import compiled
from rmaplab.checker.native.compiled import SLACK
from rmaplab.checker.native.layout import Layout

#: A hash table is made larger when more than this part of it would be in use.
FULL = 0.75
#: The origin of the state in which a walk begins.
NOWHERE = np.iinfo(np.uint64).max


class Half:
    """States whose fingerprints end in the bit `number`.

    `log` has the origin of each, in the order in which they were met; those of the present level
    begin at `level`.
    """

    def __init__(self, number: int, width: int) -> None:
        self.number = number
        self.bits = 12
        self.table = np.zeros((1 << self.bits) + SLACK, np.uint64)
        self.log = np.zeros(1024, np.uint64)
        self.stored = 0
        self.level = 0
        self.states = np.zeros((0, width), np.uint64)
        self.count = 0
        self.following = np.zeros((1024, width), np.uint64)
        self.queued = 0
        #: States of this level that are still to be expanded: again, then from here on.
        self.again: list[int] = []
        self.next = 0

    @property
    def memory(self) -> int:
        """Bytes."""
        arrays = (self.table, self.log, self.states, self.following)
        return sum(array.nbytes for array in arrays)

    def begin_level(self) -> None:
        """Go on with what was queued."""
        self.states, self.following = self.following, self.states
        self.count, self.queued = self.queued, 0
        self.level = self.stored - self.count
        self.next = 0

    def choose(self, most: int) -> Any:
        """States that are to be expanded next."""
        if self.again:
            return np.array(self.again[:most], np.int64)
        return np.arange(self.next, min(self.next + most, self.count))

    def chosen(self, taken: int) -> None:
        """Note how many of the chosen ones were taken."""
        if self.again:
            del self.again[:taken]
        else:
            self.next += taken

    def make_room(self, made: int) -> None:
        """Be ready to take in so many states."""
        wanted = self.stored + made
        if wanted > len(self.log):
            self.log.resize(max(wanted, len(self.log) * 3 // 2), refcheck=False)
        if self.queued + made > len(self.following):
            rows = max(self.queued + made, len(self.following) * 3 // 2, 1024)
            self.following.resize((rows, self.states.shape[1]), refcheck=False)
        while wanted > FULL * (1 << self.bits):
            old_end = len(self.table)
            self.bits += 1
            self.table.resize((1 << self.bits) + SLACK, refcheck=False)
            compiled.spread(self.table, self.bits, old_end)

    def begin(self, row: Any) -> None:
        """Take in the state in which a walk begins."""
        self.make_room(1)
        self.table[int(row[0]) >> (64 - self.bits)] = int(row[0]) | 1
        self.log[0] = NOWHERE
        self.following[0] = row
        self.stored = self.queued = 1

    def take_in(self, rules: compiled.Rules, source: Half, out: Any, made: int) -> None:
        """Keep those successors of another half's states, or its own, that are new."""
        self.make_room(made)
        self.stored, self.queued = compiled.take_in(
            rules,
            source.states,
            source.level,
            source.number,
            out,
            self.number,
            made,
            self.table,
            self.bits,
            self.log,
            self.stored,
            self.following,
            self.queued,
        )
        assert not self.table[-1], "a hash table ran over its end"

    def repack(self, old: Layout, new: Layout) -> None:
        """Bring the frontier into another layout."""
        self.states = new.repack(self.states[: self.count], old)
        following = new.repack(self.following[: self.queued], old)
        self.following = following
