"""Page table entries and the entries that stand in their place (asm/pgtable.h, swapops.h)."""

from __future__ import annotations

from typing import Any, NamedTuple


class Pte(NamedTuple):
    """A present entry. `special` marks the zero page, which has no struct page to count."""

    pfn: int
    write: bool = False
    dirty: bool = False
    young: bool = True
    special: bool = False

    @property
    def number_in(self) -> str:
        """The cache of which the first field names an object."""
        return "page"

    def __str__(self) -> str:
        if self.special:
            return "zero page"
        bits = ("write", self.write), ("dirty", self.dirty), ("young", self.young)
        return " ".join([f"frame {self.pfn}", *(word for word, bit in bits if bit)])


class MigrationEntry(NamedTuple):
    """An entry that waits for a page under migration.

    `exclusive` is for 6c287605fd56 "mm: remember exclusively mapped anonymous pages with
    PG_anon_exclusive", v5.19: the page was this entry's alone.
    """

    pfn: int
    write: bool = False
    exclusive: bool = False

    @property
    def number_in(self) -> str:
        """The cache of which the first field names an object."""
        return "page"

    def __str__(self) -> str:
        bits = ("write", self.write), ("exclusive", self.exclusive)
        return " ".join([f"migrating frame {self.pfn}", *(word for word, bit in bits if bit)])


class SwapEntry(NamedTuple):
    """An entry for a page that the swap cache or the swap device has: the number of its slot.

    `exclusive` is for 1493a1913e34 "mm/swap: remember PG_anon_exclusive via a swp pte bit", v5.19:
    only in page tables, where the page was this entry's alone.
    """

    offset: int
    exclusive: bool = False

    def __str__(self) -> str:
        return f"swap slot {self.offset}{' exclusive' if self.exclusive else ''}"


# The processor's bits (asm/pgtable.h). Each writes all fields out: _replace() takes four times as
# long, and every fault sets several bits.


def pte_mkwrite(pte: Pte) -> Pte:
    """The entry, writable."""
    return Pte(pte.pfn, True, pte.dirty, pte.young, pte.special)


def pte_wrprotect(pte: Any) -> Any:
    """The entry, read-only: also one that waits for a migration (make_migration_entry_read)."""
    if isinstance(pte, Pte):
        return Pte(pte.pfn, False, pte.dirty, pte.young, pte.special)
    return pte._replace(write=False)


def pte_mkdirty(pte: Pte) -> Pte:
    """The entry, dirty."""
    return Pte(pte.pfn, pte.write, True, pte.young, pte.special)


def pte_setyoung(pte: Pte, young: bool) -> Pte:
    """The entry, with this accessed bit: pte_mkyoung and pte_mkold."""
    return Pte(pte.pfn, pte.write, pte.dirty, young, pte.special)


#: The frame of the kernel's zero page: no frame of the page cache has it.
ZERO_PFN = -1


def pte_present(pte: object) -> bool:
    """Whether an entry maps a page (None is pte_none)."""
    return isinstance(pte, Pte)


def is_swap_entry(pte: object) -> bool:
    """Whether an entry names a slot of the swap device. (The kernel has only non_swap_entry.)"""
    return isinstance(pte, SwapEntry)


def is_migration_entry(pte: object) -> bool:
    """Whether an entry waits for a migration."""
    return isinstance(pte, MigrationEntry)
