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

    `log` has the origin of each, in the order in which they were met; `states` those of this
    level, of which the first is at `level` in the log, and `following` those of the next.
    If exact, `states` and `following` are one array of all states.
    """

    def __init__(self, number: int, width: int, exact: bool = False) -> None:
        self.number = number
        self.exact = exact
        self.bits = 12
        self.table = np.zeros((1 << self.bits) + SLACK, np.uint64)
        self.log = np.zeros(1024, np.uint64)
        self.stored = 0
        self.level = 0
        self.following = np.zeros((1024, width), np.uint64)
        self.queued = 0
        self.states = self.following if exact else np.zeros((0, width), np.uint64)
        #: Where the states of this level end.
        self.end = 0
        #: States of this level that are still to be expanded: these again, then from here on.
        self.again: list[int] = []
        self.next = 0

    @property
    def memory(self) -> int:
        """Bytes."""
        arrays = [self.table, self.log, self.following]
        return sum(array.nbytes for array in arrays) + (0 if self.exact else self.states.nbytes)

    @property
    def waiting(self) -> int:
        """States of the next level."""
        return self.queued - self.end if self.exact else self.queued

    def growth(self, made: int) -> int:
        """Bytes that the table will grow by when so many states come."""
        return 8 << self.bits if self.stored + made > FULL * (1 << self.bits) else 0

    def begin_level(self) -> None:
        """Go on with what was queued."""
        if self.exact:
            self.next, self.end = self.end, self.queued
            return
        self.states, self.following = self.following, self.states
        self.next, self.end, self.queued = 0, self.queued, 0
        self.level = self.stored - self.end

    def choose(self, most: int) -> Any:
        """States that are to be expanded next."""
        if self.again:
            return np.array(self.again[:most], np.int64)
        return np.arange(self.next, min(self.next + most, self.end))

    def chosen(self, taken: int) -> None:
        """Note how many of the chosen ones were taken."""
        if self.again:
            del self.again[:taken]
        else:
            self.next += taken

    def make_room(self, made: int) -> None:
        """Be ready to take in so many states, and one that is looked at."""
        wanted = self.stored + made
        if wanted > len(self.log):
            self.log.resize(max(wanted, len(self.log) * 3 // 2), refcheck=False)
        rows, width = self.following.shape
        if self.queued + made + 1 > rows:
            rows = max(self.queued + made + 1, rows * 3 // 2, 1024)
            self.following.resize((rows, width), refcheck=False)
        while wanted > FULL * (1 << self.bits):
            old_end = len(self.table)
            self.bits += 1
            self.table.resize((1 << self.bits) + SLACK, refcheck=False)
            compiled.spread(self.table, self.bits, old_end, self.following, self.exact)

    def begin(self, row: Any) -> None:
        """Take in the state in which a walk begins."""
        self.make_room(1)
        self.table[int(row[0]) >> (64 - self.bits)] = 1 if self.exact else int(row[0]) | 1
        self.log[0] = NOWHERE
        self.following[0] = row
        self.stored = self.queued = 1

    def take_in(self, rules: compiled.Rules, source: Half, out: Any, made: int) -> None:
        """Keep those successors of a half's states that are new; there has to be room."""
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
            self.exact,
        )
        assert not self.table[-1], "a hash table ran over its end"

    def arrays(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "table": self.table,
            "log": self.log[: self.stored],
            "states": self.states[: 0 if self.exact else self.end],
            "following": self.following[: self.queued],
        }

    def restore(self, numbers: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Become what was kept."""
        for name, value in numbers.items():
            setattr(self, name, value)
        for name, array in arrays.items():
            setattr(self, name, array.copy())  # what was read cannot be resized
        if self.exact:
            self.states = self.following

    def repack(self, old: Layout, new: Layout) -> None:
        """Bring the states into another layout."""
        if not self.exact:
            self.states = _repacked(self.states, self.end, old, new)
        self.following = _repacked(self.following, self.queued, old, new)
        if self.exact:
            self.states = self.following


def _repacked(rows: Any, count: int, old: Layout, new: Layout) -> Any:
    found = np.zeros((count, new.width), np.uint64)
    compiled.repack(rows[:count], old.fields, found, new.fields)
    return found
