"""What v5.9 changed for pages: a page is reused by its references, and pinned pages stay."""

from __future__ import annotations

from typing import Any, ClassVar

from rmaplab.history.v5_7_vmas import Commite346b3813067
from rmaplab.kernel.memory import maybe_mkwrite, mk_pte
from rmaplab.kernel.mm_types import ENOMEM, MmStruct, Page
from rmaplab.kernel.pgtable import Pte, pte_mkdirty, pte_present
from rmaplab.machine import (
    Atomic,
    Struct,
    atomic_compare,
    atomic_dec,
    atomic_inc,
    pte_get,
    refcount,
    set_pte_at,
    spin_lock,
    spin_unlock,
    value,
)


class Commit09854ba94c6a(Commite346b3813067):
    """09854ba94c6a "mm: do_wp_page() simplification".

    2020-09-04, v5.9. Whoever has a reference to a page counts, not only who maps it; nobody waits
    for the page lock, and no KSM page is reused (1a0cf26323c8 "mm/ksm: Remove reuse_ksm_page()").
    That a fresh page has one more reference until the LRU caches are drained is left out, and so
    each write to such a page that is copied for it, until v5.18.
    """

    def do_wp_page(self, mm: Any, vma: Any, address: int, page_table: Any, orig_pte: Pte) -> int:
        """Reuse an anonymous page, or copy whatever there is."""
        old_page = self.vm_normal_page(vma, address, orig_pte)
        anon = old_page is not None and self.PageAnon(old_page)
        if anon and self.wp_can_reuse_anon_page(old_page, vma, address):
            return self.wp_page_reuse(mm, vma, page_table, orig_pte)
        return self.wp_page_copy(mm, vma, address, page_table, orig_pte, old_page)

    # The middle of do_wp_page(), cut out for 53a05ad9f21d "mm: optimize do_wp_page() for exclusive
    # pages in the swapcache", v5.18; the name is (for folios) v6.8's.

    def wp_can_reuse_anon_page(self, page: Any, vma: Any, address: int) -> bool:
        """New: whether there is no mapping and no reference but this one."""
        if self.PageKsm(page) or atomic_compare(page._count, "!=", 1):
            return False
        if not self.trylock_page(page):
            return False  # unreached: in order nobody holds the page lock
        alone = not self.PageKsm(page) and atomic_compare(page._mapcount, "==", 0)
        alone = alone and atomic_compare(page._count, "==", 1)
        self.unlock_page(page)
        return alone


class Commit12e967fd8e4e(Commit09854ba94c6a):
    """12e967fd8e4e "mm: do not allow MADV_PAGEOUT for CoW pages".

    2020-09-05, v5.9. Nor MADV_COLD.
    """

    def may_be_advised(self, page: Any) -> bool:
        """Only about a page that nobody else maps."""
        return atomic_compare(page._mapcount, "==", 0)


class PageWithPins(Page):
    """struct page. `_pincount` is how often GUP_PIN_COUNTING_BIAS is in the kernel's _count."""

    _pincount: Atomic = refcount()


class MmStructWithPins(MmStruct):
    """struct mm_struct."""

    has_pinned: bool = value(False, marked="set once by an atomic operation, never cleared")


class Commit008cfe4418b3(Commit12e967fd8e4e):
    """008cfe4418b3 "mm: Introduce mm_struct.has_pinned".

    2020-09-27, v5.9. From here on `pin` is FOLL_PIN, as RDMA and io_uring have it since v5.6; the
    bias that such a pin adds to the count is a count of its own here, beside one reference.
    """

    Page: ClassVar[type[Struct]] = PageWithPins
    MmStruct: ClassVar[type[Struct]] = MmStructWithPins

    def mm_init(self, mm: Any) -> Any:
        """Nothing is pinned."""
        mm.has_pinned = False
        return super().mm_init(mm)

    def pin_user_page(self, mm: Any, page: Any) -> None:
        """Remember that this address space pins."""
        mm.has_pinned = True
        super().pin_user_page(mm, page)
        atomic_inc(page._pincount)

    def unpin_user_page(self, page: Any) -> None:
        """Undo it."""
        atomic_dec(page._pincount)
        super().unpin_user_page(page)

    def page_maybe_dma_pinned(self, page: Any) -> bool:
        """New: whether a page is pinned: exactly so here, by a guess in the kernel."""
        return atomic_compare(page._pincount, ">", 0)


class Commit70e806e4e645(Commit008cfe4418b3):
    """70e806e4e645 "mm: Do early cow for pinned pages during fork() for ptes".

    2020-09-27, v5.9. What I/O writes to must stay the parent's, whoever writes first.
    """

    def copy_ptes(
        self, dst_mm: Any, src_mm: Any, vma: Any, entries: list[tuple[int, Any, Any]]
    ) -> int:
        """Where a page must be copied and there is none for it, get one without the locks."""
        prealloc: list[Any] = []
        done = 0
        while True:
            done = self.copy_ptes_locked(dst_mm, src_mm, vma, entries, done, prealloc)
            if done == len(entries):
                break
            new_page = self.alloc_page_vma(vma, entries[done][0])
            if new_page is None:
                return -ENOMEM
            prealloc.append(new_page)
        for new_page in prealloc:  # unpinned meanwhile
            self.put_page(new_page)  # unreached: in order nobody does
        return 0

    def copy_ptes_locked(
        self,
        dst_mm: Any,
        src_mm: Any,
        vma: Any,
        entries: list[tuple[int, Any, Any]],
        done: int,
        prealloc: list[Any],
    ) -> int:
        """New: copy entries from the `done`-th on as far as `prealloc` goes; how many are done."""
        spin_lock(dst_mm.page_table_lock)
        spin_lock(src_mm.page_table_lock)
        for address, dst_pte, src_pte in entries[done:]:
            pte = pte_get(src_pte)
            page = self.vm_normal_page(vma, address, pte) if pte_present(pte) else None
            if page is None or not self.page_needs_cow_for_dma(src_mm, page):
                self.copy_one_pte(dst_mm, src_mm, dst_pte, src_pte, vma, address)
            elif prealloc:
                self.copy_present_page(dst_mm, dst_pte, address, page, prealloc.pop())
            else:
                break
            done += 1
        spin_unlock(src_mm.page_table_lock)
        spin_unlock(dst_mm.page_table_lock)
        return done

    def page_needs_cow_for_dma(self, src_mm: Any, page: Any) -> bool:
        """New: whether fork must copy a page; the name is v5.13's."""
        return bool(src_mm.has_pinned) and self.page_maybe_dma_pinned(page)

    def copy_present_page(
        self, dst_mm: Any, dst_pte: Any, address: int, page: Any, new_page: Any
    ) -> None:
        """New: give the child a copy of its own, and leave the parent's entry as it is.

        The child's VMA is an argument of copy_page_range() in the kernel from here on.
        """
        dst_vma = self.find_vma(dst_mm, address)
        new_page.contents = page.contents
        self.page_add_new_anon_rmap(new_page, dst_vma, address)
        pte = pte_mkdirty(mk_pte(self.page_to_pfn(new_page), dst_vma.vm_flags))
        set_pte_at(dst_pte, maybe_mkwrite(pte, dst_vma.vm_flags))
