"""Lists, trees and page tables of the traced machine: each method is one action."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rmaplab.machine import rules
from rmaplab.machine.context import RUNNING
from rmaplab.machine.faults import KernelStateError
from rmaplab.machine.handles import ListEntry, ListHead, PageTable, PtePointer, RbLink, Tree
from rmaplab.machine.rbtree import RbPlace, RbRoot
from rmaplab.machine.rules import BLOCKED
from rmaplab.machine.traced_part import Part, assign, one, tell


class TracedListEntry(Part, ListEntry):
    """A place on a list; its cell names the list's head, None when it is on none."""

    __slots__ = ()

    def _head(self) -> Any:
        if self.machine.quiet:
            return self.value()
        return self.act("list_entry", tell, write=False, gentle=True)

    def linked(self) -> bool:
        """Whether it is on a list."""
        return self._head() is not None

    def delete(self) -> None:
        """Take it off."""
        head = self._head()
        if head is None:
            message = f"list_del corruption: {self.label()} is on no list"
            raise KernelStateError("bug-on", message, self.owner, self.field)
        item = self.owner
        head.change("list_del", self, lambda items: rules.list_remove(items, item), None)

    def next(self) -> Any:
        """The struct after this one."""
        head = self._head()
        if head is None:
            return None
        return head.act("list_next", _after, self.owner, write=False, gentle=True, plain=head.plain)


def _after(items: Any, item: Any) -> Any:
    return items, rules.list_after(items, item)


class TracedListHead(Part, ListHead):
    """The head of a list; its cell holds the structs on it."""

    __slots__ = ()

    @property
    def plain(self) -> bool:
        """Whether an unlocked access beside a change is a data race."""
        return not self.declared.marked

    def initialise(self) -> None:
        """Make it empty."""
        self.act("INIT_LIST_HEAD", assign, (), plain=self.plain)

    def insert(self, entry: ListEntry, at_tail: bool) -> None:
        """Add at an end."""
        assert isinstance(entry, TracedListEntry)
        item = entry.owner
        name = "list_add_tail" if at_tail else "list_add"
        self.change(name, entry, lambda items: rules.list_insert(items, item, at_tail), self)

    def insert_beside(self, entry: ListEntry, beside: ListEntry, after: bool) -> None:
        """Add beside another."""
        assert isinstance(entry, TracedListEntry) and isinstance(beside, TracedListEntry)
        item, other = entry.owner, beside.owner
        name = "list_add_after" if after else "list_add_before"
        self.change(
            name,
            entry,
            lambda items: rules.list_insert_beside(items, item, other, after),
            self,
            other,
        )

    def change(self, name: str, entry: TracedListEntry, rule: Any, head: Any, *key: Any) -> None:
        """Change the list and the entry's place at once."""
        machine = self.machine

        def apply(items: Any, place: Any) -> Any:
            if (place is None) is (head is None):
                state = "on a list already" if place is not None else "on no list"
                message = f"{name} corruption: {entry.label()} is {state}"
                raise KernelStateError("bug-on", message, entry.owner, entry.field)
            return (rule(items), head), None

        data = (self.owner.cell(self.field), entry.owner.cell(entry.field))
        guards = machine.guard(self.owner, False) + machine.guard(entry.owner, False)
        action = machine.action(
            name, self.owner, self.field, data, apply, key, guards, None, (), self.plain
        )
        machine.perform(action)

    def _ask(self, name: str, rule: Any, *operands: Any) -> Any:
        if self.machine.quiet:
            return rule(self.value(), *operands)[1]
        return self.act(name, rule, *operands, write=False, gentle=True, plain=self.plain)

    def is_empty(self) -> bool:
        """Whether nothing is on it."""
        return bool(self._ask("list_empty", lambda items: (items, not items)))

    def is_singular(self) -> bool:
        """Whether one thing is on it."""
        return bool(self._ask("list_is_singular", lambda items: (items, len(items) == 1)))

    def first(self) -> Any:
        """The first struct."""
        return self._ask("list_first_entry", lambda items: (items, items[0] if items else None))

    def last(self) -> Any:
        """The last struct."""
        return self._ask("list_last_entry", lambda items: (items, items[-1] if items else None))

    def walk(self, backwards: bool) -> Iterator[Any]:
        """The structs as they are now: the walker's lock keeps them so."""
        items = self._ask("list_for_each", tell)
        return reversed(items) if backwards else iter(items)


class TracedTree(Part, Tree):
    """A search tree; its cell holds the structs in order."""

    __slots__ = ()

    def root(self) -> RbLink:
        """Where a descent begins."""
        items = self.items()
        return RbLink(items, 0, len(items))

    def insert(self, item: Any, link: RbLink) -> None:
        """Put an item at an empty place."""
        self.act("rb_insert", _tree_insert, item, link.lo)

    def erase(self, item: Any) -> None:
        """Take an item out."""
        self.act("rb_erase", _tree_erase, item)

    def replace(self, victim: Any, new: Any) -> None:
        """Put an item in the place of another."""
        self.act("rb_replace_node", _tree_replace, victim, new)

    def reset(self) -> None:
        """Forget all items."""
        self.act("rb_reset", assign, ())

    def items(self) -> tuple[Any, ...]:
        """All items in order."""
        if self.machine.quiet:
            return tuple(self.value())
        return tuple(self.act("rb_root", tell, write=False))

    def is_empty(self) -> bool:
        """Whether nothing is in it."""
        if self.machine.quiet:
            return not self.value()
        return bool(self.act("RB_EMPTY_ROOT", _tree_is_empty, write=False))


def _tree_is_empty(items: Any) -> Any:
    return items, not items


def _tree_insert(items: Any, item: Any, place: int) -> Any:
    return (*items[:place], item, *items[place:]), None


def _tree_erase(items: Any, item: Any) -> Any:
    return rules.list_remove(items, item), None


def _tree_replace(items: Any, victim: Any, new: Any) -> Any:
    return rules.tree_replace(items, victim, new), None


class TracedRbTree(Part, Tree):
    """A red-black tree; its cell holds the frozen tree."""

    __slots__ = ()

    def root(self) -> Any:
        """Where a descent begins."""
        return RbPlace(self._thawed().node)

    def _thawed(self) -> RbRoot:
        if self.machine.quiet:
            return RbRoot(self.value())
        return RbRoot(self.act("rb_root", tell, write=False))

    def insert(self, item: Any, link: Any) -> None:
        """Put an item at an empty place."""
        self.act("rb_insert", _rb_insert, item, link.path)

    def erase(self, item: Any) -> None:
        """Take an item out."""
        self.act("rb_erase", _rb_erase, item)

    def replace(self, victim: Any, new: Any) -> None:
        """Put an item in the place of another."""
        self.act("rb_replace_node", _rb_replace, victim, new)

    def reset(self) -> None:
        """Forget all items."""
        self.act("rb_reset", assign, None)

    def items(self) -> tuple[Any, ...]:
        """All items in order."""
        return tuple(node.item for node in self._thawed().nodes())


def _rb_insert(value: Any, item: Any, path: tuple[int, ...]) -> Any:
    root = RbRoot(value)
    root.insert(item, path)
    return root.frozen(), None


def _rb_erase(value: Any, item: Any) -> Any:
    root = RbRoot(value)
    root.erase(item)
    return root.frozen(), None


def _rb_replace(value: Any, victim: Any, new: Any) -> Any:
    root = RbRoot(value)
    root.find(victim).item = new
    return root.frozen(), None


class TracedPte(Part, PtePointer):
    """One entry of a page table: its own cell."""

    __slots__ = ("address",)

    def __init__(self, tables: Part, address: int) -> None:
        super().__init__(tables.owner, tables.field, tables.declared)
        self.address = address

    def act(self, name: str, rule: Any, *operands: Any, write: bool = True, **how: Any) -> Any:
        """One action on the entry's cell."""
        machine = self.machine
        cell = self.owner.cell(self.field, self.address)
        guards = machine.guard(self.owner, False)
        field = f"pte[{self.address >> 12:#x}]"
        action = machine.action(
            name,
            self.owner,
            field,
            (cell,),
            one(rule, *operands),
            operands,
            guards,
            (write,),
            **how,
        )
        return machine.perform(action)

    def read(self) -> Any:
        """The entry."""
        if self.machine.quiet:
            return self.owner.cell(self.field, self.address).current
        return self.act("pte_get", tell, write=False)

    def write(self, entry: Any) -> None:
        """Set it."""
        self.act("set_pte_at", assign, entry)

    def exchange(self, entry: Any) -> Any:
        """Set it and return the old one."""
        return self.act("ptep_get_and_clear", _swap, entry)

    def wait_while(self, entry: Any) -> None:
        """Wait until it is another."""
        self.act("retry fault", _wait_while, entry, write=False, waits=True)


def _swap(value: Any, entry: Any) -> Any:
    return entry, value


def _wait_while(value: Any, entry: Any) -> Any:
    return BLOCKED if value == entry else (value, None)


class TracedPageTable(Part, PageTable):
    """Page tables: the addresses that have one, and a cell for each entry."""

    __slots__ = ()

    def allocate(self, address: int) -> PtePointer | None:
        """The entry, its table allocated if missing."""
        if not self._has(address):
            RUNNING.context.might_sleep("pte_alloc")
            if RUNNING.context.should_fail():
                return None
            self.act("pte_alloc", _add_address, address)
        return TracedPte(self, address)

    def _has(self, address: int) -> bool:
        if self.machine.quiet:
            return address in self.value()
        return bool(self.act("pmd_present", _has_address, address, write=False))

    def find(self, address: int) -> PtePointer | None:
        """The entry, if there is a table."""
        return TracedPte(self, address) if self._has(address) else None

    def addresses(self, start: int, end: int) -> tuple[int, ...]:
        """The addresses with tables."""
        if self.machine.quiet:
            return tuple(_addresses(self.value(), start, end)[1])
        return tuple(self.act("pgd_addresses", _addresses, start, end, write=False))

    def release(self, start: int, end: int) -> None:
        """Free the tables."""
        self.act("free_pgd_range", _drop_addresses, start, end)


def _has_address(value: Any, address: int) -> Any:
    return value, address in value


def _add_address(value: Any, address: int) -> Any:
    return tuple(sorted({*value, address})), None


def _addresses(value: Any, start: int, end: int) -> Any:
    return value, tuple(address for address in value if start <= address < end)


def _drop_addresses(value: Any, start: int, end: int) -> Any:
    return tuple(address for address in value if not start <= address < end), None
