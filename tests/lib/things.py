"""A struct with a field of each kind."""

from __future__ import annotations

from typing import Any

from rmaplab.machine import (
    Atomic,
    BitLock,
    ListEntry,
    ListHead,
    Mutex,
    PageTable,
    RwSem,
    SpinLock,
    Struct,
    Tree,
    bitlock,
    list_entry,
    list_head,
    mutex,
    page_table,
    pointer,
    rb_tree,
    refcount,
    rwsem,
    spinlock,
    tree,
    value,
)


class Thing(Struct):
    lock: SpinLock = spinlock()
    mutex: Mutex = mutex()
    bit: BitLock = bitlock()
    sem: RwSem = rwsem()
    count: Atomic = refcount()
    number: int = value(0)
    other: Any = pointer()
    head: ListHead = list_head()
    entry: ListEntry = list_entry()
    items: Tree = tree()
    shaped: Tree = rb_tree()
    tables: PageTable = page_table()
