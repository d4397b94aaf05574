"""What v5.19 changed for pages: PG_anon_exclusive."""

from __future__ import annotations

from typing import Any, ClassVar

from rmaplab.history.v5_9_pages import PageWithPins
from rmaplab.history.v5_19_ksm import Commit7609385337a4
from rmaplab.kernel.memory_swap import SwapFault
from rmaplab.kernel.pgtable import MigrationEntry, SwapEntry
from rmaplab.kernel.rmap import SWAP_AGAIN, SWAP_FAIL
from rmaplab.machine import (
    VM_BUG_ON,
    Struct,
    atomic_compare,
    set_pte_at,
    value,
)


class Commit6c54dc6c7437(Commit7609385337a4):
    """6c54dc6c7437 "mm/rmap: use page_move_anon_rmap() when reusing a mapped PageAnon() page
    exclusively".

    2022-05-09, v5.19.
    """

    def wp_reuse_locked(self, page: Any, vma: Any, address: int) -> None:
        """The page belongs to the anon_vma of this VMA again, as it did until v5.9."""
        self.page_move_anon_rmap(page, vma, address)


class PageWithExclusive(PageWithPins):
    """struct page. `anon_exclusive` is PG_anon_exclusive: one entry maps it, and no other may."""

    anon_exclusive: bool = value(False, marked="set and cleared by atomic bit operations")


class Commit6c287605fd56(Commit6c54dc6c7437):
    """6c287605fd56 "mm: remember exclusively mapped anonymous pages with PG_anon_exclusive".

    2022-05-09, v5.19. With fb3d824d1a46 "mm/rmap: split page_dup_rmap() into ...". What was once
    seen to be a process's alone stays so until fork, KSM, migration or reclaim share it: a
    reference that somebody takes is no reason to copy it any more.
    """

    Page: ClassVar[type[Struct]] = PageWithExclusive

    def wp_can_reuse_anon_page(self, page: Any, vma: Any, address: int) -> bool:
        """Without a question if it is known; and what is found out is remembered."""
        return bool(page.anon_exclusive) or super().wp_can_reuse_anon_page(page, vma, address)

    def page_move_anon_rmap(self, page: Any, vma: Any, address: int) -> None:
        """It is exclusive from here on."""
        super().page_move_anon_rmap(page, vma, address)
        page.anon_exclusive = True

    def _page_set_anon_rmap(self, page: Any, vma: Any, address: int, exclusive: bool) -> None:
        """Also of a page that has its anon_vma already."""
        super()._page_set_anon_rmap(page, vma, address, exclusive)
        if exclusive:
            page.anon_exclusive = True

    def do_page_add_anon_rmap(self, page: Any, vma: Any, address: int, exclusive: bool) -> None:
        """Who else maps it must not be told that it is his alone."""
        VM_BUG_ON(
            atomic_compare(page._mapcount, ">=", 0) and bool(exclusive or page.anon_exclusive),
            "page_add_anon_rmap: an exclusive page is mapped once more",
        )
        super().do_page_add_anon_rmap(page, vma, address, exclusive)

    def page_dup_rmap(self, page: Any) -> None:
        """Fork shares it: page_try_dup_anon_rmap()."""
        if page.anon_exclusive:
            page.anon_exclusive = False
        super().page_dup_rmap(page)

    def page_needs_cow_for_dma(self, src_mm: Any, page: Any) -> bool:
        """A page that is shared already may be shared once more."""
        return bool(page.anon_exclusive) and super().page_needs_cow_for_dma(src_mm, page)

    def page_try_share_anon_rmap(self, page: Any) -> bool:
        """New: give exclusiveness up while the entry is empty; False if the page is pinned."""
        if self.page_maybe_dma_pinned(page):
            return False
        page.anon_exclusive = False
        return True

    def free_page(self, page: Any) -> None:
        """A free page is nobody's."""
        page.anon_exclusive = False
        super().free_page(page)

    # Migration

    def entry_instead(self, page: Any, mm: Any, entry: Any, flags: int) -> tuple[int, Any]:
        """What was exclusive is not while it is unmapped; the entry knows, but for that of swap."""
        ret, instead = super().entry_instead(page, mm, entry, flags)
        if ret != SWAP_AGAIN or instead is None or not page.anon_exclusive:
            return ret, instead
        if not self.page_try_share_anon_rmap(page):
            if isinstance(instead, SwapEntry):
                self.swap_free(instead)
            return SWAP_FAIL, None
        return SWAP_AGAIN, self.exclusive_entry(instead)

    def exclusive_entry(self, entry: Any) -> Any:
        """New: the entry of a page that was exclusive; that of a slot of swap does not tell."""
        return entry._replace(exclusive=True) if isinstance(entry, MigrationEntry) else entry

    def page_add_migrated_rmap(self, new: Any, vma: Any, addr: int, entry: MigrationEntry) -> None:
        """It is exclusive again, if nobody forked meanwhile."""
        self.do_page_add_anon_rmap(new, vma, addr, entry.exclusive)

    def copy_nonpresent_pte(self, dst_mm: Any, src_mm: Any, src_pte: Any, pte: Any) -> Any:
        """Who forks while a page is away shares it (make_readable_migration_entry())."""
        if pte.exclusive:
            pte = pte._replace(exclusive=False)
            set_pte_at(src_pte, pte)
        return super().copy_nonpresent_pte(dst_mm, src_mm, src_pte, pte)

    # KSM

    def write_protect_needed(self, entry: Any) -> bool:
        """Also of an exclusive page, which somebody could reuse without asking."""
        return super().write_protect_needed(entry) or bool(
            self.pfn_to_page(entry.pfn).anon_exclusive
        )

    def write_protect_pte(self, page: Any, entry: Any) -> Any:
        """The page is to be shared. It is not pinned: its references were counted just now."""
        if page.anon_exclusive:
            VM_BUG_ON(not self.page_try_share_anon_rmap(page), "write_protect_page: a pinned page")
        return super().write_protect_pte(page, entry)


class Commit1493a1913e34(Commit6c287605fd56):
    """1493a1913e34 "mm/swap: remember PG_anon_exclusive via a swp pte bit".

    2022-05-09, v5.19. The bit is in page tables only: a page's slot has no such thing.
    """

    def exclusive_entry(self, entry: Any) -> Any:
        """Both kinds of entries tell."""
        return entry._replace(exclusive=True)

    def add_to_swap_cache(self, page: Any, entry: SwapEntry) -> None:
        """The slot of an entry."""
        super().add_to_swap_cache(page, SwapEntry(entry.offset))

    def swapin_same(self, fault: SwapFault, page: Any) -> bool:
        """The slot counts."""
        return self.PageSwapCache(page) and bool(page.private == SwapEntry(fault.entry.offset))

    def swapin_exclusive(self, fault: SwapFault, page: Any, swapcache: Any) -> bool:
        """Or if the entry says so."""
        return fault.entry.exclusive or super().swapin_exclusive(fault, page, swapcache)

    def unuse_add_rmap(self, page: Any, vma: Any, addr: int, swp_pte: SwapEntry) -> None:
        """It is exclusive again, if the entry says so."""
        self.do_page_add_anon_rmap(page, vma, addr, swp_pte.exclusive)
