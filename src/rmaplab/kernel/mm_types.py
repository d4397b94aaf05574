"""include/linux/mm_types.h and the flags of include/linux/mm.h: the structs everyone shares."""

from __future__ import annotations

from typing import Any

from rmaplab.machine import (
    Atomic,
    BitLock,
    ListEntry,
    ListHead,
    PageTable,
    RwSem,
    SpinLock,
    Struct,
    Tree,
    bitlock,
    list_entry,
    list_head,
    page_table,
    pointer,
    refcount,
    rwsem,
    spinlock,
    tree,
    value,
)

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT
PAGE_MASK = ~(PAGE_SIZE - 1)
TASK_SIZE = 1 << 47
#: Where the heap begins. execve sets it after the program's data; programs here have none.
START_BRK = 0x10000000

VM_READ = 0x1
VM_WRITE = 0x2
VM_EXEC = 0x4
VM_SHARED = 0x8
VM_MAYSHARE = 0x80
VM_GROWSDOWN = 0x100
VM_GROWSUP = 0x200  # of no VMA on x86
VM_PFNMAP = 0x400
VM_LOCKED = 0x2000
VM_IO = 0x4000
VM_SEQ_READ = 0x8000
VM_RAND_READ = 0x10000
VM_DONTCOPY = 0x20000
VM_DONTEXPAND = 0x40000
VM_RESERVED = 0x80000
VM_HUGETLB = 0x400000
VM_NONLINEAR = 0x800000
VM_INSERTPAGE = 0x2000000
VM_MIXEDMAP = 0x10000000
VM_MERGEABLE = 0x80000000
#: A stack that exec has not moved to its place yet. No advice gives both.
VM_STACK_INCOMPLETE_SETUP = VM_RAND_READ | VM_SEQ_READ
VM_SPECIAL = VM_IO | VM_DONTEXPAND | VM_RESERVED | VM_PFNMAP

MMF_VM_MERGEABLE = 16

ENOMEM = 12
EAGAIN = 11
EFAULT = 14
EBUSY = 16
EINVAL = 22

#: The tags that the kernel keeps in the low bits of page->mapping.
PAGE_MAPPING_ANON = 1
PAGE_MAPPING_KSM = 2


class Page(Struct):
    """struct page. `mapping` is (tags, pointer) instead of a pointer with tags in its low bits."""

    locked: BitLock = bitlock()  # PG_locked
    _count: Atomic = refcount()
    _mapcount: Atomic = refcount(-1, least=-1)
    #: None, or (PAGE_MAPPING_* tags, anon_vma | stable_node | None).
    mapping: Any = pointer(marked="looked at before any lock of it is taken")
    index: int = value(0)
    swapbacked: bool = value(False, marked="PG_swapbacked is set and cleared by atomic operations")
    dirty: bool = value(False, marked="PG_dirty is set and cleared by atomic bit operations")
    mlocked: bool = value(False, marked="PG_mlocked is set and cleared by atomic bit operations")
    writeback: BitLock = bitlock()  # PG_writeback
    swapcache: bool = value(False, marked="PG_swapcache is set and cleared by atomic operations")
    private: Any = pointer()  # the SwapEntry of a page in the swap cache
    #: What the page holds: a value of rmaplab.kernel.contents.
    contents: Any = value(None, marked="written by users while ksmd looks at it")


class VmAreaStruct(Struct):
    """struct vm_area_struct, addresses in bytes."""

    vm_mm: Any = pointer()
    vm_start: int = value(0)
    vm_end: int = value(0, marked="changed without the anon_vma lock where nothing else changes")
    vm_next: Any = pointer()
    vm_flags: int = value(0, marked="tested by walks of the reverse map, without mmap_sem")
    anon_vma_chain: ListHead = list_head()  # newest first; mmap_sem and page_table_lock
    anon_vma: Any = pointer(marked="tested without page_table_lock before it is set once")
    vm_pgoff: int = value(0)
    vm_file: Any = pointer()  # a name, for a file mapping; such a VMA has no pages here


class MmStruct(Struct):
    """struct mm_struct."""

    mmap: Any = pointer()  # the first VMA
    mm_rb: Tree = tree()
    pgd: PageTable = page_table()
    mm_users: Atomic = refcount(1)
    mm_count: Atomic = refcount(1)
    map_count: int = value(0)
    mmap_sem: RwSem = rwsem()
    page_table_lock: SpinLock = spinlock()  # also the lock of every page table: 2 CPUs only
    locked_vm: int = value(0)
    start_brk: int = value(START_BRK)
    brk: int = value(START_BRK)
    flags: int = value(0, marked="set and cleared by atomic bit operations")
    mmlist: ListEntry = list_entry()  # on swapoff's list
