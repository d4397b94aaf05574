"""include/linux/rmap.h: the structs and constants of the anonymous reverse map, as in 2.6.34."""

from __future__ import annotations

from typing import Any

from rmaplab.machine import (
    Atomic,
    ListEntry,
    ListHead,
    SpinLock,
    Struct,
    list_entry,
    list_head,
    pointer,
    refcount,
    spinlock,
    value,
)

# enum ttu_flags: what try_to_unmap is to do, and what it is to overlook.
TTU_UNMAP = 0
TTU_MIGRATION = 1
TTU_MUNLOCK = 2
TTU_ACTION_MASK = 0xFF
TTU_IGNORE_MLOCK = 1 << 8
TTU_IGNORE_ACCESS = 1 << 9
TTU_IGNORE_HWPOISON = 1 << 10

# What try_to_unmap and the functions below it return.
SWAP_SUCCESS = 0
SWAP_AGAIN = 1
SWAP_FAIL = 2
SWAP_MLOCK = 3


def TTU_ACTION(flags: int) -> int:
    """The action among the flags."""
    return flags & TTU_ACTION_MASK


class AnonVma(Struct):
    """struct anon_vma: the VMAs in which pages that belong to it may be mapped."""

    lock: SpinLock = spinlock()
    ksm_refcount: Atomic = refcount()  # used with CONFIG_KSM only
    head: ListHead = list_head()  # of AnonVmaChain.same_anon_vma, under the lock
    all_locked: bool = value(False, marked="kept by mm_all_locks_mutex")  # a low bit of head.next


class AnonVmaChain(Struct):
    """struct anon_vma_chain: one VMA is on the list of one anon_vma."""

    vma: Any = pointer()
    anon_vma: Any = pointer()
    same_vma: ListEntry = list_entry()  # mmap_sem and page_table_lock
    same_anon_vma: ListEntry = list_entry()  # anon_vma's lock
