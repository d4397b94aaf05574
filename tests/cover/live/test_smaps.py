"""VMAs, from the text of a smaps file."""

from __future__ import annotations

from rmaplab.live.smaps import parse_smaps, sums

TEXT = """\
100000000-100003000 rw-p 00000000 00:00 0
Size:                 12 kB
Rss:                   8 kB
Shared_Clean:          1 kB
Shared_Dirty:          3 kB
Private_Clean:         0 kB
Private_Dirty:         4 kB
Anonymous:             8 kB
KSM:                   4 kB
THPeligible:           0
ProtectionKey:         0
VmFlags: rd wr mr mw me ac mg sd
100003000-100004000 r--p 00000000 00:00 0
Rss:                   4 kB
Private_Dirty:         4 kB
VmFlags: rd mr mw me ac
100004000-100005000 ---p 00000000 00:00 0                    [anon: name]
Rss:                   0 kB
VmFlags: mr mw me ac
7f0000000000-7f0000001000 r-xp 00000000 fe:00 1234            /usr/lib/libc.so.6
Rss:                   4 kB
VmFlags: rd ex mr mw me
"""


def test_a_vma_has_its_addresses_protection_and_flags() -> None:
    first, second, third, _ = parse_smaps(TEXT.splitlines(keepends=True))

    assert (first.start, first.end, first.protection) == (0x100000000, 0x100003000, "rw")
    assert "mg" in first.flags and "mg" not in second.flags
    assert (second.protection, third.protection) == ("r", "none")


def test_nothing_beyond_the_end_is_read() -> None:
    lines = iter(TEXT.splitlines(keepends=True))

    assert len(list(parse_smaps(lines, 0x100005000))) == 3
    assert next(lines).startswith("Rss:")


def test_shared_and_private_are_clean_and_dirty_together() -> None:
    vmas = list(parse_smaps(TEXT.splitlines(keepends=True), 0x100005000))

    assert sums(vmas) == {"rss": 12, "shared": 4, "private": 8, "anon": 8, "ksm": 4}
    assert sums([]) == {"rss": 0, "shared": 0, "private": 0, "anon": 0, "ksm": 0}
