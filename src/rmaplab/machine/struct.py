"""Declarations of kernel structs: fields with their kinds, for every machine the same.

A struct lists its fields as class attributes; a machine makes its own concrete class from the list.
An embedded field (lock, count, list, tree, page table) gives a handle without an access,
as `&anon_vma->lock` does; a pointer or plain value is read and written by an access.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, cast

from rmaplab.machine.handles import (
    Atomic,
    BitLock,
    ListEntry,
    ListHead,
    Mutex,
    PageTable,
    RwSem,
    SpinLock,
    Tree,
)

T = TypeVar("T")


class Kind(enum.Enum):
    """What a field is to the machine."""

    VALUE = "value"
    SPINLOCK = "spinlock"
    RWSEM = "rwsem"
    MUTEX = "mutex"
    BITLOCK = "bitlock"
    ATOMIC = "atomic"
    LIST_HEAD = "list_head"
    LIST_ENTRY = "list_entry"
    TREE = "tree"
    RB_TREE = "rb_tree"
    PAGE_TABLE = "page_table"


@dataclass(frozen=True)
class Field:
    """One declared field.

    `marked` says why unlocked accesses are intended: they are no data race.
    `least` is the smallest legal value of a reference count (None: not a reference count).
    `hidden` fields are a checker's own bookkeeping: traces do not show them.
    """

    kind: Kind
    initial: Any = None
    marked: str = ""
    least: int | None = None
    hidden: bool = False


#: Marks a field that this version of a struct lost.
REMOVED: Any = object()


#: What the machines' own classes for objects and pointers have: no field can be called so.
RESERVED = frozenset({
    "cell", "fields", "generation", "label", "machine", "name", "parts", "read_once", "serial",
    "slab_index", "slot",
})  # fmt: skip


class StructMeta(type):
    """Collects the declared fields and leaves the class itself without storage."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> StructMeta:
        """The class without its declarations, which it has as `fields`."""
        own = {key: item for key, item in namespace.items() if isinstance(item, Field)}
        for key in RESERVED.intersection(own):
            raise TypeError(f"a field cannot be called `{key}`, in {name}: call it `{key}_`")
        gone = {key for key, item in namespace.items() if item is REMOVED}
        rest = {key: item for key, item in namespace.items() if key not in own and key not in gone}
        rest.setdefault("__slots__", ())
        cls = super().__new__(mcs, name, bases, rest)
        inherited: dict[str, Field] = {}
        for base in reversed(bases):
            inherited.update(getattr(base, "fields", {}))
        kept = {key: item for key, item in inherited.items() if key not in gone}
        cls.fields = {**kept, **own}  # type: ignore[attr-defined]
        return cls


class Struct(metaclass=StructMeta):
    """Base of every kernel struct."""

    fields: ClassVar[dict[str, Field]]


def removed() -> Any:
    """Declare that this version of the struct lost an inherited field."""
    return REMOVED


def pointer(marked: str = "") -> Any:
    """A pointer, NULL at first."""
    return Field(Kind.VALUE, None, marked)


def value(initial: T, marked: str = "", hidden: bool = False) -> T:
    """A plain value."""
    return cast(T, Field(Kind.VALUE, initial, marked, hidden=hidden))


def spinlock() -> SpinLock:
    """An embedded spinlock_t."""
    return cast(SpinLock, Field(Kind.SPINLOCK))


def rwsem() -> RwSem:
    """An embedded struct rw_semaphore."""
    return cast(RwSem, Field(Kind.RWSEM))


def mutex() -> Mutex:
    """An embedded struct mutex."""
    return cast(Mutex, Field(Kind.MUTEX))


def bitlock() -> BitLock:
    """A lock in one bit of a flags word, as PG_locked is."""
    return cast(BitLock, Field(Kind.BITLOCK))


def atomic(initial: int = 0) -> Atomic:
    """An embedded atomic_t."""
    return cast(Atomic, Field(Kind.ATOMIC, initial))


def refcount(initial: int = 0, least: int = 0) -> Atomic:
    """An atomic_t that counts references: below `least` it is a refcount-underflow."""
    return cast(Atomic, Field(Kind.ATOMIC, initial, least=least))


def list_head(marked: str = "") -> ListHead:
    """An embedded struct list_head (or hlist_head) that heads a list."""
    return cast(ListHead, Field(Kind.LIST_HEAD, marked=marked))


def list_entry() -> ListEntry:
    """An embedded struct list_head (or hlist_node) by which its struct is on a list."""
    return cast(ListEntry, Field(Kind.LIST_ENTRY))


def tree() -> Tree:
    """An embedded rb_root: a search tree of structs."""
    return cast(Tree, Field(Kind.TREE))


def rb_tree() -> Tree:
    """The same, of the very shape that the kernel's has: for whom it matters."""
    return cast(Tree, Field(Kind.RB_TREE))


def page_table() -> PageTable:
    """The page tables of an address space: entries by address."""
    return cast(PageTable, Field(Kind.PAGE_TABLE))
