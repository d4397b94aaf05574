"""From v2.6.39 to v3.0: the lock of a family becomes a mutex, so that its holder may sleep.

Left out: huge pages, and the batches of pages that unmapping may now sleep between.
"""

from __future__ import annotations

from typing import Any, ClassVar

from rmaplab.history.v2_6_39 import AnonVmaCounted
from rmaplab.history.v2_6_39_pages import Commit198214a7ee50
from rmaplab.kernel.migrate import AnonVmaUse
from rmaplab.kernel.mm_types import ENOMEM, PAGE_MAPPING_ANON
from rmaplab.kernel.mmap_merge import Adjustment
from rmaplab.kernel.rmap import mapping_flags
from rmaplab.machine import (
    READ_ONCE,
    Mutex,
    Struct,
    atomic_compare,
    atomic_dec_and_test,
    atomic_inc_not_zero,
    kmem_cache_alloc_nowait,
    list_add,
    list_add_tail,
    list_del,
    list_empty,
    list_for_each_entry,
    list_for_each_entry_reverse,
    list_is_singular,
    mutex,
    mutex_is_locked,
    mutex_lock,
    mutex_trylock,
    mutex_unlock,
    rcu_pointer_handoff,
    rcu_read_lock,
    rcu_read_unlock,
    removed,
)


class AnonVmaWithMutex(AnonVmaCounted):
    """struct anon_vma with a lock that sleeps."""

    lock: Any = removed()
    mutex: Mutex = mutex()


class Commit965f55dea0e3(Commit198214a7ee50):
    """965f55dea0e3 "mmap: avoid merging cloned VMAs".

    2011-05-25, v3.0. So that not even a VMA without pages takes on the long chain of a fork.
    """

    def is_mergeable_anon_vma(self, anon_vma1: Any, anon_vma2: Any, vma: Any) -> bool:
        """What is missing may only be had from a VMA that was never forked."""
        if (anon_vma1 is None or anon_vma2 is None) and (
            vma is None or list_is_singular(vma.anon_vma_chain)
        ):
            return True
        return bool(anon_vma1 == anon_vma2)

    def vma_adjust_lock(
        self, vma: Any, next: Any, insert: Any, start: int, adjustment: Adjustment
    ) -> Any:
        """A VMA to insert is no reason to lock ("mmap: avoid unnecessary anon_vma lock")."""
        return super().vma_adjust_lock(vma, next, None, start, adjustment)


class Commit746b18d421da(Commit965f55dea0e3):
    """746b18d421da "mm: use refcounts for page_lock_anon_vma()".

    2011-05-25, v3.0. A reference keeps the anon_vma, so that RCU need not be held while its lock
    is waited for.
    """

    def mapped_anon_vma(self, page: Any) -> Any:
        """New: what page->mapping says under RCU, if the page is mapped. It may be free by now.

        In the kernel these lines stand twice: here and, since 88c22088bf23, in page_lock_anon_vma.
        """
        mapping = READ_ONCE(page, "mapping")
        if mapping_flags(mapping) != PAGE_MAPPING_ANON or not self.page_mapped(page):
            return None
        return mapping[1]

    def take_anon_vma(self, page: Any, anon_vma: Any) -> Any:
        """New: hold an anon_vma that RCU keeps, and leave RCU; None if it is not the page's.

        If the page is still mapped, it was not freed meanwhile. (These lines stand twice, too.)
        """
        anon_vma = self.hold_unless_free(anon_vma)
        if anon_vma is not None and not self.page_mapped(page):
            self.put_anon_vma(anon_vma)
            anon_vma = None
        rcu_read_unlock()
        return anon_vma

    def hold_unless_free(self, anon_vma: Any) -> Any:
        """New: hold the anon_vma, whosesoever it is by now, in this memory; None if it is free."""
        if not atomic_inc_not_zero(anon_vma.refcount):
            return None
        return rcu_pointer_handoff(anon_vma)

    def page_get_anon_vma(self, page: Any) -> Any:
        """New: hold the anon_vma of a page, if it is mapped."""
        rcu_read_lock()
        anon_vma = self.mapped_anon_vma(page)
        if anon_vma is None:
            rcu_read_unlock()
            return None
        return self.take_anon_vma(page, anon_vma)

    def page_lock_anon_vma(self, page: Any) -> Any:
        """Hold it, and only then lock it."""
        anon_vma = self.page_get_anon_vma(page)
        if anon_vma is not None:
            self.anon_vma_lock(anon_vma)
        return anon_vma

    def page_unlock_anon_vma(self, anon_vma: Any) -> None:
        """The reference is put."""
        self.anon_vma_unlock(anon_vma)
        self.put_anon_vma(anon_vma)

    def use_anon_vma(self, page: Any, use: AnonVmaUse) -> bool:
        """Migration asks for the reference, without the lock."""
        if self.PageAnon(page):
            use.anon_vma = self.page_get_anon_vma(page)
            if use.anon_vma is None:
                if not self.PageSwapCache(page):
                    return False
                use.remap_swapcache = False
        return True


class Commit2b575eb64f7a(Commit746b18d421da):
    """2b575eb64f7a "mm: convert anon_vma->lock to a mutex".

    2011-05-25, v3.0.
    """

    AnonVma: ClassVar[type[Struct]] = AnonVmaWithMutex

    def root_lock(self, root: Any) -> None:
        """New: lock a family. (In the kernel a line of each caller; so are the next three.)"""
        mutex_lock(root.mutex)

    def root_trylock(self, root: Any) -> bool:
        """New: lock a family if it is not locked."""
        return mutex_trylock(root.mutex)

    def root_unlock(self, root: Any) -> None:
        """New: unlock a family."""
        mutex_unlock(root.mutex)

    def root_is_locked(self, root: Any) -> bool:
        """New: whether anybody has locked a family."""
        return mutex_is_locked(root.mutex)

    def anon_vma_lock(self, anon_vma: Any) -> None:
        """By the mutex of its root."""
        self.root_lock(anon_vma.root)

    def anon_vma_unlock(self, anon_vma: Any) -> None:
        """By the mutex of its root."""
        self.root_unlock(anon_vma.root)


class Commit88c22088bf23(Commit2b575eb64f7a):
    """88c22088bf23 "mm: optimize page_lock_anon_vma() fast-path".

    2011-05-25, v3.0. A lock that is free is taken without a reference: an anon_vma is not freed
    while its root is locked.
    """

    def anon_vma_free(self, anon_vma: Any) -> None:
        """Wait until who has locked the root has unlocked it: he may have come without a reference.

        The lock is that of the root, which __put_anon_vma has let go: bug until 624483f3ea82 "mm:
        rmap: fix use-after-free in __put_anon_vma", v3.16.
        """
        self.anon_vma_flush(anon_vma)
        super().anon_vma_free(anon_vma)

    def anon_vma_flush(self, anon_vma: Any) -> None:
        """New: take the lock and release it, if it is taken."""
        if self.root_is_locked(anon_vma.root):
            self.anon_vma_lock(anon_vma)
            self.anon_vma_unlock(anon_vma)

    def page_lock_anon_vma(self, page: Any) -> Any:
        """At once if the root is not locked; else with a reference while it sleeps."""
        rcu_read_lock()
        anon_vma = self.mapped_anon_vma(page)
        if anon_vma is None:
            rcu_read_unlock()
            return None
        done, anon_vma = self.page_trylock_anon_vma(page, anon_vma)
        if done:
            rcu_read_unlock()
            return anon_vma
        anon_vma = self.take_anon_vma(page, anon_vma)
        return None if anon_vma is None else self.page_lock_held_anon_vma(anon_vma)

    # The two functions below are the fast and the end of the slow path of page_lock_anon_vma.

    def page_trylock_anon_vma(self, page: Any, anon_vma: Any) -> tuple[bool, Any]:
        """New: whether the root could be locked, and then the anon_vma, or None if it is free.

        An anon_vma that was freed and used again meanwhile passes; if the root is another then, it
        is another that is unlocked: bug until eee0f252c653.
        """
        if not self.root_trylock(anon_vma.root):
            return False, anon_vma
        if atomic_compare(anon_vma.refcount, "!=", 0):
            return True, rcu_pointer_handoff(anon_vma)
        self.anon_vma_unlock(anon_vma)
        return True, None

    def page_lock_held_anon_vma(self, anon_vma: Any) -> Any:
        """New: lock an anon_vma and put its reference; if that was the last, free it: None."""
        self.anon_vma_lock_read(anon_vma)
        if atomic_dec_and_test(anon_vma.refcount):
            self.anon_vma_unlock_read(anon_vma)
            self._put_anon_vma(anon_vma)
            return None
        return anon_vma

    def page_unlock_anon_vma(self, anon_vma: Any) -> None:
        """No reference is left to put. The root may be what the last owner of the memory left."""
        self.root_unlock(rcu_pointer_handoff(anon_vma.root))


class Commiteee0f252c653(Commit88c22088bf23):
    """eee0f252c653 "mm: fix page_lock_anon_vma leaving mutex locked".

    2011-05-28, v3.0. What f18194275c39 "mm: fix hang on anon_vma->root->lock", v2.6.36, did for
    the spinlock.
    """

    def page_trylock_anon_vma(self, page: Any, anon_vma: Any) -> tuple[bool, Any]:
        """The root is read once; under its lock the page must still be mapped."""
        root_anon_vma = READ_ONCE(anon_vma, "root")
        if not self.root_trylock(root_anon_vma):
            return False, anon_vma
        if self.page_mapped(page):
            return True, anon_vma
        self.root_unlock(root_anon_vma)
        return True, None

    def page_unlock_anon_vma(self, anon_vma: Any) -> None:
        """The page is mapped, and so the root is its own."""
        self.anon_vma_unlock_read(anon_vma)


class Commit2b472611a32a(Commiteee0f252c653):
    """2b472611a32a "ksm: fix NULL pointer dereference in scan_get_next_rmap_item()".

    2011-06-15, v3.0. The last mm may leave between the question whether the list is empty and
    the lock.
    """

    def start_pass(self) -> Any:
        """There is nothing to do where the list has become empty."""
        slot = super().start_pass()
        return None if slot == self.ksm_mm_head else slot


class Commitbb4aa39676f7(Commit2b472611a32a):
    """bb4aa39676f7 "mm: avoid repeated anon_vma lock/unlock sequences in anon_vma_clone()".

    2011-06-17, v3.0. All anon_vmas of a chain have one root: it is locked once.
    """

    def lock_anon_vma_root(self, root: Any, anon_vma: Any) -> Any:
        """New: have the root of an anon_vma locked, if `root` is what is locked; and return it."""
        new_root = anon_vma.root
        if new_root != root:
            if root is not None:
                self.root_unlock(root)  # unreached: a chain is of one family
            self.root_lock(new_root)
        return new_root

    def unlock_anon_vma_root(self, root: Any) -> None:
        """New: unlock the root that is locked, if any."""
        if root is not None:
            self.root_unlock(root)

    def anon_vma_chain_link(self, vma: Any, avc: Any, anon_vma: Any) -> None:
        """Its callers have the lock."""
        avc.vma = vma
        avc.anon_vma = anon_vma
        list_add(avc.same_vma, vma.anon_vma_chain)
        list_add_tail(avc.same_anon_vma, anon_vma.head)

    def anon_vma_clone(self, dst: Any, src: Any) -> int:
        """One lock for all. The kernel allocates under it: see dd34739c03f2."""
        root = None
        for pavc in list_for_each_entry_reverse(src.anon_vma_chain):
            root, avc = self.anon_vma_clone_alloc(root)
            if avc is None:
                self.unlink_anon_vmas(dst)
                return -ENOMEM
            anon_vma = pavc.anon_vma
            root = self.lock_anon_vma_root(root, anon_vma)
            self.anon_vma_chain_link(dst, avc, anon_vma)
        self.unlock_anon_vma_root(root)
        return 0

    # Cut out of anon_vma_clone for dd34739c03f2.

    def anon_vma_clone_alloc(self, root: Any) -> tuple[Any, Any]:
        """New: a chain entry or None, and what is locked then: nothing, without memory."""
        avc = self.anon_vma_chain_alloc()
        if avc is None:
            self.unlock_anon_vma_root(root)
            root = None
        return root, avc

    def anon_vma_fork_link(self, vma: Any, pvma: Any, avc: Any, anon_vma: Any) -> None:
        """The lock is taken here."""
        anon_vma.root = pvma.anon_vma.root
        self.get_anon_vma(anon_vma.root)
        vma.anon_vma = anon_vma
        self.anon_vma_lock(anon_vma)
        self.anon_vma_chain_link(vma, avc, anon_vma)
        self.anon_vma_unlock(anon_vma)


class Commiteee2acbae959(Commitbb4aa39676f7):
    """eee2acbae959 "mm: avoid repeated anon_vma lock/unlock sequences in unlink_anon_vmas()".

    2011-06-17, v3.0. anon_vma_unlink is gone.
    """

    def unlink_anon_vmas(self, vma: Any) -> None:
        """Twice over the chain: under one lock, then to put what is empty, which takes locks."""
        self.unlink_anon_vmas_locked(vma)
        self.put_empty_anon_vmas(vma)

    # The two loops of unlink_anon_vmas.

    def unlink_anon_vmas_locked(self, vma: Any) -> None:
        """New: take a VMA off all lists; the entries of anon_vmas that are empty then stay."""
        root = None
        for avc in list_for_each_entry(vma.anon_vma_chain):
            anon_vma = avc.anon_vma
            root = self.lock_anon_vma_root(root, anon_vma)
            list_del(avc.same_anon_vma)
            if list_empty(anon_vma.head):
                continue
            list_del(avc.same_vma)
            self.anon_vma_chain_free(avc)
        self.unlock_anon_vma_root(root)

    def put_empty_anon_vmas(self, vma: Any) -> None:
        """New: put the anon_vmas that the VMA was the last of."""
        for avc in list_for_each_entry(vma.anon_vma_chain):
            self.put_empty_anon_vma(avc.anon_vma)
            list_del(avc.same_vma)
            self.anon_vma_chain_free(avc)

    # A line of the second loop, cut out for 7a3ef208e662 "mm: prevent endless growth of anon_vma
    # hierarchy", v3.19.

    def put_empty_anon_vma(self, anon_vma: Any) -> None:
        """New: put an anon_vma that has no VMA."""
        self.put_anon_vma(anon_vma)


class Commitdd34739c03f2(Commiteee2acbae959):
    """dd34739c03f2 "mm: avoid anon_vma_chain allocation under anon_vma lock".

    2011-06-17, v3.0. Reclaim, which an allocation may come to, takes that lock. (There is no such
    reclaim here, so that what was wrong does not show.)
    """

    def anon_vma_clone_alloc(self, root: Any) -> tuple[Any, Any]:
        """Without sleeping under the lock; if that fails, without the lock."""
        avc = kmem_cache_alloc_nowait(self.anon_vma_chain_cachep)
        if avc is None:
            self.unlock_anon_vma_root(root)
            root = None
            avc = self.anon_vma_chain_alloc()
        return root, avc
