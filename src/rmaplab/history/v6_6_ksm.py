"""KSM in v6.6: the zero pages that it placed are counted, and can be broken."""

from __future__ import annotations

from typing import Any, ClassVar

from rmaplab.history.v5_18_ksm import KsmGlobalsWithBatch
from rmaplab.history.v6_4_vmas import MmStructWithLockSeq
from rmaplab.history.v6_5_vmas import Commitd8ab9f7b644a
from rmaplab.kernel.memory import MmuGather
from rmaplab.kernel.pgtable import Pte, pte_mkdirty
from rmaplab.machine import (
    Atomic,
    Struct,
    atomic,
    atomic_dec,
    atomic_inc,
    atomic_read,
    atomic_set,
    pte_get,
)


class KsmGlobalsCountingZeroPages(KsmGlobalsWithBatch):
    """The static variables, with a count of zero pages."""

    ksm_zero_pages: Atomic = atomic()


class MmStructWithZeroPages(MmStructWithLockSeq):
    """struct mm_struct with such a count."""

    ksm_zero_pages: Atomic = atomic()


class Commit79271476b336(Commitd8ab9f7b644a):
    """79271476b336 "ksm: support unsharing KSM-placed zero pages".

    2023-08-18, v6.6. An entry that maps the zero page and is dirty is one of KSM's.
    """

    def is_ksm_zero_pte(self, entry: Any) -> bool:
        """New: whether an entry maps a zero page that KSM placed."""
        return isinstance(entry, Pte) and entry.special and entry.dirty

    def zero_page_pte(self, vma: Any) -> Pte:
        """It is marked by being dirty."""
        return pte_mkdirty(super().zero_page_pte(vma))

    def is_ksm_entry(self, vma: Any, addr: int, entry: Any) -> bool:
        """Such a zero page is broken too."""
        return self.is_ksm_zero_pte(entry) or super().is_ksm_entry(vma, addr, entry)


class Commite2942062e01d(Commit79271476b336):
    """e2942062e01d "ksm: count all zero pages placed by KSM".

    2023-08-18, v6.6. That the count is atomic is of c2dc78b86e08 "mm/ksm: fix ksm_zero_pages
    accounting", v6.10: here all counts are.
    """

    KsmGlobals: ClassVar[type[Struct]] = KsmGlobalsCountingZeroPages

    def ksm_map_zero_page(self, mm: Any) -> None:
        """New: one more."""
        atomic_inc(self.ksm.ksm_zero_pages)

    def ksm_might_unmap_zero_page(self, mm: Any, entry: Any) -> None:
        """New: one less, if the entry was one of KSM's."""
        if self.CONFIG_KSM and self.is_ksm_zero_pte(entry):
            self.ksm_unmap_zero_page(mm)

    def ksm_unmap_zero_page(self, mm: Any) -> None:
        """New: one less."""
        atomic_dec(self.ksm.ksm_zero_pages)

    def zero_page_pte(self, vma: Any) -> Pte:
        """Counted."""
        self.ksm_map_zero_page(vma.vm_mm)
        return super().zero_page_pte(vma)

    def zap_pte(self, tlb: MmuGather, vma: Any, address: int, pte: Any) -> None:
        """Counted."""
        ptent = pte_get(pte)
        super().zap_pte(tlb, vma, address, pte)
        self.ksm_might_unmap_zero_page(tlb.mm, ptent)

    def wp_page_switch(
        self, vma: Any, address: int, page_table: Any, old_page: Any, new_page: Any, write: bool
    ) -> None:
        """Counted."""
        if old_page is None:
            self.ksm_might_unmap_zero_page(vma.vm_mm, pte_get(page_table))
        super().wp_page_switch(vma, address, page_table, old_page, new_page, write)

    def ksm_zero_pages_show(self) -> int:
        """New: how many entries map the zero page since KSM said so."""
        return atomic_read(self.ksm.ksm_zero_pages)


class Commit6080d19f0704(Commite2942062e01d):
    """6080d19f0704 "ksm: add ksm zero pages for each process".

    2023-08-18, v6.6.
    """

    MmStruct: ClassVar[type[Struct]] = MmStructWithZeroPages

    def clear_ksm_counts(self, mm: Any) -> None:
        """The new one too."""
        super().clear_ksm_counts(mm)
        atomic_set(mm.ksm_zero_pages, 0)

    def copy_ksm_counts(self, mm: Any, oldmm: Any) -> None:
        """The new one too."""
        super().copy_ksm_counts(mm, oldmm)
        atomic_set(mm.ksm_zero_pages, atomic_read(oldmm.ksm_zero_pages))

    def ksm_map_zero_page(self, mm: Any) -> None:
        """Of the process too."""
        super().ksm_map_zero_page(mm)
        atomic_inc(mm.ksm_zero_pages)

    def ksm_unmap_zero_page(self, mm: Any) -> None:
        """Of the process too."""
        super().ksm_unmap_zero_page(mm)
        atomic_dec(mm.ksm_zero_pages)

    def ksm_stat(self, mm: Any) -> dict[str, int]:
        """They are shown."""
        return {**super().ksm_stat(mm), "zero_pages": atomic_read(mm.ksm_zero_pages)}
