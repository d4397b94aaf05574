"""What a page holds: small values, each of which stands for 4096 real bytes.

A value is a word that fills the page, and the odd bytes that differ from it. Equal bytes always
make equal values: the word is the commonest of the page's 512 words (the smallest among equals),
so values may be compared, hashed and interned in place of the bytes.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import NamedTuple

PAGE_BYTES = 4096
WORD_BYTES = 8
WORDS = PAGE_BYTES // WORD_BYTES

#: With fewer odd bytes than this, most words are still the filling one: no need to count them.
FEW = WORDS // 2

JHASH_GOLDEN_RATIO = 0x9E3779B9
#: What mm/ksm.c starts its checksums from.
CHECKSUM_INITIAL = 17
_U32 = 0xFFFFFFFF


class Contents(NamedTuple):
    """The bytes of a page: a 64-bit little-endian word all over, but for the odd bytes."""

    word: int
    odd: tuple[tuple[int, int], ...] = ()

    def __str__(self) -> str:
        return "".join([str(self.word), *(f"@{offset}={byte}" for offset, byte in self.odd)])


ZERO = Contents(0)


@lru_cache(maxsize=1024)
def fill(word: int) -> Contents:
    """A page where every 8-byte little-endian word is `word`."""
    if not 0 <= word < 1 << 64:
        raise ValueError(f"a page is filled with a word of 0 to 2**64 - 1, not {word}")
    return Contents(word)


def poke(contents: Contents, offset: int, byte: int) -> Contents:
    """The same page after one byte is stored at `offset`."""
    _check_offset(offset)
    if not 0 <= byte < 256:
        raise ValueError(f"a byte is 0 to 255, not {byte}")
    odd = dict(contents.odd)
    odd.pop(offset, None)
    if byte != _byte_of(contents.word, offset):
        odd[offset] = byte
    poked = Contents(contents.word, tuple(sorted(odd.items())))
    return poked if len(odd) < FEW else from_bytes(to_bytes(poked))


def from_bytes(data: bytes) -> Contents:
    """The value that stands for 4096 bytes."""
    if len(data) != PAGE_BYTES:
        raise ValueError(f"a page has {PAGE_BYTES} bytes, not {len(data)}")
    words = Counter(
        int.from_bytes(data[start : start + WORD_BYTES], "little")
        for start in range(0, PAGE_BYTES, WORD_BYTES)
    )
    word = min(words, key=lambda candidate: (-words[candidate], candidate))
    base = word.to_bytes(WORD_BYTES, "little") * WORDS
    odd = ((at, byte) for at, byte in enumerate(data) if byte != base[at])
    return Contents(word, tuple(odd))


@lru_cache(maxsize=1024)
def to_bytes(contents: Contents) -> bytes:
    """The 4096 bytes."""
    data = bytearray(contents.word.to_bytes(WORD_BYTES, "little") * WORDS)
    for offset, byte in contents.odd:
        data[offset] = byte
    return bytes(data)


def read_byte(contents: Contents, offset: int) -> int:
    """The byte at `offset`."""
    _check_offset(offset)
    return dict(contents.odd).get(offset, _byte_of(contents.word, offset))


def memcmp_pages(contents1: Contents, contents2: Contents) -> int:
    """-1, 0 or 1 as the bytes of the first come before, equal or come after those of the second."""
    if contents1 == contents2:
        return 0
    return -1 if to_bytes(contents1) < to_bytes(contents2) else 1


@lru_cache(maxsize=4096)
def calc_checksum(contents: Contents) -> int:
    """jhash2() of the page's 1024 32-bit words, in the form that 2.6.34 to 2.6.36 have.

    Later kernels mix otherwise: only whether two checksums are equal ever matters.
    """
    words = memoryview(to_bytes(contents)).cast("I")
    a = b = JHASH_GOLDEN_RATIO
    c = CHECKSUM_INITIAL
    last = len(words) - 1  # 341 times three words, and one more
    for k in range(0, last, 3):
        a, b, c = _jhash_mix(a + words[k], b + words[k + 1], c + words[k + 2])
    a += words[last]
    c += PAGE_BYTES
    return _jhash_mix(a, b, c)[2]


def label(contents: Contents) -> str:
    """The word, then `@offset=value` for each odd byte: `5@100=9`."""
    return str(contents)


def _jhash_mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    a = (a - b - c & _U32) ^ (c & _U32) >> 13
    b = (b - c - a & _U32) ^ a << 8 & _U32
    c = (c - a - b & _U32) ^ b >> 13
    a = (a - b - c & _U32) ^ c >> 12
    b = (b - c - a & _U32) ^ a << 16 & _U32
    c = (c - a - b & _U32) ^ b >> 5
    a = (a - b - c & _U32) ^ c >> 3
    b = (b - c - a & _U32) ^ a << 10 & _U32
    c = (c - a - b & _U32) ^ b >> 15
    return a, b, c


def _byte_of(word: int, offset: int) -> int:
    return word >> offset % WORD_BYTES * 8 & 0xFF


def _check_offset(offset: int) -> None:
    if not 0 <= offset < PAGE_BYTES:
        raise ValueError(f"a page has bytes 0 to {PAGE_BYTES - 1}, none at {offset}")
