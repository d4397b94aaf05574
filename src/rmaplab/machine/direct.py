"""The direct machine: fields are slots, a primitive does its work at once, one call at a time.

Use of a freed object costs nothing to detect: freeing changes the object's class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

from rmaplab.machine.context import RUNNING, Context
from rmaplab.machine.direct_collections import (
    DirectListEntry,
    DirectListHead,
    DirectPageTable,
    DirectRbTree,
    DirectTree,
)
from rmaplab.machine.direct_locks import (
    DirectAtomic,
    DirectBitLock,
    DirectMutex,
    DirectRwSem,
    DirectSpinLock,
)
from rmaplab.machine.faults import KernelStateError
from rmaplab.machine.machine import SLAB_STATIC, KmemCache, Machine
from rmaplab.machine.struct import Field, Kind, Struct

S = TypeVar("S", bound=Struct)

EMBEDDED: dict[Kind, Any] = {
    Kind.SPINLOCK: DirectSpinLock,
    Kind.MUTEX: DirectMutex,
    Kind.BITLOCK: DirectBitLock,
    Kind.RWSEM: DirectRwSem,
    Kind.ATOMIC: DirectAtomic,
    Kind.LIST_HEAD: DirectListHead,
    Kind.LIST_ENTRY: DirectListEntry,
    Kind.TREE: DirectTree,
    Kind.RB_TREE: DirectRbTree,
    Kind.PAGE_TABLE: DirectPageTable,
}


def _freed_property(name: str) -> property:
    def touched(item: Any, *_: Any) -> Any:
        kind = "use-after-free"
        message = f"access to {name} of a freed {type(item).label}"
        raise KernelStateError(kind, message, item, name)

    return property(touched, touched)


def _initialiser(fields: dict[str, Field], embedded: dict[Kind, Any]) -> Callable[[Any], None]:
    """What gives an object its first values; the kinds of fields are looked up here, once."""
    values = [(name, field.initial) for name, field in fields.items() if field.kind is Kind.VALUE]
    parts = [
        (name, embedded[field.kind], field)
        for name, field in fields.items()
        if field.kind is not Kind.VALUE
    ]

    def initialise(item: Any) -> None:
        for name, initial in values:
            setattr(item, name, initial)
        for name, kind, field in parts:
            setattr(item, name, kind(item, name, field))

    return initialise


def _concrete(struct: type[Struct], name: str) -> tuple[type[Any], type[Any]]:
    """The class of living objects, and that of freed ones with the same layout."""
    slots = (*struct.fields, "serial", "slab_index")
    body = {
        "__slots__": slots,
        "label": name,
        "read_once": lambda item, field: getattr(item, field),
    }
    living = type(struct.__name__, (struct,), body)
    dead = {field: _freed_property(field) for field in struct.fields}
    freed = type(f"Freed{struct.__name__}", (living,), {"__slots__": (), **dead})
    return cast("type[Any]", living), cast("type[Any]", freed)


class DirectCache(KmemCache):
    """A slab cache of the direct machine.

    An object of a cache with a constructor hands its fields on to the next life as they are,
    in a new Python object, so that an old pointer never becomes a pointer to the new owner.
    """

    def __init__(
        self,
        name: str,
        struct: type[Struct],
        flags: int,
        ctor: Callable[[Any], None] | None,
        embedded: dict[Kind, Any],
    ) -> None:
        self.name = name
        self.struct = struct
        self.flags = flags
        self.ctor = ctor
        self._living, self._freed = _concrete(struct, name)
        self._fields = struct.fields
        self._initialise = _initialiser(struct.fields, embedded)
        self._free: list[Any] = []
        self._slabs: list[Any] = []
        self._live: dict[int, Any] = {}
        self._serial = 0

    def alloc(self) -> Any:
        """An object: the last one freed, or a new one."""
        if RUNNING.context.should_fail():
            return None
        item = self._reuse(self._free.pop()) if self._free else self._new()
        self._live[item.slab_index] = item
        return item

    def _new(self) -> Any:
        item = self._living()
        item.slab_index = len(self._slabs)
        self._slabs.append(item)
        self._name(item)
        self._initialise(item)
        if self.ctor is not None:
            self.ctor(item)
        return item

    def _reuse(self, old: Any) -> Any:
        if self.flags & SLAB_STATIC:
            return old
        item = self._living()
        item.slab_index = old.slab_index
        self._name(item)
        self._slabs[item.slab_index] = item
        if self.ctor is None:
            self._initialise(item)
        else:
            self._inherit(item, old)
        return item

    def _inherit(self, item: Any, old: Any) -> None:
        old.__class__ = self._living
        for name, field in self._fields.items():
            part = getattr(old, name)
            if field.kind is not Kind.VALUE:
                part.owner = item
            setattr(item, name, part)
        old.__class__ = self._freed

    def _name(self, item: Any) -> None:
        self._serial += 1
        item.serial = self._serial

    def take(self, index: int) -> Any:
        """The object of that number if it is free."""
        item = self.at(index)
        if item in self._free:
            self._free.remove(item)
            self._live[index] = item
            return item
        return None

    def free(self, item: Any) -> None:
        """Give an object back."""
        number = item.slab_index
        if self._live.get(number) is not item:
            raise KernelStateError("double-free", f"a second free of {item.label}", item)
        del self._live[number]
        if not self.flags & SLAB_STATIC:
            item.__class__ = self._freed
        self._free.append(item)

    def index(self, item: Any) -> int:
        """The number of an object within the cache."""
        return cast(int, item.slab_index)

    def at(self, index: int) -> Any:
        """The object of that number."""
        if index >= len(self._slabs):  # all up to it are there, and free
            unused = [self._new() for _ in range(len(self._slabs), index + 1)]
            self._free[:0] = reversed(unused)
        return self._slabs[index]

    def live(self) -> tuple[Any, ...]:
        """The objects allocated now, by their numbers: so compaction goes from frame to frame."""
        return tuple(self._live[index] for index in sorted(self._live))

    def count(self) -> int:
        """How many objects are allocated now."""
        return len(self._live)


class DirectMachine(Machine):
    """Runs one system call at a time, as fast as plain Python allows."""

    goes_back = False

    def __init__(self, allow: frozenset[str] = frozenset()) -> None:
        self.allow = allow
        self.embedded = self.embedded_parts()
        self.caches: list[KmemCache] = []
        self._statics: list[Any] = []
        RUNNING.context = Context(self, 0, "boot")

    def embedded_parts(self) -> dict[Kind, Any]:
        """The class of each kind of embedded field."""
        return EMBEDDED

    def kmem_cache_create(
        self,
        name: str,
        struct: type[Struct],
        flags: int = 0,
        ctor: Callable[[Any], None] | None = None,
    ) -> KmemCache:
        """A new cache."""
        cache = DirectCache(name, struct, flags, ctor, self.embedded)
        self.caches.append(cache)
        return cache

    def static(self, struct: type[S], name: str) -> S:
        """A global variable of the kernel."""
        living, _ = _concrete(struct, name)
        item = living()
        item.serial = 0
        item.slab_index = 0
        _initialiser(struct.fields, self.embedded)(item)
        self._statics.append(item)
        return cast(S, item)

    def statics(self) -> tuple[Any, ...]:
        """The kernel's global variables."""
        return tuple(self._statics)

    def references(self, item: Any) -> Iterator[Any]:
        """What the fields of an object hold."""
        for name, field in item.fields.items():
            part = getattr(item, name)
            if field.kind is Kind.VALUE:
                yield part
            elif field.kind is Kind.LIST_HEAD:
                yield from part.walk(backwards=False)
            elif field.kind in (Kind.TREE, Kind.RB_TREE):
                yield from part.items()

    def rcu_read_lock(self, context: Context) -> None:
        """Nothing to do: nobody else runs."""

    def rcu_read_unlock(self, context: Context) -> None:
        """Nothing to do: nobody else runs."""

    def present(self, item: Any) -> Any:
        """Itself: nobody else can have freed it."""
        return item

    def name_of(self, item: Any) -> str:
        """`anon_vma#1`, numbered by allocation."""
        return f"{item.label}#{item.serial}" if item.serial else str(item.label)
