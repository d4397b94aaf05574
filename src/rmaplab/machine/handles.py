"""What kernel code holds when it names an embedded field: one class a kind, per machine overridden.

Each method is one step of the machine; blocking ones return when the lock is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class SpinLock:
    """A spinlock_t."""

    __slots__ = ()

    def acquire(self) -> None:
        """Take the lock, spinning while another CPU holds it."""
        raise NotImplementedError

    def try_acquire(self) -> bool:
        """Take the lock if it is free."""
        raise NotImplementedError

    def release(self) -> None:
        """Release the lock; its holder does."""
        raise NotImplementedError

    def is_locked(self) -> bool:
        """Whether anybody holds it."""
        raise NotImplementedError


class Mutex(SpinLock):
    """A struct mutex: a lock that sleeps."""

    __slots__ = ()


class BitLock(SpinLock):
    """A lock in a bit of a flags word: sleeps, and anyone may release it."""

    __slots__ = ()

    def wait(self) -> None:
        """Sleep until it is free, without taking it."""
        raise NotImplementedError


class RwSem:
    """A struct rw_semaphore."""

    __slots__ = ()

    def acquire_read(self) -> None:
        """down_read."""
        raise NotImplementedError

    def try_acquire_read(self) -> bool:
        """down_read_trylock."""
        raise NotImplementedError

    def release_read(self) -> None:
        """up_read."""
        raise NotImplementedError

    def acquire_write(self) -> None:
        """down_write."""
        raise NotImplementedError

    def try_acquire_write(self) -> bool:
        """down_write_trylock."""
        raise NotImplementedError

    def release_write(self) -> None:
        """up_write."""
        raise NotImplementedError

    def is_locked(self) -> bool:
        """Whether anybody holds it in any mode."""
        raise NotImplementedError


class Atomic:
    """An atomic_t."""

    __slots__ = ()

    def read(self) -> int:
        """The value."""
        raise NotImplementedError

    def compare(self, relation: str, other: int) -> bool:
        """Whether the value stands in `relation` to `other`: an atomic_read that tells no more."""
        raise NotImplementedError

    def set(self, value: int) -> None:
        """Store a value."""
        raise NotImplementedError

    def add(self, amount: int) -> None:
        """Add, telling nothing."""
        raise NotImplementedError

    def add_and_compare(self, amount: int, relation: str, other: int) -> bool:
        """Add, and say whether the new value stands in `relation` to `other`."""
        raise NotImplementedError

    def add_unless(self, amount: int, unless: int) -> bool:
        """Add unless the value is `unless`; whether it added."""
        raise NotImplementedError

    def exchange_if(self, old: int, new: int) -> bool:
        """Store `new` if the value is `old`; whether it was."""
        raise NotImplementedError


class ListEntry:
    """A place on a list; `container` is the struct it is embedded in."""

    __slots__ = ()

    def linked(self) -> bool:
        """Whether it is on a list."""
        raise NotImplementedError

    def delete(self) -> None:
        """Take it off its list."""
        raise NotImplementedError

    def next(self) -> Any:
        """The struct after this one on its list; None after the last."""
        raise NotImplementedError


class ListHead:
    """The head of a list of structs."""

    __slots__ = ()

    def initialise(self) -> None:
        """INIT_LIST_HEAD."""
        raise NotImplementedError

    def insert(self, entry: ListEntry, at_tail: bool) -> None:
        """Add at the head, or at the tail."""
        raise NotImplementedError

    def insert_beside(self, entry: ListEntry, beside: ListEntry, after: bool) -> None:
        """Add just after, or just before, an entry that is on this list."""
        raise NotImplementedError

    def is_empty(self) -> bool:
        """Whether nothing is on the list."""
        raise NotImplementedError

    def is_singular(self) -> bool:
        """Whether exactly one struct is on the list."""
        raise NotImplementedError

    def first(self) -> Any:
        """The first struct, None if empty."""
        raise NotImplementedError

    def last(self) -> Any:
        """The last struct, None if empty."""
        raise NotImplementedError

    def walk(self, backwards: bool) -> Iterator[Any]:
        """The structs in order. The one just visited may be taken off while walking."""
        raise NotImplementedError


class RbLink:
    """A place in a search tree while descending: at an item, or (item None) where one may go.

    The tree is an ordered sequence searched by halves: `lo` to `hi` is what is left of it.
    """

    __slots__ = ("hi", "items", "lo")

    def __init__(self, items: Any, lo: int, hi: int) -> None:
        self.items = items
        self.lo = lo
        self.hi = hi

    @property
    def item(self) -> Any:
        """The item here, or None at an empty place."""
        return self.items[(self.lo + self.hi) // 2] if self.lo < self.hi else None

    @property
    def left(self) -> RbLink:
        """The place among the smaller ones."""
        return RbLink(self.items, self.lo, (self.lo + self.hi) // 2)

    @property
    def right(self) -> RbLink:
        """The place among the greater ones."""
        return RbLink(self.items, (self.lo + self.hi) // 2 + 1, self.hi)


class Tree:
    """A search tree of structs."""

    __slots__ = ()

    def root(self) -> RbLink:
        """Where a descent begins."""
        raise NotImplementedError

    def insert(self, item: Any, link: RbLink) -> None:
        """Put the item at an empty place that a descent reached."""
        raise NotImplementedError

    def erase(self, item: Any) -> None:
        """Take the item out."""
        raise NotImplementedError

    def replace(self, victim: Any, new: Any) -> None:
        """Put an item in the place of another."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forget all items without visiting them: assign RB_ROOT."""
        raise NotImplementedError

    def items(self) -> tuple[Any, ...]:
        """All items in order."""
        raise NotImplementedError

    def is_empty(self) -> bool:
        """Whether nothing is in it."""
        raise NotImplementedError


class PtePointer:
    """A pte_t *: one entry of a page table."""

    __slots__ = ()

    def read(self) -> Any:
        """The entry; None is pte_none."""
        raise NotImplementedError

    def write(self, entry: Any) -> None:
        """Set the entry."""
        raise NotImplementedError

    def exchange(self, entry: Any) -> Any:
        """Set the entry and return what it was, at once."""
        raise NotImplementedError

    def wait_while(self, entry: Any) -> None:
        """Wait until the entry is another: what a task that faults again and again does."""
        raise NotImplementedError


class PageTable:
    """The page tables of one address space."""

    __slots__ = ()

    def allocate(self, address: int) -> PtePointer | None:
        """The entry for the address, its table allocated if missing; None without memory."""
        raise NotImplementedError

    def find(self, address: int) -> PtePointer | None:
        """The entry for the address; None where there is no table."""
        raise NotImplementedError

    def addresses(self, start: int, end: int) -> tuple[int, ...]:
        """The addresses in start..end-1 that have tables, ascending."""
        raise NotImplementedError

    def release(self, start: int, end: int) -> None:
        """Free the tables of start..end-1; their entries must be empty."""
        raise NotImplementedError
