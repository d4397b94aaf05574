"""Where each number of a state stands in a packed row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: Words of a row before the packed ones: the fingerprint.
HEAD = 1
WORD = 64
#: Positions kept for cells that have not varied yet.
SPARE = 16

Row = NDArray[np.uint64]


def bits_for(count: int) -> int:
    """Bits for numbers below `count`, with room for as many again; two at least."""
    return max(2, (count - 1).bit_length() + (count & (count - 1) == 0))


class Layout:
    """The word, the lowest bit and the mask of each position: flows, then cells that vary."""

    def __init__(self, bits: Sequence[int]) -> None:
        self.bits = list(bits)
        word, used = HEAD, 0
        words, shifts = [], []
        for wide in self.bits:
            if used + wide > WORD:
                word, used = word + 1, 0
            words.append(word)
            shifts.append(used)
            used += wide
        self.width = word + 1
        self.word = np.array(words, np.int64)
        self.shift = np.array(shifts, np.uint64)
        self.mask = np.array([(1 << bits) - 1 for bits in self.bits], np.uint64)
        #: By position: word, lowest bit, mask.
        self.fields = np.stack([self.word.astype(np.uint64), self.shift, self.mask], axis=1)

    @classmethod
    def of(cls, counts: Sequence[int]) -> Layout:
        """For numbers below these counts."""
        return cls([bits_for(count) for count in (*counts, *[2] * SPARE)])

    def fits(self, counts: Sequence[int]) -> bool:
        """Whether every number below these counts has its place."""
        return len(counts) <= len(self.bits) and all(
            count <= 1 << bits for count, bits in zip(counts, self.bits, strict=False)
        )

    def put(self, row: Row, position: int, value: int) -> None:
        """Change a number of a row; its fingerprint stays."""
        word, shift, mask = (int(part) for part in self.fields[position])
        row[word] = int(row[word]) & ~(mask << shift) | value << shift

    def unpack(self, row: Row) -> str:
        """The state of a row, as the walk in plain Python writes it."""
        numbers = (row[self.word] >> self.shift) & self.mask
        return numbers.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
