"""Page contents, against real bytes and against jhash2 worked out word by word."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rmaplab.kernel import contents
from rmaplab.kernel.contents import ZERO, Contents, fill, poke

SOME_WORDS = (0, 1, 5, 100, 256, 0x0101010101010101, 0xDEADBEEFCAFEF00D, 2**64 - 1)
WORD = st.sampled_from(SOME_WORDS)
STORES = st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 255)), max_size=40)


def stored(word: int, stores: list[tuple[int, int]]) -> tuple[Contents, bytes]:
    """The same stores done to a value and to bytes."""
    value, data = fill(word), bytearray(struct.pack("<Q", word) * 512)
    for offset, byte in stores:
        value = poke(value, offset, byte)
        data[offset] = byte
    return value, bytes(data)


def straightforward_jhash2(data: bytes, initial: int) -> int:
    """The hash as its definition reads: three registers, one step after another."""
    words = struct.unpack("<1024I", data)
    register = {"a": 0x9E3779B9, "b": 0x9E3779B9, "c": initial}
    shifts = {"a": (-13, -12, -3), "b": (8, 16, 10), "c": (-13, -5, -15)}

    def mix() -> None:
        for turn in range(3):
            for one, two, three in ("abc", "bca", "cab"):
                left = (register[one] - register[two] - register[three]) % 2**32
                by = shifts[one][turn]
                other = register[three] * 2**by if by > 0 else register[three] // 2**-by
                register[one] = left ^ (other % 2**32)

    def add(name: str, number: int) -> None:
        register[name] = (register[name] + number) % 2**32

    for index, word in enumerate(words):
        add("abc"[index % 3], word)
        if index % 3 == 2:
            mix()
        if index == len(words) - 1:
            add("c", 4096)
            mix()
    return register["c"]


class TestBytes:
    def test_every_word_of_a_filled_page_is_that_word(self):
        assert struct.pack("<Q", 0x1122334455667788) * 512 == contents.to_bytes(
            fill(0x1122334455667788)
        )

    def test_the_zero_page_is_a_page_filled_with_zero(self):
        assert fill(0) == ZERO
        assert bytes(4096) == contents.to_bytes(ZERO)

    @given(WORD, STORES)
    def test_stores_change_the_bytes_they_name(self, word, stores):
        value, data = stored(word, stores)

        assert data == contents.to_bytes(value)
        assert all(data[at] == contents.read_byte(value, at) for at in (0, 1, 8, 2047, 4095))
        assert all(data[at] == contents.read_byte(value, at) for at, _ in stores)

    @given(WORD, STORES)
    def test_what_bytes_stand_for_is_found_again_from_the_bytes(self, word, stores):
        value, data = stored(word, stores)

        assert value == contents.from_bytes(data)


class TestEqualBytesAreEqualValues:
    @pytest.mark.parametrize("word", SOME_WORDS)
    def test_storing_the_byte_that_is_there_changes_nothing(self, word):
        there = contents.read_byte(fill(word), 13)

        assert fill(word) == poke(fill(word), 13, there)

    def test_the_order_of_stores_does_not_matter(self):
        one = poke(poke(fill(5), 7, 1), 3000, 2)
        two = poke(poke(fill(5), 3000, 2), 7, 1)

        assert one == two and hash(one) == hash(two)

    def test_storing_the_old_byte_again_gives_the_old_value(self):
        assert fill(5) == poke(poke(fill(5), 0, 9), 0, 5)

    @pytest.mark.parametrize(("before", "after"), [(0, 1), (1, 0), (5, 5 | 7 << 56)])
    def test_a_page_turned_into_another_byte_by_byte_is_that_page(self, before, after):
        value = fill(before)
        for offset in range(4096):
            value = poke(value, offset, contents.read_byte(fill(after), offset))

        assert fill(after) == value

    def test_half_of_each_word_is_written_as_the_smaller_one(self):
        value = fill(9)
        for offset in range(0, 2048, 8):
            value = poke(value, offset, 4)

        assert value.word == 4
        assert len(value.odd) == 256


class TestOrder:
    @given(WORD, STORES, WORD, STORES)
    @example(255, [], 256, [])  # 256 is the greater number, but its first byte is the smaller
    @example(5, [(4095, 1)], 5, [])
    def test_pages_compare_as_their_bytes_do(self, word1, stores1, word2, stores2):
        (one, data1), (two, data2) = stored(word1, stores1), stored(word2, stores2)

        assert (data1 > data2) - (data1 < data2) == contents.memcmp_pages(one, two)


class TestChecksum:
    # By the jhash.h of 2.6.34, compiled: the word alone, and with bytes 100 and 4095 set.
    COMPILED = (
        (0, 835444986, 3132645209),
        (1, 1947422726, 1531107283),
        (5, 1456368598, 1990371853),
        (100, 1029321708, 2714369034),
        (0xDEADBEEFCAFEF00D, 821009975, 2093910377),
    )

    @pytest.mark.parametrize(("word", "plain", "poked"), COMPILED)
    def test_checksums_are_those_of_the_compiled_kernel_header(self, word, plain, poked):
        assert plain == contents.calc_checksum(fill(word))
        assert poked == contents.calc_checksum(poke(poke(fill(word), 100, 9), 4095, 101))

    @given(WORD, STORES)
    def test_checksums_are_those_of_the_definition(self, word, stores):
        value, data = stored(word, stores)

        assert straightforward_jhash2(data, 17) == contents.calc_checksum(value)


class TestLabel:
    def test_a_label_is_the_word_and_the_odd_bytes(self):
        assert contents.label(fill(5)) == "5"
        assert contents.label(poke(fill(100), 4095, 101)) == "100@4095=101"
        assert contents.label(poke(poke(fill(5), 200, 0), 100, 9)) == "5@100=9@200=0"


class TestWrongArguments:
    def test_a_word_has_64_bits(self):
        with pytest.raises(ValueError, match="not 18446744073709551616"):
            fill(2**64)

    def test_a_byte_has_8_bits(self):
        with pytest.raises(ValueError, match="not 256"):
            poke(ZERO, 0, 256)

    @pytest.mark.parametrize("offset", [-1, 4096])
    def test_a_page_has_4096_bytes(self, offset):
        with pytest.raises(ValueError, match=f"none at {offset}"):
            poke(ZERO, offset, 1)
        with pytest.raises(ValueError, match=f"none at {offset}"):
            contents.read_byte(ZERO, offset)
        with pytest.raises(ValueError, match="not 3"):
            contents.from_bytes(b"abc")
