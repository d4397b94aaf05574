"""The kinds of embedded fields of the traced machine, and what their cells hold at first."""

from __future__ import annotations

from typing import Any

from rmaplab.machine.struct import Field, Kind
from rmaplab.machine.traced_collections import (
    TracedListEntry,
    TracedListHead,
    TracedPageTable,
    TracedRbTree,
    TracedTree,
)
from rmaplab.machine.traced_locks import (
    TracedAtomic,
    TracedBitLock,
    TracedMutex,
    TracedRwSem,
    TracedSpinLock,
)

PARTS: dict[Kind, Any] = {
    Kind.SPINLOCK: TracedSpinLock,
    Kind.MUTEX: TracedMutex,
    Kind.BITLOCK: TracedBitLock,
    Kind.RWSEM: TracedRwSem,
    Kind.ATOMIC: TracedAtomic,
    Kind.LIST_HEAD: TracedListHead,
    Kind.LIST_ENTRY: TracedListEntry,
    Kind.TREE: TracedTree,
    Kind.RB_TREE: TracedRbTree,
    Kind.PAGE_TABLE: TracedPageTable,
}


def initial_value(declared: Field) -> Any:
    """What a cell of a field holds at first."""
    if declared.kind in (Kind.VALUE, Kind.ATOMIC):
        return declared.initial
    if declared.kind is Kind.RWSEM:
        return (None, ())
    if declared.kind in (Kind.LIST_HEAD, Kind.TREE, Kind.PAGE_TABLE):
        return ()
    return None
