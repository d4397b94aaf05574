"""mm/migrate.c and the migration entries of include/linux/swapops.h: moving a page elsewhere.

LRU lists are not modelled: to isolate a page is to take the reference that isolation takes, and
a list of isolated pages is a Python list of the caller. So two callers can isolate the same page,
which PG_lru forbids in the kernel. Memory cgroups and file pages are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rmaplab.kernel.base import KernelBase
from rmaplab.kernel.mm_types import EAGAIN, EBUSY, ENOMEM
from rmaplab.kernel.pgtable import MigrationEntry, Pte, is_migration_entry, pte_present
from rmaplab.kernel.rmap import (
    SWAP_AGAIN,
    TTU_IGNORE_ACCESS,
    TTU_IGNORE_MLOCK,
    TTU_MIGRATION,
)
from rmaplab.machine import (
    BUG_ON,
    PtePointer,
    atomic_compare,
    cond_resched,
    pte_get,
    pte_offset_map,
    rcu_read_lock,
    rcu_read_unlock,
    set_pte_at,
    spin_lock,
    spin_unlock,
)

ENOSYS = 38

#: How often migrate_pages tries, and the pass from which it waits for the page lock.
MIGRATE_PASSES = 10
FORCE_FROM_PASS = 3

#: Allocates the page that a page is to move to. (The kernel's new_page_t has two arguments more:
#: what a Python closure holds, and where to report the result.)
NewPage = Callable[[Any], Any]


def is_swap_pte(pte: object) -> bool:
    """Whether an entry is neither empty nor present (include/linux/swapops.h)."""
    return pte is not None and not pte_present(pte)


@dataclass
class AnonVmaUse:
    """What unmap_and_move remembers about the anon_vma of the page: its local variables."""

    rcu_locked: bool = False
    anon_vma: Any = None
    remap_swapcache: bool = True


class Migrate(KernelBase):
    """Page migration."""

    # include/linux/swapops.h

    def make_migration_entry(self, page: Any, write: bool) -> MigrationEntry:
        """The entry that waits for a locked page."""
        BUG_ON(not self.PageLocked(page), "make_migration_entry: the page is not locked")
        return MigrationEntry(self.page_to_pfn(page), write)

    def migration_entry_to_page(self, entry: MigrationEntry) -> Any:
        """The page that an entry waits for; it is locked as long as there are such entries."""
        page = self.pfn_to_page(entry.pfn)
        BUG_ON(not self.PageLocked(page), "migration_entry_to_page: the page is not locked")
        return page

    # mm/vmscan.c

    def isolate_lru_page(self, page: Any) -> int:
        """Take the reference of an isolated page; -EBUSY if the page is free already."""
        return 0 if self.get_page_unless_zero(page) else -EBUSY

    def putback_lru_page(self, page: Any) -> None:
        """Drop that reference."""
        self.put_page(page)

    # mm/migrate.c

    def migrate_prep(self) -> int:
        """Prepare for isolating pages: there are no LRU caches to drain."""
        return 0 if self.CONFIG_MIGRATION else -ENOSYS

    def putback_lru_pages(self, pages: list[Any]) -> int:
        """Give up on isolated pages: how many there were."""
        if not self.CONFIG_MIGRATION:
            return 0
        count = len(pages)
        while pages:
            self.putback_lru_page(pages.pop(0))
        return count

    def remove_migration_pte(self, new: Any, vma: Any, addr: int, old: Any) -> int:
        """Map `new` where an entry waits for `old`."""
        mm = vma.vm_mm
        ptep = pte_offset_map(mm.pgd, addr)
        if ptep is None or self.remove_migration_pte_not_at(ptep):
            return SWAP_AGAIN
        spin_lock(mm.page_table_lock)
        entry = pte_get(ptep)
        if is_migration_entry(entry) and self.migration_entry_to_page(entry) == old:
            self.get_page(new)
            pte = Pte(self.page_to_pfn(new), write=entry.write, young=False)
            set_pte_at(ptep, pte)
            self.page_add_migrated_rmap(new, vma, addr, entry)
        spin_unlock(mm.page_table_lock)
        return SWAP_AGAIN

    # Cut out of remove_migration_pte for 486cf46f3f9b "mm: fix race between mremap and removing
    # migration entry", v3.1.

    def remove_migration_pte_not_at(self, ptep: PtePointer) -> bool:
        """Whether a look without the lock of the entries tells that there is nothing to do."""
        return not is_swap_pte(pte_get(ptep))

    # A line of remove_migration_pte(), cut out for 6c287605fd56 "mm: remember exclusively mapped
    # anonymous pages with PG_anon_exclusive", v5.19.

    def page_add_migrated_rmap(self, new: Any, vma: Any, addr: int, entry: MigrationEntry) -> None:
        """Count the mapping that takes the place of a migration entry."""
        self.page_add_anon_rmap(new, vma, addr)

    def remove_migration_ptes(self, old: Any, new: Any) -> None:
        """Map `new` wherever an entry waits for `old`."""
        self.rmap_walk(new, self.remove_migration_pte, old)

    def migration_entry_wait(self, mm: Any, ptep: PtePointer) -> None:
        """Wait until the migration that an entry stands for is over; the fault is then retried.

        It returns at once if the old page is free already: somebody is about to set the entry.
        """
        if not self.CONFIG_MIGRATION:
            return
        spin_lock(mm.page_table_lock)
        entry = pte_get(ptep)
        taken = False
        if is_migration_entry(entry):
            page = self.migration_entry_to_page(entry)
            taken = self.get_page_unless_zero(page)
        spin_unlock(mm.page_table_lock)
        if taken:
            self.wait_on_page_locked(page)
            self.put_page(page)

    def migrate_page_move_mapping(self, newpage: Any, page: Any) -> int:
        """Make sure that nobody but us and the swap cache refers to a page, and move it there."""
        if not self.PageSwapCache(page):
            return 0 if atomic_compare(page._count, "==", 1) else -EAGAIN
        slot = self.swap_slot(page.private)
        spin_lock(self.swap.tree_lock)
        if slot.page != page or not self.page_freeze_refs(page, 2):
            spin_unlock(self.swap.tree_lock)
            return -EAGAIN
        self.get_page(newpage)
        newpage.swapcache = True
        newpage.private = page.private
        slot.page = newpage
        self.page_unfreeze_refs(page, 1)  # the reference of the cache is gone
        spin_unlock(self.swap.tree_lock)
        return 0

    def migrate_page_copy(self, newpage: Any, page: Any) -> None:
        """Copy what a page holds and what is known about it, and empty the old one."""
        newpage.contents = page.contents
        if page.dirty:
            page.dirty = False
            newpage.dirty = True
        if page.mlocked:
            page.mlocked = False
            newpage.mlocked = True
        if self.CONFIG_KSM:
            self.ksm_migrate_page(newpage, page)
        if self.PageSwapCache(page):
            page.swapcache = False
            page.private = None
        page.mapping = None

    def migrate_page(self, newpage: Any, page: Any) -> int:
        """Move a page that has no entries any more; both are locked."""
        rc = self.migrate_page_move_mapping(newpage, page)
        if rc:
            return rc
        self.migrate_page_copy(newpage, page)
        return 0

    def move_to_new_page(self, newpage: Any, page: Any, use: AnonVmaUse) -> int:
        """Make `newpage` what `page` was, and map it wherever that was mapped."""
        BUG_ON(not self.trylock_page(newpage), "move_to_new_page: the new page is locked")
        newpage.index = page.index
        newpage.mapping = page.mapping
        if page.swapbacked:
            newpage.swapbacked = True
        rc = self.migrate_page(newpage, page)
        if rc:
            newpage.mapping = None
        else:
            self.remove_migration_ptes_if(use, page, newpage)
        self.unlock_page(newpage)
        return rc

    # Cut out for 3fe2011ff51e "mm: migration: allow the migration of PageSwapCache pages", v2.6.35,
    # which puts a condition on both calls.

    def remove_migration_ptes_if(self, use: AnonVmaUse, old: Any, new: Any) -> None:
        """Map `new` wherever an entry waits for `old`: always, in v2.6.34."""
        self.remove_migration_ptes(old, new)

    # unmap_and_move is one long function with labels in the kernel. Here each level of its labels
    # is a function: the new page (move_newpage), the page lock (unlock), RCU and, later, the
    # reference to the anon_vma (rcu_unlock); so that a commit which changes one of them is small.

    def unmap_and_move(
        self, pages: list[Any], get_new_page: NewPage, page: Any, force: bool, offlining: bool
    ) -> int:
        """Move an isolated page to a new one, and take it off the list unless it can be retried."""
        newpage = get_new_page(page)
        if newpage is None:
            return -ENOMEM
        rc = 0
        if atomic_compare(page._count, "!=", 1):  # else it was freed under us
            rc = self.lock_and_move(pages, newpage, page, force, offlining)
        self.putback_lru_page(newpage)
        return rc

    def lock_and_move(
        self, pages: list[Any], newpage: Any, page: Any, force: bool, offlining: bool
    ) -> int:
        """The part of unmap_and_move under the page lock, and putting the page back."""
        if not self.trylock_page(page):
            if not force:
                return -EAGAIN
            self.lock_page(page)
        # Only under the page lock is it certain that the page does not become a KSM page.
        migrates = self.migrates(page, offlining)
        rc = self.wait_and_move(newpage, page, force) if migrates else -EBUSY
        self.unlock_page(page)
        if rc != -EAGAIN:
            pages.remove(page)
            self.putback_lru_page(page)
        return rc

    # The condition, cut out for c8d6553b9580 "ksm: make KSM page migration possible", 3.9.

    def migrates(self, page: Any, offlining: bool) -> bool:
        """Whether a page may move: one of KSM only for memory hotplug."""
        return offlining or not self.PageKsm(page)

    def wait_and_move(self, newpage: Any, page: Any, force: bool) -> int:
        """The part of unmap_and_move that makes sure that the page is not being written."""
        if self.PageWriteback(page):
            if not force:
                return -EAGAIN
            self.wait_on_page_writeback(page)
        return self.hold_and_move(newpage, page)

    def hold_and_move(self, newpage: Any, page: Any) -> int:
        """The part of unmap_and_move between making sure of the anon_vma and letting it go."""
        rc = -EAGAIN
        use = AnonVmaUse()
        if self.use_anon_vma(page, use):
            rc = self.replace_page_everywhere(newpage, page, use)
        self.leave_anon_vma(use)
        return rc

    def use_anon_vma(self, page: Any, use: AnonVmaUse) -> bool:
        """Determine how to safely use the anon_vma; False means to give up.

        RCU alone, in v2.6.34: the slab page stays, but the anon_vma may become another's.
        """
        if self.PageAnon(page):
            rcu_read_lock()
            use.rcu_locked = True
        return True

    def leave_anon_vma(self, use: AnonVmaUse) -> None:
        """Undo use_anon_vma."""
        if use.rcu_locked:
            rcu_read_unlock()

    def replace_page_everywhere(self, newpage: Any, page: Any, use: AnonVmaUse) -> int:
        """Put migration entries in place of a page, and then the new page or the old one again."""
        rc = -EAGAIN
        if page.mapping is not None:
            self.try_to_unmap(page, TTU_MIGRATION | TTU_IGNORE_MLOCK | TTU_IGNORE_ACCESS)
        if not self.page_mapped(page):
            rc = self.move_to_new_page(newpage, page, use)
        if rc:
            self.remove_migration_ptes_if(use, page, page)
        return rc

    def migrate_pages(
        self, pages: list[Any], get_new_page: NewPage, offlining: bool = False
    ) -> int:
        """Move isolated pages; how many could not be moved, or a negative error number.

        All of them are put back, moved or not.
        """
        if not self.CONFIG_MIGRATION:
            return -ENOSYS
        failed = 0
        retry = 1
        error = 0
        for number in range(MIGRATE_PASSES):
            if not retry or error:
                break
            retry, permanent, error = self.migrate_pass(
                pages, get_new_page, number >= FORCE_FROM_PASS, offlining
            )
            failed += permanent
        self.putback_lru_pages(pages)
        return error or failed + retry

    def migrate_pass(
        self, pages: list[Any], get_new_page: NewPage, force: bool, offlining: bool
    ) -> tuple[int, int, int]:
        """One pass of migrate_pages: pages to retry, pages that failed for good, -ENOMEM."""
        retry = failed = 0
        for page in list(pages):
            cond_resched()
            rc = self.unmap_and_move(pages, get_new_page, page, force, offlining)
            if rc == -ENOMEM:
                return retry, failed, rc
            if rc == -EAGAIN:
                retry += 1
            elif rc:
                failed += 1
        return retry, failed, 0
