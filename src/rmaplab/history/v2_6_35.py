"""From v2.6.34 to v2.6.35: migration learns to hold the anon_vma of the page that it moves."""

from __future__ import annotations

from typing import Any, ClassVar

from rmaplab.kernel.compaction import Compaction
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.migrate import AnonVmaUse
from rmaplab.kernel.mm_types import (
    EFAULT,
    VM_GROWSDOWN,
    VM_GROWSUP,
    VM_STACK_INCOMPLETE_SETUP,
)
from rmaplab.kernel.rmap import SWAP_AGAIN, TTU_MIGRATION, AnonVma
from rmaplab.machine import (
    INIT_LIST_HEAD,
    Atomic,
    Struct,
    atomic_compare,
    atomic_dec_and_lock,
    atomic_inc,
    atomic_set,
    list_del,
    list_empty,
    rcu_read_lock,
    refcount,
    removed,
)


class AnonVmaWithTwoCounts(AnonVma):
    """struct anon_vma with a count for migration beside that of KSM."""

    migrate_refcount: Atomic = refcount()  # used with CONFIG_MIGRATION only


class AnonVmaWithOneCount(AnonVmaWithTwoCounts):
    """struct anon_vma with one count for both."""

    ksm_refcount: Any = removed()
    migrate_refcount: Any = removed()
    external_refcount: Atomic = refcount()  # used with CONFIG_KSM or CONFIG_MIGRATION only


class Commit3f6c82728f4e(Kernel):
    """3f6c82728f4e "mm: migration: take a reference to the anon_vma before migrating".

    2010-05-24, v2.6.35. RCU keeps the memory of an anon_vma from the slab, but not the anon_vma
    from another owner: a reference of migration's own does.
    """

    AnonVma: ClassVar[type[Struct]] = AnonVmaWithTwoCounts

    def migrate_refcount_init(self, anon_vma: Any) -> None:
        """New: no migration holds the anon_vma."""
        if self.CONFIG_MIGRATION:
            atomic_set(anon_vma.migrate_refcount, 0)

    def migrate_refcount(self, anon_vma: Any) -> bool:
        """New: whether a migration holds the anon_vma."""
        return self.CONFIG_MIGRATION and atomic_compare(anon_vma.migrate_refcount, "!=", 0)

    def anon_vma_ctor(self, anon_vma: Any) -> None:
        """The new count starts at 0 too."""
        self.ksm_refcount_init(anon_vma)
        self.migrate_refcount_init(anon_vma)
        INIT_LIST_HEAD(anon_vma.head)

    def anon_vma_unlink(self, anon_vma_chain: Any) -> None:
        """An anon_vma that migration holds is not freed."""
        anon_vma = anon_vma_chain.anon_vma
        if anon_vma is None:
            return  # unreached: see Rmap.anon_vma_unlink
        self.anon_vma_lock(anon_vma)
        list_del(anon_vma_chain.same_anon_vma)
        empty = (
            list_empty(anon_vma.head)
            and not self.ksm_refcount(anon_vma)
            and not self.migrate_refcount(anon_vma)
        )
        self.anon_vma_unlock(anon_vma)
        if empty:
            self.anon_vma_free(anon_vma)

    def use_anon_vma(self, page: Any, use: AnonVmaUse) -> bool:
        """The anon_vma is held as well. A KSM page has none: there a NULL pointer is followed."""
        if self.PageAnon(page):
            rcu_read_lock()
            use.rcu_locked = True
            use.anon_vma = self.page_anon_vma(page)
            self.migrate_get_anon_vma(use.anon_vma)
        return True

    def leave_anon_vma(self, use: AnonVmaUse) -> None:
        """The reference is dropped, before RCU is left."""
        if use.anon_vma is not None:
            self.migrate_drop_anon_vma(use.anon_vma)
        super().leave_anon_vma(use)

    # The lines of unmap_and_move that count, cut out because three later commits change them.

    def migrate_get_anon_vma(self, anon_vma: Any) -> None:
        """New: hold the anon_vma."""
        atomic_inc(anon_vma.migrate_refcount)

    def migrate_drop_anon_vma(self, anon_vma: Any) -> None:
        """New: let it go, and free it if its list is empty. The count of KSM is not asked."""
        if atomic_dec_and_lock(anon_vma.migrate_refcount, self.anon_vma_lock_of(anon_vma)):
            empty = list_empty(anon_vma.head)
            self.anon_vma_unlock(anon_vma)
            if empty:
                self.anon_vma_free(anon_vma)


class Commit7f60c214fd3a(Commit3f6c82728f4e):
    """7f60c214fd3a "mm: migration: share the anon_vma ref counts between KSM and page migration".

    2010-05-24, v2.6.35. One count, external_refcount, takes the place of two.
    """

    AnonVma: ClassVar[type[Struct]] = AnonVmaWithOneCount

    def anonvma_external_refcount_init(self, anon_vma: Any) -> None:
        """New, instead of the two functions for the two counts."""
        if self.CONFIG_KSM or self.CONFIG_MIGRATION:
            atomic_set(anon_vma.external_refcount, 0)

    def anonvma_external_refcount(self, anon_vma: Any) -> bool:
        """New: whether KSM or a migration holds the anon_vma."""
        if not (self.CONFIG_KSM or self.CONFIG_MIGRATION):
            return False
        return atomic_compare(anon_vma.external_refcount, "!=", 0)

    def anon_vma_ctor(self, anon_vma: Any) -> None:
        """One count to set up."""
        self.anonvma_external_refcount_init(anon_vma)
        INIT_LIST_HEAD(anon_vma.head)

    def anon_vma_unlink(self, anon_vma_chain: Any) -> None:
        """One count to ask."""
        anon_vma = anon_vma_chain.anon_vma
        if anon_vma is None:
            return  # unreached: see Rmap.anon_vma_unlink
        self.anon_vma_lock(anon_vma)
        list_del(anon_vma_chain.same_anon_vma)
        empty = list_empty(anon_vma.head) and not self.anonvma_external_refcount(anon_vma)
        self.anon_vma_unlock(anon_vma)
        if empty:
            self.anon_vma_free(anon_vma)

    def hold_anon_vma(self, rmap_item: Any, anon_vma: Any) -> None:
        """KSM counts on the shared count."""
        rmap_item.anon_vma = anon_vma
        atomic_inc(anon_vma.external_refcount)

    def ksm_drop_anon_vma(self, rmap_item: Any) -> None:
        """KSM counts on the shared count. (The kernel's name is drop_anon_vma until the seed.)"""
        self.external_refcount_drop(rmap_item.anon_vma)

    def migrate_get_anon_vma(self, anon_vma: Any) -> None:
        """Migration counts on the shared count."""
        atomic_inc(anon_vma.external_refcount)

    def migrate_drop_anon_vma(self, anon_vma: Any) -> None:
        """Migration counts on the shared count."""
        self.external_refcount_drop(anon_vma)

    # These lines stand twice in the kernel, in mm/ksm.c and in mm/migrate.c.

    def external_refcount_drop(self, anon_vma: Any) -> None:
        """Let an anon_vma go, and free it if its list is empty."""
        if atomic_dec_and_lock(anon_vma.external_refcount, self.anon_vma_lock_of(anon_vma)):
            empty = list_empty(anon_vma.head)
            self.anon_vma_unlock(anon_vma)
            if empty:
                self.anon_vma_free(anon_vma)


class Commit67b9509b2c68(Commit7f60c214fd3a):
    """67b9509b2c68 "mm: migration: do not try to migrate unmapped anonymous pages".

    2010-05-24, v2.6.35. The anon_vma of a page that nobody maps any more may be free already.
    """

    def use_anon_vma(self, page: Any, use: AnonVmaUse) -> bool:
        """Give up on an unmapped page. It may become one right after the question."""
        if self.PageAnon(page):
            rcu_read_lock()
            use.rcu_locked = True
            if not self.page_mapped(page):
                return False
            use.anon_vma = self.page_anon_vma(page)
            self.migrate_get_anon_vma(use.anon_vma)
        return True


class Commit3fe2011ff51e(Commit67b9509b2c68):
    """3fe2011ff51e "mm: migration: allow the migration of PageSwapCache pages".

    2010-05-24, v2.6.35. An unmapped page of the swap cache is moved, but not mapped again.
    """

    def use_anon_vma(self, page: Any, use: AnonVmaUse) -> bool:
        """An unmapped page of the swap cache goes on, without its anon_vma."""
        if self.PageAnon(page):
            rcu_read_lock()
            use.rcu_locked = True
            if self.page_mapped(page):
                use.anon_vma = self.page_anon_vma(page)
                self.migrate_get_anon_vma(use.anon_vma)
            elif self.PageSwapCache(page):
                use.remap_swapcache = False
            else:
                return False
        return True

    def remove_migration_ptes_if(self, use: AnonVmaUse, old: Any, new: Any) -> None:
        """Only where the anon_vma is known to be there."""
        if use.remap_swapcache:
            super().remove_migration_ptes_if(use, old, new)


class Commita8bef8ff6ea1(Commit3fe2011ff51e):
    """a8bef8ff6ea1 "mm: migration: avoid race between shift_arg_pages() and rmap_walk()...".

    2010-05-24, v2.6.35. (...during migration by not migrating temporary stacks.) The entries of
    exec's stack move without the lock of its anon_vma, so a walk may miss a migration entry.
    """

    def stack_setup_flags(self) -> int:
        """Two that no other VMA has both."""
        return VM_STACK_INCOMPLETE_SETUP

    def stack_is_set_up(self, vma: Any) -> None:
        """From here on its pages may migrate."""
        vma.vm_flags &= ~VM_STACK_INCOMPLETE_SETUP

    def is_vma_temporary_stack(self, vma: Any) -> bool:
        """New: whether a VMA is a stack that exec has not moved yet."""
        if not vma.vm_flags & (VM_GROWSDOWN | VM_GROWSUP):
            return False
        return bool(vma.vm_flags & VM_STACK_INCOMPLETE_SETUP == VM_STACK_INCOMPLETE_SETUP)

    def try_to_unmap_anon(self, page: Any, flags: int) -> int:
        """Migration passes over such stacks: their pages stay mapped, and so where they are."""
        ret = SWAP_AGAIN
        anon_vma = self.page_lock_anon_vma(page)
        if anon_vma is None:
            return ret
        for avc in self.anon_vma_entries(anon_vma, page):
            vma = avc.vma
            migrating = self.CONFIG_MIGRATION and flags & TTU_MIGRATION
            if migrating and self.is_vma_temporary_stack(vma):
                continue
            address = self.vma_address(page, vma)
            if address == -EFAULT:
                continue
            ret = self.try_to_unmap_one(page, vma, address, flags)
            if ret != SWAP_AGAIN or not self.page_mapped(page):
                break
        self.page_unlock_anon_vma(anon_vma)
        return ret


class Commit748446bb6b5f(Commita8bef8ff6ea1, Compaction):
    """748446bb6b5f "mm: compaction: memory compaction core".

    2010-05-24, v2.6.35. All of mm/compaction.c is in rmaplab.kernel.compaction.
    """

    def sysctl_compaction_handler(self) -> int:
        """New: compact because somebody wrote to /proc/sys/vm/compact_memory.

        76ab0f530e49 "mm: compaction: add /proc trigger for memory compaction", v2.6.35, has it.
        """
        self.compact_zone()
        return 0


V2_6_35 = Commit748446bb6b5f
