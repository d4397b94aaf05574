"""The variants of the anon_vma root-reference protocol: structs, and kernel code on one page."""

from __future__ import annotations

from collections.abc import Callable

from rmaplab.machine import (
    SLAB_DESTROY_BY_RCU,
    Atomic,
    KernelStateError,
    Struct,
    atomic_dec,
    atomic_dec_and_lock,
    atomic_dec_and_test,
    atomic_inc,
    atomic_read,
    kmem_cache_alloc,
    kmem_cache_free,
    list_add,
    list_add_tail,
    list_del,
    list_empty,
    list_entry,
    list_first_entry,
    list_for_each_entry,
    list_for_each_entry_reverse,
    list_head,
    mutex,
    mutex_lock,
    mutex_unlock,
    pointer,
    rcu_read_lock,
    rcu_read_unlock,
    refcount,
    spin_lock,
    spin_unlock,
    spinlock,
    value,
)
from rmaplab.machine.traced import TracedMachine

Count = Callable[[Atomic], None]

PTE_NONE, PTE_PRESENT, PTE_MIGRATION = "none", "present", "migration"


class AnonVma(Struct):
    """Only the root's lock is ever taken."""

    root = pointer()
    lock = spinlock()
    external_refcount = refcount(0)
    head = list_head()


class AnonVmaChain(Struct):
    """A vma on an anon_vma's list, and the anon_vma on the vma's."""

    vma = pointer()
    anon_vma = pointer()
    same_vma = list_entry()
    same_anon_vma = list_entry()


class Process(Struct):
    """A process: its mm, and its only vma."""

    mm_users = value(0, marked="ksmd tests it while the process exits")
    mmap_sem = mutex()
    anon_vma = pointer()
    anon_vma_chain = list_head()


class Page(Struct):
    """The only page, and its page table entry."""

    mapping = pointer()
    mapcount = refcount(0)
    pte = value(PTE_NONE)
    ptl = spinlock()


class Before:
    """Nobody pins the root."""

    def __init__(self, machine: TracedMachine, owner: str) -> None:
        self.machine = machine
        self.anon_vmas = machine.kmem_cache_create(
            "anon_vma", AnonVma, SLAB_DESTROY_BY_RCU, lambda anon_vma: None
        )
        self.chains = machine.kmem_cache_create("anon_vma_chain", AnonVmaChain)
        self.page = machine.static(Page, "page")
        self.processes = {name: machine.static(Process, name) for name in "PCGD"}
        self.owner = self.processes[owner]

    # mm/rmap.c

    def anon_vma_lock(self, anon_vma: AnonVma) -> None:
        """Take the root's lock."""
        spin_lock(anon_vma.root.lock)

    def anon_vma_unlock(self, anon_vma: AnonVma) -> None:
        """Release it; the root is asked for again."""
        spin_unlock(anon_vma.root.lock)

    def anon_vma_chain_alloc(self, vma: Process, anon_vma: AnonVma) -> AnonVmaChain:
        """With its pointers set."""
        avc: AnonVmaChain = kmem_cache_alloc(self.chains)
        avc.vma = vma
        avc.anon_vma = anon_vma
        return avc

    def anon_vma_chain_link(self, vma: Process, avc: AnonVmaChain, anon_vma: AnonVma) -> None:
        """Put it at the head of the vma's chain and at the end of the anon_vma's list."""
        list_add(avc.same_vma, vma.anon_vma_chain)
        self.anon_vma_lock(anon_vma)
        list_add_tail(avc.same_anon_vma, anon_vma.head)
        self.anon_vma_unlock(anon_vma)

    def anon_vma_prepare(self, vma: Process) -> None:
        """A first vma gets an anon_vma that is its own root."""
        anon_vma = kmem_cache_alloc(self.anon_vmas)
        avc = self.anon_vma_chain_alloc(vma, anon_vma)
        anon_vma.root = anon_vma
        vma.anon_vma = anon_vma
        self.anon_vma_chain_link(vma, avc, anon_vma)

    def anon_vma_clone(self, vma: Process, parent: Process) -> None:
        """The child is put on all the anon_vmas of its parent, the oldest first."""
        for pavc in list_for_each_entry_reverse(parent.anon_vma_chain):
            anon_vma = pavc.anon_vma
            avc = self.anon_vma_chain_alloc(vma, anon_vma)
            self.anon_vma_chain_link(vma, avc, anon_vma)

    def anon_vma_fork(self, vma: Process, parent: Process) -> None:
        """The child gets an anon_vma of its own, too, with the root of its parent's."""
        vma.mm_users = 1
        self.anon_vma_clone(vma, parent)
        anon_vma = kmem_cache_alloc(self.anon_vmas)
        avc = self.anon_vma_chain_alloc(vma, anon_vma)
        root = parent.anon_vma.root
        anon_vma.root = root
        self.get_root(root)
        vma.anon_vma = anon_vma
        self.anon_vma_chain_link(vma, avc, anon_vma)

    def get_root(self, root: AnonVma) -> None:
        """What a new anon_vma does to its root."""

    def anon_vma_unlink(self, avc: AnonVmaChain) -> None:
        """Take a vma off an anon_vma, which goes away with the last."""
        anon_vma = avc.anon_vma
        self.anon_vma_lock(anon_vma)
        list_del(avc.same_anon_vma)
        empty = list_empty(anon_vma.head) and not atomic_read(anon_vma.external_refcount)
        self.anon_vma_unlock(anon_vma)
        if empty:
            self.put_root(anon_vma)
            kmem_cache_free(self.anon_vmas, anon_vma)

    def put_root(self, anon_vma: AnonVma) -> None:
        """What anon_vma_unlink does to the root of an anon_vma that goes away."""

    def drop_anon_vma(self, anon_vma: AnonVma) -> None:
        """Drop a reference; with the last one goes what is on no list."""
        if not atomic_dec_and_lock(anon_vma.external_refcount, anon_vma.root.lock):
            return
        root = anon_vma.root
        empty = list_empty(anon_vma.head)
        last = empty and anon_vma is not root and self.put_root_locked(root)
        self.anon_vma_unlock(anon_vma)
        if empty:
            kmem_cache_free(self.anon_vmas, anon_vma)
            if last:
                kmem_cache_free(self.anon_vmas, root)

    def put_root_locked(self, root: AnonVma) -> bool:
        """What drop_anon_vma does to the root: whether it goes away, too."""
        return False

    def unlink_first(self, vma: Process) -> bool:
        """One turn of unlink_anon_vmas: whether there was anything on the chain."""
        avc = list_first_entry(vma.anon_vma_chain)
        if avc is None:
            return False
        self.anon_vma_unlink(avc)
        list_del(avc.same_vma)
        kmem_cache_free(self.chains, avc)
        return True

    def rmap_walk(self, anon_vma: AnonVma, old: str, new: str, count: Count) -> None:
        """Under the lock: replace the entries that map the page, then unlock."""
        page = self.page
        for avc in list_for_each_entry(anon_vma.head):
            assert avc.vma is self.owner
            spin_lock(page.ptl)
            if page.pte == old:
                page.pte = new
                count(page.mapcount)
            spin_unlock(page.ptl)
        self.anon_vma_unlock(anon_vma)

    def page_lock_anon_vma(self) -> AnonVma | None:
        """In an RCU read-side section: the page's anon_vma with its lock held."""
        anon_vma: AnonVma = self.page.mapping
        if not atomic_read(self.page.mapcount):
            return None
        root = anon_vma.root
        spin_lock(root.lock)
        if not self.still_mapped():
            spin_unlock(root.lock)
            return None
        return anon_vma

    def still_mapped(self) -> bool:
        """What page_lock_anon_vma asks under the lock."""
        return True

    def try_to_unmap(self) -> None:
        """Put a migration entry in place of the present one."""
        anon_vma = self.page_lock_anon_vma()
        if anon_vma is not None:
            self.rmap_walk(anon_vma, PTE_PRESENT, PTE_MIGRATION, atomic_dec)

    # mm/migrate.c

    def move_and_remap(self) -> None:
        """Unless somebody still maps the page: put its entry back."""
        if not atomic_read(self.page.mapcount):
            anon_vma = self.page.mapping
            self.anon_vma_lock(anon_vma)
            self.rmap_walk(anon_vma, PTE_MIGRATION, PTE_PRESENT, atomic_inc)

    def migrate(self) -> None:
        """unmap_and_move: the reference is taken without a lock."""
        rcu_read_lock()
        if atomic_read(self.page.mapcount):
            anon_vma = self.page.mapping
            atomic_inc(anon_vma.external_refcount)
            self.try_to_unmap()
            self.move_and_remap()
            self.drop_anon_vma(anon_vma)
        rcu_read_unlock()

    # mm/ksm.c

    def ksmd(self) -> None:
        """Take and drop a reference on the anon_vma of the page's owner."""
        owner = self.owner
        mutex_lock(owner.mmap_sem)
        if not owner.mm_users:
            mutex_unlock(owner.mmap_sem)
            return
        anon_vma = owner.anon_vma
        atomic_inc(anon_vma.external_refcount)
        mutex_unlock(owner.mmap_sem)
        self.drop_anon_vma(anon_vma)

    # kernel/exit.c

    def exit_mm(self, process: Process) -> None:
        """What mmput does, up to unlink_anon_vmas."""
        process.mm_users = 0
        if process is self.owner:
            self.ksm_exit(process)
            self.zap_pte()

    def ksm_exit(self, process: Process) -> None:
        """Wait until ksmd lets go of the mm."""
        mutex_lock(process.mmap_sem)
        mutex_unlock(process.mmap_sem)

    def zap_pte(self) -> None:
        """Unmap the page."""
        page = self.page
        spin_lock(page.ptl)
        present = page.pte == PTE_PRESENT
        page.pte = PTE_NONE
        if present:
            atomic_dec(page.mapcount)
        spin_unlock(page.ptl)

    # What must hold

    def check_end(self) -> None:
        """Nothing is left."""
        for cache in (self.anon_vmas, self.chains):
            for left in cache.live():
                raise KernelStateError("leak", f"{left.name()} is left", left)


class SeedV2(Before):
    """[PATCH 1/4] of the second seed: an anon_vma pins its root, and the root itself."""

    def get_root(self, root: AnonVma) -> None:
        """Pin it."""
        atomic_inc(root.external_refcount)

    def put_root(self, anon_vma: AnonVma) -> None:
        """Drop it."""
        self.drop_anon_vma(anon_vma.root)

    def put_root_locked(self, root: AnonVma) -> bool:
        """Drop it: the last reference takes it along."""
        last = atomic_dec_and_test(root.external_refcount)
        return list_empty(root.head) and last


class Mainline(SeedV2):
    """A root does not drop itself."""

    def put_root(self, anon_vma: AnonVma) -> None:
        """Drop it unless it is the anon_vma itself."""
        root = anon_vma.root
        if root is not anon_vma:
            self.drop_anon_vma(root)


class Fixed(Mainline):
    """page_lock_anon_vma looks again under the lock, and migration takes its reference there."""

    def still_mapped(self) -> bool:
        """The last user may have gone since the first look."""
        return bool(atomic_read(self.page.mapcount))

    def migrate(self) -> None:
        """unmap_and_move: the reference is taken under the lock."""
        rcu_read_lock()
        anon_vma = self.page_lock_anon_vma()
        if anon_vma is None:
            rcu_read_unlock()
            return
        atomic_inc(anon_vma.external_refcount)
        self.anon_vma_unlock(anon_vma)
        rcu_read_unlock()
        rcu_read_lock()
        self.try_to_unmap()
        rcu_read_unlock()
        self.move_and_remap()
        self.drop_anon_vma(anon_vma)


VARIANTS = {"BEFORE": Before, "SEED_V2": SeedV2, "MAINLINE": Mainline, "FIXED": Fixed}
