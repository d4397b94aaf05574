"""The structs, caches and global variables of mm/ksm.c, and what include/linux/ksm.h has inline."""

from __future__ import annotations

from typing import Any, ClassVar

from rmaplab.kernel.base import KernelBase
from rmaplab.kernel.mm_types import MMF_VM_MERGEABLE, PAGE_MAPPING_ANON, PAGE_MAPPING_KSM
from rmaplab.machine import (
    READ_ONCE,
    Atomic,
    KmemCache,
    ListEntry,
    ListHead,
    Mutex,
    SpinLock,
    Struct,
    Tree,
    atomic,
    atomic_compare,
    atomic_dec,
    atomic_dec_and_lock,
    atomic_inc,
    kmem_cache_alloc,
    kmem_cache_free,
    list_add,
    list_add_after,
    list_add_before,
    list_add_tail,
    list_del,
    list_empty,
    list_entry,
    list_first_entry,
    list_for_each_entry,
    list_head,
    list_next_entry,
    mutex,
    pointer,
    spin_unlock,
    spinlock,
    tree,
    value,
)

#: Low bits of rmap_item.address: when it went into the unstable tree, and which tree has it.
SEQNR_MASK = 0x0FF
UNSTABLE_FLAG = 0x100
STABLE_FLAG = 0x200

KSM_RUN_STOP = 0
KSM_RUN_MERGE = 1
KSM_RUN_UNMERGE = 2

KSM_TAGS = PAGE_MAPPING_ANON | PAGE_MAPPING_KSM


class MmSlot(Struct):
    """struct mm_slot: what KSM keeps for an mm that it scans."""

    link: ListEntry = list_entry()  # on mm_slots_hash
    mm_list: ListEntry = list_entry()  # on the list of slots, in scanning order
    rmap_list: Any = pointer()  # the first rmap_item: singly linked, by address
    mm: Any = pointer()


class RmapItem(Struct):
    """struct rmap_item: a virtual page that KSM watches.

    In the kernel `node` shares its storage with `head` and `hlist`; here a tree needs no node.
    """

    rmap_list: Any = pointer()  # the next of the same mm
    anon_vma: Any = pointer()  # only while in the stable tree
    mm: Any = pointer()
    address: int = value(0)  # of the page, with SEQNR_MASK, UNSTABLE_FLAG, STABLE_FLAG
    oldchecksum: int = value(0)
    head: Any = pointer()  # the stable_node, while in the stable tree
    hlist: ListEntry = list_entry()  # on stable_node.hlist


class StableNode(Struct):
    """struct stable_node: a merged page in the stable tree."""

    hlist: ListHead = list_head()  # rmap_items that share the page, latest first; its page lock
    kpfn: int = value(0)


class KsmScan(Struct):
    """struct ksm_scan, the cursor.

    `rmap_list_prev` stands for the kernel's pointer to a pointer, `ksm_scan.rmap_list`: it is the
    rmap_item whose rmap_list is meant, or None for that of the mm_slot itself.
    """

    mm_slot: Any = pointer()
    address: int = value(0)
    rmap_list_prev: Any = pointer()
    seqnr: int = value(0, marked="full_scans is shown without a lock")


_SHOWN = "changed under ksm_thread_mutex, shown and tested without it"


class KsmGlobals(Struct):
    """The static variables of mm/ksm.c.

    The four counts are plain numbers in the kernel, changed only under ksm_thread_mutex: as
    atomics a change is one step that tells nothing.
    """

    root_stable_tree: Tree = tree()
    root_unstable_tree: Tree = tree()
    mm_slots_hash: ListHead = list_head()  # one bucket
    mm_list: ListHead = list_head(marked=_SHOWN)  # ksm_mm_head.mm_list
    ksm_pages_shared: Atomic = atomic()
    ksm_pages_sharing: Atomic = atomic()
    ksm_pages_unshared: Atomic = atomic()
    ksm_rmap_items: Atomic = atomic()
    ksm_thread_pages_to_scan: int = value(100, marked=_SHOWN)
    ksm_thread_sleep_millisecs: int = value(20, marked=_SHOWN)
    ksm_run: int = value(KSM_RUN_STOP, marked=_SHOWN)
    ksm_thread_mutex: Mutex = mutex()
    ksm_mmlist_lock: SpinLock = spinlock()


class KsmState(KernelBase):
    """What all parts of mm/ksm.c use. Without CONFIG_KSM none of it is there."""

    MmSlot: ClassVar[type[Struct]] = MmSlot
    RmapItem: ClassVar[type[Struct]] = RmapItem
    StableNode: ClassVar[type[Struct]] = StableNode
    KsmGlobals: ClassVar[type[Struct]] = KsmGlobals

    def boot(self) -> None:
        """ksm_slab_init, and the static variables."""
        super().boot()
        if not self.CONFIG_KSM:
            return
        create = self.machine.kmem_cache_create
        self.rmap_item_cache: KmemCache = create("rmap_item", self.RmapItem)
        self.stable_node_cache: KmemCache = create("stable_node", self.StableNode)
        self.mm_slot_cache: KmemCache = create("mm_slot", self.MmSlot)
        self.ksm: Any = self.machine.static(self.KsmGlobals, "ksm")
        self.ksm_mm_head: Any = self.machine.static(self.MmSlot, "ksm_mm_head")
        self.ksm_scan = self.machine.static(KsmScan, "ksm_scan")
        self.ksm_scan.mm_slot = self.ksm_mm_head

    # include/linux/ksm.h

    def PageKsm(self, page: Any) -> bool:
        """Whether a page is merged, or about to be: it points to a stable_node, or to none yet."""
        if not self.CONFIG_KSM:
            return False
        mapping = READ_ONCE(page, "mapping")
        return mapping is not None and mapping[0] == KSM_TAGS

    def page_stable_node(self, page: Any) -> Any:
        """The stable_node of a KSM page, None of any other."""
        if not self.CONFIG_KSM:
            return None
        mapping = READ_ONCE(page, "mapping")
        return mapping[1] if mapping is not None and mapping[0] == KSM_TAGS else None

    def set_page_stable_node(self, page: Any, stable_node: Any) -> None:
        """Make it a KSM page."""
        page.mapping = (KSM_TAGS, stable_node)

    # Objects

    def alloc_rmap_item(self) -> Any:
        """A zeroed rmap_item; None without memory."""
        rmap_item = kmem_cache_alloc(self.rmap_item_cache)
        if rmap_item is not None:
            atomic_inc(self.ksm.ksm_rmap_items)
        return rmap_item

    def free_rmap_item(self, rmap_item: Any) -> None:
        """Free an rmap_item that is in no tree."""
        atomic_dec(self.ksm.ksm_rmap_items)
        rmap_item.mm = None
        kmem_cache_free(self.rmap_item_cache, rmap_item)

    def alloc_stable_node(self) -> Any:
        """A stable_node; None without memory."""
        return kmem_cache_alloc(self.stable_node_cache)

    def free_stable_node(self, stable_node: Any) -> None:
        """Free a stable_node that is out of the tree."""
        kmem_cache_free(self.stable_node_cache, stable_node)

    def alloc_mm_slot(self) -> Any:
        """A zeroed mm_slot; None without memory."""
        return kmem_cache_alloc(self.mm_slot_cache)

    def free_mm_slot(self, mm_slot: Any) -> None:
        """Free an mm_slot that is on no list."""
        kmem_cache_free(self.mm_slot_cache, mm_slot)

    def get_mm_slot(self, mm: Any) -> Any:
        """The slot of an mm, if it has one."""
        for mm_slot in list_for_each_entry(self.ksm.mm_slots_hash):
            if mm_slot.mm == mm:
                return mm_slot
        return None

    def insert_to_mm_slots_hash(self, mm: Any, mm_slot: Any) -> None:
        """Let the slot be found by its mm."""
        mm_slot.mm = mm
        list_add(mm_slot.link, self.ksm.mm_slots_hash)

    # The cursor, where the kernel has ksm_mm_head as an ordinary member of the ring of slots

    def first_mm_slot(self) -> Any:
        """The slot that ksm_mm_head.mm_list.next is in: ksm_mm_head itself if there is none."""
        mm_slot = list_first_entry(self.ksm.mm_list)
        return self.ksm_mm_head if mm_slot is None else mm_slot

    def next_mm_slot(self, mm_slot: Any) -> Any:
        """The slot after this one, ksm_mm_head after the last."""
        following = list_next_entry(mm_slot.mm_list)
        return self.ksm_mm_head if following is None else following

    def add_before_cursor(self, mm_slot: Any) -> None:
        """list_add_tail(&mm_slot->mm_list, &ksm_scan.mm_slot->mm_list)."""
        cursor = self.ksm_scan.mm_slot
        if cursor == self.ksm_mm_head:
            list_add_tail(mm_slot.mm_list, self.ksm.mm_list)
        else:
            list_add_before(mm_slot.mm_list, self.ksm.mm_list, cursor.mm_list)

    def move_after_cursor(self, mm_slot: Any) -> None:
        """list_move(&mm_slot->mm_list, &ksm_scan.mm_slot->mm_list)."""
        list_del(mm_slot.mm_list)
        cursor = self.ksm_scan.mm_slot
        if cursor == self.ksm_mm_head:
            list_add(mm_slot.mm_list, self.ksm.mm_list)
        else:
            list_add_after(mm_slot.mm_list, self.ksm.mm_list, cursor.mm_list)

    def get_rmap_list(self, mm_slot: Any, rmap_list_prev: Any) -> Any:
        """*rmap_list: see KsmScan."""
        return mm_slot.rmap_list if rmap_list_prev is None else rmap_list_prev.rmap_list

    def set_rmap_list(self, mm_slot: Any, rmap_list_prev: Any, rmap_item: Any) -> None:
        """*rmap_list = rmap_item."""
        if rmap_list_prev is None:
            mm_slot.rmap_list = rmap_item
        else:
            rmap_list_prev.rmap_list = rmap_item

    # Tests and references

    def in_stable_tree(self, rmap_item: Any) -> bool:
        """Whether an rmap_item hangs on a stable_node."""
        return bool(rmap_item.address & STABLE_FLAG)

    def ksm_test_exit(self, mm: Any) -> bool:
        """Whether the mm has no users left: KSM then keeps off its page tables."""
        return atomic_compare(mm.mm_users, "==", 0)

    def hold_anon_vma(self, rmap_item: Any, anon_vma: Any) -> None:
        """Keep the anon_vma while the rmap_item is in the stable tree."""
        rmap_item.anon_vma = anon_vma
        atomic_inc(anon_vma.ksm_refcount)

    # 76545066c852 ("mm: extend KSM refcounts to the anon_vma root", 2.6.36): until then this is
    # drop_anon_vma(), a name which the commit takes for the count itself.
    def ksm_drop_anon_vma(self, rmap_item: Any) -> None:
        """Let go of the anon_vma, and free it if it has neither VMAs nor holders left."""
        anon_vma = rmap_item.anon_vma
        if atomic_dec_and_lock(anon_vma.ksm_refcount, anon_vma.lock):
            empty = list_empty(anon_vma.head)
            spin_unlock(anon_vma.lock)
            if empty:
                self.anon_vma_free(anon_vma)

    # MMF_VM_MERGEABLE is the only bit of mm->flags in use here: a read and a write do for the
    # kernel's atomic bit operations.

    def set_mm_mergeable(self, mm: Any) -> None:
        """set_bit(MMF_VM_MERGEABLE, &mm->flags)."""
        mm.flags |= 1 << MMF_VM_MERGEABLE

    def clear_mm_mergeable(self, mm: Any) -> None:
        """clear_bit(MMF_VM_MERGEABLE, &mm->flags)."""
        mm.flags &= ~(1 << MMF_VM_MERGEABLE)

    def test_mm_mergeable(self, mm: Any) -> bool:
        """test_bit(MMF_VM_MERGEABLE, &mm->flags)."""
        return bool(mm.flags & 1 << MMF_VM_MERGEABLE)
