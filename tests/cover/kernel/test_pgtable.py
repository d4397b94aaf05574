"""What page table entries are called in traces."""

from __future__ import annotations

from rmaplab.kernel.pgtable import MigrationEntry, Pte, SwapEntry


def test_entries_tell_what_they_are() -> None:
    assert str(Pte(3)) == "frame 3 young"
    assert str(Pte(3, write=True, dirty=True, young=False)) == "frame 3 write dirty"
    assert str(Pte(0, special=True)) == "zero page"
    assert str(MigrationEntry(4)) == "migrating frame 4"
    assert str(MigrationEntry(4, write=True)) == "migrating frame 4 write"
    assert str(SwapEntry(5)) == "swap slot 5"
