"""Lists, trees and page tables of the direct machine: linked, sorted and hashed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rmaplab.machine.context import RUNNING
from rmaplab.machine.faults import KernelStateError
from rmaplab.machine.handles import (
    ListEntry,
    ListHead,
    PageTable,
    PtePointer,
    RbLink,
    Tree,
)
from rmaplab.machine.rbtree import RbPlace, RbRoot
from rmaplab.machine.struct import Field


class DirectListEntry(ListEntry):
    """A place on a doubly linked list."""

    __slots__ = ("field", "owner", "predecessor", "successor")

    def __init__(self, owner: Any, field: str, declared: Field) -> None:
        self.owner = owner
        self.field = field
        self.successor: Any = None
        self.predecessor: Any = None

    def linked(self) -> bool:
        """Whether it is on a list."""
        return self.successor is not None

    def delete(self) -> None:
        """Unlink; complain as CONFIG_DEBUG_LIST does."""
        if self.successor is None:
            message = f"list_del corruption: {self.field} of {self.owner.label} is on no list"
            raise KernelStateError("bug-on", message, self.owner, self.field)
        self.predecessor.successor = self.successor
        self.successor.predecessor = self.predecessor
        self.successor = self.predecessor = None

    def next(self) -> Any:
        """The struct after this one."""
        successor = self.successor
        return successor.owner if isinstance(successor, DirectListEntry) else None


class DirectListHead(ListHead):
    """The head of a doubly linked list."""

    __slots__ = ("field", "owner", "predecessor", "successor")

    def __init__(self, owner: Any, field: str, declared: Field) -> None:
        self.owner = owner
        self.field = field
        self.successor: Any = self
        self.predecessor: Any = self

    def initialise(self) -> None:
        """Make it empty."""
        self.successor = self.predecessor = self

    def insert(self, entry: ListEntry, at_tail: bool) -> None:
        """Link in at an end."""
        self._link(entry, self.predecessor if at_tail else self)

    def insert_beside(self, entry: ListEntry, beside: ListEntry, after: bool) -> None:
        """Link in beside another."""
        assert isinstance(beside, DirectListEntry)
        self._link(entry, beside if after else beside.predecessor)

    def _link(self, entry: ListEntry, predecessor: Any) -> None:
        assert isinstance(entry, DirectListEntry)
        if entry.successor is not None:
            message = f"list_add corruption: {entry.field} of {entry.owner.label} is on a list"
            raise KernelStateError("bug-on", message, entry.owner, entry.field)
        successor = predecessor.successor
        entry.predecessor, entry.successor = predecessor, successor
        predecessor.successor = successor.predecessor = entry

    def is_empty(self) -> bool:
        """Whether nothing is on it."""
        return self.successor is self

    def is_singular(self) -> bool:
        """Whether one thing is on it."""
        return self.successor is not self and self.successor is self.predecessor

    def first(self) -> Any:
        """The first struct."""
        return None if self.successor is self else self.successor.owner

    def last(self) -> Any:
        """The last struct."""
        return None if self.successor is self else self.predecessor.owner

    def walk(self, backwards: bool) -> Iterator[Any]:
        """The structs, from an end."""
        entry = self.predecessor if backwards else self.successor
        while entry is not self:
            following = entry.predecessor if backwards else entry.successor
            yield entry.owner
            entry = following


class DirectTree(Tree):
    """A sorted list of structs."""

    __slots__ = ("_items", "owner")

    def __init__(self, owner: Any, field: str, declared: Field) -> None:
        self.owner = owner
        self._items: list[Any] = []

    def root(self) -> RbLink:
        """Where a descent begins."""
        return RbLink(self._items, 0, len(self._items))

    def insert(self, item: Any, link: RbLink) -> None:
        """Put an item at an empty place."""
        self._items.insert(link.lo, item)

    def erase(self, item: Any) -> None:
        """Take an item out."""
        del self._items[self._place(item)]

    def replace(self, victim: Any, new: Any) -> None:
        """Put an item in the place of another."""
        self._items[self._place(victim)] = new

    def _place(self, item: Any) -> int:
        for place, other in enumerate(self._items):
            if other is item:
                return place
        raise KernelStateError("bug-on", "rb_erase of an item that is not in the tree", item)

    def reset(self) -> None:
        """Forget all items."""
        self._items = []

    def items(self) -> tuple[Any, ...]:
        """All items in order."""
        return tuple(self._items)

    def is_empty(self) -> bool:
        """Whether nothing is in it."""
        return not self._items


class DirectRbTree(Tree):
    """A red-black tree of structs."""

    __slots__ = ("_root", "owner")

    def __init__(self, owner: Any, field: str, declared: Field) -> None:
        self.owner = owner
        self._root = RbRoot()

    def root(self) -> Any:
        """Where a descent begins."""
        return RbPlace(self._root.node)

    def insert(self, item: Any, link: Any) -> None:
        """Put an item at an empty place."""
        self._root.insert(item, link.path)

    def erase(self, item: Any) -> None:
        """Take an item out."""
        self._root.erase(item)

    def replace(self, victim: Any, new: Any) -> None:
        """Put an item in the place of another."""
        self._root.find(victim).item = new

    def reset(self) -> None:
        """Forget all items."""
        self._root = RbRoot()

    def items(self) -> tuple[Any, ...]:
        """All items in order."""
        return tuple(node.item for node in self._root.nodes())


class DirectPte(PtePointer):
    """An entry of a hashed page table: the pointer to it is the entry's own place."""

    __slots__ = ("entry",)

    def __init__(self) -> None:
        self.entry: Any = None

    def read(self) -> Any:
        """The entry."""
        return self.entry

    def write(self, entry: Any) -> None:
        """Set it."""
        self.entry = entry

    def exchange(self, entry: Any) -> Any:
        """Set it and return the old one."""
        old = self.entry
        self.entry = entry
        return old

    def wait_while(self, entry: Any) -> None:
        """Nobody else can change it."""
        if self.entry == entry:
            raise KernelStateError("deadlock", "a fault is retried for ever")


def _touched(*_: Any) -> Any:
    raise KernelStateError("use-after-free", "access to an entry of a freed page table")


#: What a pointer into a page table that was freed points to.
FreedPte: Any = type(
    "FreedPte", (DirectPte,), {"__slots__": (), "entry": property(_touched, _touched)}
)


class DirectPageTable(PageTable):
    """Page tables as one dictionary: address to entry."""

    __slots__ = ("_entries", "owner")

    def __init__(self, owner: Any, field: str, declared: Field) -> None:
        self.owner = owner
        self._entries: dict[int, DirectPte] = {}

    def allocate(self, address: int) -> PtePointer | None:
        """The entry, its table allocated if missing."""
        found = self._entries.get(address)
        if found is None:
            RUNNING.context.might_sleep("pte_alloc")
            if RUNNING.context.should_fail():
                return None
            found = self._entries[address] = DirectPte()
        return found

    def find(self, address: int) -> PtePointer | None:
        """The entry, if there is a table."""
        return self._entries.get(address)

    def addresses(self, start: int, end: int) -> tuple[int, ...]:
        """The addresses with tables."""
        if (end - start) >> 12 <= len(self._entries):
            return tuple(a for a in range(start, end, 4096) if a in self._entries)
        return tuple(sorted(a for a in self._entries if start <= a < end))

    def release(self, start: int, end: int) -> None:
        """Free the tables."""
        for address in self.addresses(start, end):
            freed = self._entries.pop(address)
            if freed.entry is not None:
                raise KernelStateError("bug-on", "page table freed with an entry in it")
            freed.__class__ = FreedPte
