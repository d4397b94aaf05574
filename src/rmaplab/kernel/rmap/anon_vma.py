"""mm/rmap.c, first part: how VMAs are attached to anon_vmas, and how long an anon_vma lives."""

from __future__ import annotations

from typing import Any, ClassVar

from rmaplab.kernel.base import KernelBase
from rmaplab.kernel.mm_types import ENOMEM
from rmaplab.kernel.rmap.structs import AnonVma, AnonVmaChain
from rmaplab.machine import (
    INIT_LIST_HEAD,
    SLAB_DESTROY_BY_RCU,
    VM_BUG_ON,
    KmemCache,
    SpinLock,
    Struct,
    atomic_compare,
    atomic_set,
    kmem_cache_alloc,
    kmem_cache_free,
    list_add,
    list_add_tail,
    list_del,
    list_empty,
    list_for_each_entry,
    list_for_each_entry_reverse,
    might_sleep,
    spin_lock,
    spin_unlock,
)


class AnonVmas(KernelBase):
    """The functions that make, link, unlink and free anon_vmas."""

    AnonVma: ClassVar[type[Struct]] = AnonVma
    AnonVmaChain: ClassVar[type[Struct]] = AnonVmaChain

    anon_vma_cachep: KmemCache
    anon_vma_chain_cachep: KmemCache

    def boot(self) -> None:
        """Create the caches, as the rest of the kernel does and then anon_vma_init."""
        super().boot()
        self.anon_vma_init()

    def anon_vma_init(self) -> None:
        """Create the two slab caches of the reverse map."""
        create = self.machine.kmem_cache_create
        self.anon_vma_cachep = create(
            "anon_vma", self.AnonVma, SLAB_DESTROY_BY_RCU, self.anon_vma_ctor
        )
        self.anon_vma_chain_cachep = create("anon_vma_chain", self.AnonVmaChain)

    def anon_vma_ctor(self, anon_vma: Any) -> None:
        """Set up a slab object once; its later lives start as the one before left it."""
        self.ksm_refcount_init(anon_vma)
        INIT_LIST_HEAD(anon_vma.head)

    def ksm_refcount_init(self, anon_vma: Any) -> None:
        """Nobody but its list holds the anon_vma."""
        if self.CONFIG_KSM:
            atomic_set(anon_vma.ksm_refcount, 0)

    def ksm_refcount(self, anon_vma: Any) -> bool:
        """Whether KSM holds the anon_vma; its callers never ask how often."""
        return self.CONFIG_KSM and atomic_compare(anon_vma.ksm_refcount, "!=", 0)

    def anon_vma_alloc(self) -> Any:
        """An anon_vma in its constructed state, or None."""
        return kmem_cache_alloc(self.anon_vma_cachep)

    def anon_vma_free(self, anon_vma: Any) -> None:
        """Give an anon_vma back."""
        kmem_cache_free(self.anon_vma_cachep, anon_vma)

    def anon_vma_chain_alloc(self) -> Any:
        """A chain entry, or None."""
        return kmem_cache_alloc(self.anon_vma_chain_cachep)

    def anon_vma_chain_free(self, anon_vma_chain: Any) -> None:
        """Give a chain entry back."""
        kmem_cache_free(self.anon_vma_chain_cachep, anon_vma_chain)

    # Cut out of who makes a VMA for v2.6.33, which has no chains.

    def anon_vma_chain_init(self, vma: Any) -> None:
        """Give a new VMA an empty chain."""
        INIT_LIST_HEAD(vma.anon_vma_chain)

    # cba48b98f234 "mm: change direct call of spin_lock(anon_vma->lock) to inline function",
    # v2.6.36: before it each caller takes the spinlock itself. Written so from the start, the steps
    # are the same. What v2.6.34 calls anon_vma_lock(vma) is vma_lock_anon_vma here, its name since
    # bb4a340e075b "mm: rename anon_vma_lock to vma_lock_anon_vma", v2.6.36.

    def anon_vma_lock_of(self, anon_vma: Any) -> SpinLock:
        """The spinlock that guards the list of an anon_vma."""
        lock: SpinLock = anon_vma.lock
        return lock

    def anon_vma_lock(self, anon_vma: Any) -> None:
        """Lock an anon_vma."""
        spin_lock(self.anon_vma_lock_of(anon_vma))

    def anon_vma_unlock(self, anon_vma: Any) -> None:
        """Unlock it."""
        spin_unlock(self.anon_vma_lock_of(anon_vma))

    # Cut out for 4fc3f1d66b1e "mm/rmap, migration: Make rmap_walk_anon() and try_to_unmap_anon()
    # more scalable", v3.8.

    def anon_vma_lock_read(self, anon_vma: Any) -> None:
        """Lock an anon_vma for a walk: as for anything else."""
        self.anon_vma_lock(anon_vma)

    def anon_vma_unlock_read(self, anon_vma: Any) -> None:
        """Unlock it."""
        self.anon_vma_unlock(anon_vma)

    def vma_lock_anon_vma(self, vma: Any) -> None:
        """Lock the anon_vma of a VMA, if it has one."""
        anon_vma = vma.anon_vma
        if anon_vma is not None:
            self.anon_vma_lock(anon_vma)

    def vma_unlock_anon_vma(self, vma: Any) -> None:
        """Unlock the anon_vma of a VMA, if it has one."""
        anon_vma = vma.anon_vma
        if anon_vma is not None:
            self.anon_vma_unlock(anon_vma)

    def anon_vma_prepare(self, vma: Any) -> int:
        """Give a VMA an anon_vma: a neighbour's or a new one. mmap_sem is held for reading.

        A new one is locked like any other: a late reader under RCU may still hold its lock.
        """
        might_sleep("anon_vma_prepare")
        if vma.anon_vma is not None:
            return 0
        avc = self.anon_vma_chain_alloc()
        if avc is None:
            return -ENOMEM
        anon_vma = self.find_mergeable_anon_vma(vma)
        allocated = None
        if anon_vma is None:
            anon_vma = allocated = self.anon_vma_alloc_root()
            if anon_vma is None:
                self.anon_vma_chain_free(avc)
                return -ENOMEM
        if not self.anon_vma_attach(vma, avc, anon_vma):
            if allocated is not None:
                self.anon_vma_unused(allocated)
            self.anon_vma_chain_free(avc)
        return 0

    # The four functions below are pieces of anon_vma_prepare, cut out because later commits
    # change them one by one.

    def anon_vma_alloc_root(self) -> Any:
        """The new anon_vma of a VMA that can share none."""
        return self.anon_vma_alloc()

    def anon_vma_unused(self, anon_vma: Any) -> None:
        """Give a new anon_vma back that no VMA came to; anon_vma_fork does so too."""
        self.anon_vma_free(anon_vma)

    def anon_vma_attach(self, vma: Any, avc: Any, anon_vma: Any) -> bool:
        """Link a VMA to its first anon_vma, unless another thread has done so meanwhile."""
        mm = vma.vm_mm
        self.anon_vma_lock(anon_vma)
        spin_lock(mm.page_table_lock)
        wanted = vma.anon_vma is None
        if wanted:
            vma.anon_vma = anon_vma
            avc.anon_vma = anon_vma
            avc.vma = vma
            list_add(avc.same_vma, vma.anon_vma_chain)
            self.anon_vma_add_first(avc, anon_vma)
        spin_unlock(mm.page_table_lock)
        self.anon_vma_unlock(anon_vma)
        return wanted

    def anon_vma_add_first(self, avc: Any, anon_vma: Any) -> None:
        """Put a VMA that anon_vma_prepare links on the list: at its head."""
        list_add(avc.same_anon_vma, anon_vma.head)

    def anon_vma_chain_link(self, vma: Any, avc: Any, anon_vma: Any) -> None:
        """Link a VMA and an anon_vma: newest first on the VMA's chain, last on the other list."""
        avc.vma = vma
        avc.anon_vma = anon_vma
        list_add(avc.same_vma, vma.anon_vma_chain)
        self.anon_vma_lock(anon_vma)
        list_add_tail(avc.same_anon_vma, anon_vma.head)
        self.anon_vma_unlock(anon_vma)

    def anon_vma_clone(self, dst: Any, src: Any) -> int:
        """Link `dst` to every anon_vma of `src`, oldest first, so that the order stays."""
        for pavc in list_for_each_entry_reverse(src.anon_vma_chain):
            avc = self.anon_vma_chain_alloc()
            if avc is None:
                self.unlink_anon_vmas(dst)
                return -ENOMEM
            self.anon_vma_chain_link(dst, avc, pavc.anon_vma)
        return 0

    def anon_vma_fork(self, vma: Any, pvma: Any) -> int:
        """Link a child's VMA to the anon_vmas of its parent's, and to one of its own."""
        if pvma.anon_vma is None:
            return 0
        if self.anon_vma_clone(vma, pvma):
            return -ENOMEM
        return self.anon_vma_fork_own(vma, pvma)

    # The rest of anon_vma_fork, cut out for 7a3ef208e662 "mm: prevent endless growth of anon_vma
    # hierarchy", v3.19, which does not always come to it.

    def anon_vma_fork_own(self, vma: Any, pvma: Any) -> int:
        """Link a child's VMA to a new anon_vma; 0, or -ENOMEM and it is linked to none."""
        anon_vma = self.anon_vma_alloc_own()
        if anon_vma is None:
            self.unlink_anon_vmas(vma)
            return -ENOMEM
        avc = self.anon_vma_chain_alloc()
        if avc is None:
            self.anon_vma_unused(anon_vma)
            self.unlink_anon_vmas(vma)
            return -ENOMEM
        self.anon_vma_fork_link(vma, pvma, avc, anon_vma)
        return 0

    def anon_vma_alloc_own(self) -> Any:
        """The new anon_vma of a child's VMA."""
        return self.anon_vma_alloc()

    # The end of anon_vma_fork, cut out because later commits change it and nothing before it.

    def anon_vma_fork_link(self, vma: Any, pvma: Any, avc: Any, anon_vma: Any) -> None:
        """Make a new anon_vma the child's own: where its new pages will go."""
        self.anon_vma_chain_link(vma, avc, anon_vma)
        vma.anon_vma = anon_vma

    def anon_vma_unlink(self, anon_vma_chain: Any) -> None:
        """Take a VMA off the list of an anon_vma, and free that if nobody needs it any more."""
        anon_vma = anon_vma_chain.anon_vma
        if anon_vma is None:  # an entry that anon_vma_fork could not finish, says the kernel
            return  # unreached: no entry is on a chain before it has its anon_vma
        self.anon_vma_lock(anon_vma)
        list_del(anon_vma_chain.same_anon_vma)
        empty = list_empty(anon_vma.head) and not self.ksm_refcount(anon_vma)
        self.anon_vma_unlock(anon_vma)
        if empty:
            self.anon_vma_free(anon_vma)

    def unlink_anon_vmas(self, vma: Any) -> None:
        """Unlink a VMA from all its anon_vmas, the newest first and the oldest last."""
        for avc in list_for_each_entry(vma.anon_vma_chain):
            self.anon_vma_unlink(avc)
            list_del(avc.same_vma)
            self.anon_vma_chain_free(avc)

    def anon_vma_merge(self, vma: Any, next_vma: Any) -> None:
        """Unlink a VMA that was merged into its neighbour."""
        VM_BUG_ON(vma.anon_vma != next_vma.anon_vma)
        self.unlink_anon_vmas(next_vma)
