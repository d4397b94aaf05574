"""KSM in v4.11: pages that are all zeros become the kernel's zero page."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from rmaplab.history.v3_9_ksm import KsmGlobalsOfNodes
from rmaplab.history.v4_9_pages import Commit19be0eaffa3a
from rmaplab.kernel.contents import ZERO, calc_checksum
from rmaplab.kernel.memory import mk_pte
from rmaplab.kernel.mm_types import EFAULT, EINVAL
from rmaplab.kernel.pgtable import ZERO_PFN, Pte
from rmaplab.machine import (
    READ_ONCE,
    Struct,
    down_read,
    pte_get,
    pte_offset_map,
    ptep_get_and_clear,
    set_pte_at,
    spin_lock,
    spin_unlock,
    up_read,
    value,
)

#: Stands for the struct page of the zero page, which has none here.
ZERO_PAGE: Final[Any] = "ZERO_PAGE"

ZERO_CHECKSUM: Final = calc_checksum(ZERO)


class KsmGlobalsWithZeroPages(KsmGlobalsOfNodes):
    """The static variables, with the knob for zero pages."""

    ksm_use_zero_pages: bool = value(False, marked="set and shown without ksm_thread_mutex")


class Commite86c59b1b12d(Commit19be0eaffa3a):
    """e86c59b1b12d "mm/ksm: improve deduplication of zero pages with colouring".

    2017-02-24, v4.11. A page of zeros that the stable tree does not have need not be kept.
    """

    KsmGlobals: ClassVar[type[Struct]] = KsmGlobalsWithZeroPages

    def use_zero_pages_show(self) -> int:
        """New: whether pages of zeros become the zero page."""
        return int(self.ksm.ksm_use_zero_pages)

    def use_zero_pages_store(self, knob: int) -> int:
        """New: 0 or an error."""
        if knob > 1:
            return -EINVAL
        self.ksm.ksm_use_zero_pages = bool(knob)
        return 0

    def checksum_changed(self, page: Any, rmap_item: Any) -> bool:
        """A page of zeros becomes the zero page, and is not looked at any further."""
        changed = super().checksum_changed(page, rmap_item)
        return changed or self.merged_with_zero_page(page, rmap_item)

    # The lines of cmp_and_merge_page, cut out for 4b22927f0cb5 "ksm: fix unlocked iteration over
    # vmas in cmp_and_merge_page()", v4.14, and 56df70a63ed5 "mm/ksm: fix NULL pointer dereference
    # when KSM zero page is enabled", v5.7.

    def merged_with_zero_page(self, page: Any, rmap_item: Any) -> bool:
        """New: whether a page need not be looked at any further: it is the zero page now."""
        if not self.ksm.ksm_use_zero_pages or rmap_item.oldchecksum != ZERO_CHECKSUM:
            return False
        mm = rmap_item.mm
        down_read(mm.mmap_sem)
        vma = self.find_mergeable_vma(mm, rmap_item.address)
        # If the VMA is out of date, there is nothing to do here.
        merged = vma is None or not self.try_to_merge_one_page(vma, page, ZERO_PAGE)
        up_read(mm.mmap_sem)
        return merged

    def pages_identical(self, page1: Any, page2: Any) -> bool:
        """The second may be the zero page."""
        if page2 is ZERO_PAGE:
            return bool(READ_ONCE(page1, "contents") == ZERO)
        return super().pages_identical(page1, page2)

    def _hand_on_mlock(self, page: Any, kpage: Any) -> Any:
        """The zero page gets no mark: it has no struct page here."""
        if kpage is not ZERO_PAGE:
            return super()._hand_on_mlock(page, kpage)
        self.munlock_vma_page(page)
        return page

    def replace_page(self, vma: Any, page: Any, kpage: Any, orig_pte: Any) -> int:
        """The zero page is not counted."""
        if kpage is not ZERO_PAGE:
            return super().replace_page(vma, page, kpage, orig_pte)
        mm = vma.vm_mm
        addr = self.page_address_in_vma(page, vma)
        ptep = pte_offset_map(mm.pgd, addr) if addr != -EFAULT else None
        if ptep is None:
            return -EFAULT
        spin_lock(mm.page_table_lock)
        if pte_get(ptep) != orig_pte:
            spin_unlock(mm.page_table_lock)
            return -EFAULT
        newpte = self.zero_page_pte(vma)
        ptep_get_and_clear(ptep)
        set_pte_at(ptep, newpte)
        self.page_remove_rmap(page)
        self.put_page(page)
        spin_unlock(mm.page_table_lock)
        return 0

    # Cut out for 79271476b336 "ksm: support unsharing KSM-placed zero pages", v6.6.

    def zero_page_pte(self, vma: Any) -> Pte:
        """New: the entry that maps the zero page."""
        return mk_pte(ZERO_PFN, vma.vm_flags)._replace(special=True)
