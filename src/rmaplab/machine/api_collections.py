"""The kernel's own API of lists, search trees and page tables, as kernel code calls it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rmaplab.machine.handles import ListEntry, ListHead, PageTable, PtePointer, RbLink, Tree

# Lists


def INIT_LIST_HEAD(head: ListHead) -> None:
    """Make a list empty."""
    head.initialise()


def list_add(entry: ListEntry, head: ListHead) -> None:
    """Add at the head."""
    head.insert(entry, at_tail=False)


def list_add_tail(entry: ListEntry, head: ListHead) -> None:
    """Add at the tail."""
    head.insert(entry, at_tail=True)


def list_add_before(entry: ListEntry, head: ListHead, beside: ListEntry) -> None:
    """list_add_tail with an entry, not the head, as its second operand: add just before it."""
    head.insert_beside(entry, beside, after=False)


def list_add_after(entry: ListEntry, head: ListHead, beside: ListEntry) -> None:
    """list_add with an entry, not the head, as its second operand: add just after it."""
    head.insert_beside(entry, beside, after=True)


def list_del(entry: ListEntry) -> None:
    """Take off the list it is on."""
    entry.delete()


def list_empty(head: ListHead) -> bool:
    """Whether a list is empty."""
    return head.is_empty()


def list_is_singular(head: ListHead) -> bool:
    """Whether a list has exactly one entry."""
    return head.is_singular()


def list_first_entry(head: ListHead) -> Any:
    """The first struct on a list; None if it is empty."""
    return head.first()


def list_last_entry(head: ListHead) -> Any:
    """The last struct on a list; None if it is empty."""
    return head.last()


def list_next_entry(entry: ListEntry) -> Any:
    """The struct after this one; None where the kernel would be back at the head."""
    return entry.next()


def list_for_each_entry(head: ListHead) -> Iterator[Any]:
    """The structs on a list, in order; the one just visited may be taken off."""
    return head.walk(backwards=False)


def list_for_each_entry_reverse(head: ListHead) -> Iterator[Any]:
    """The structs on a list, last first."""
    return head.walk(backwards=True)


# Search trees


def rb_root(tree: Tree) -> RbLink:
    """Where a descent begins: go on by `.left` and `.right` while `.item` is not None."""
    return tree.root()


def RB_EMPTY_ROOT(tree: Tree) -> bool:
    """Whether a tree has no item."""
    return tree.is_empty()


def rb_insert(tree: Tree, item: Any, link: RbLink) -> None:
    """rb_link_node and rb_insert_color: put an item at the empty place a descent reached."""
    tree.insert(item, link)


def rb_replace_node(tree: Tree, victim: Any, new: Any) -> None:
    """Put an item in the place of another."""
    tree.replace(victim, new)


def rb_erase(tree: Tree, item: Any) -> None:
    """Take an item out."""
    tree.erase(item)


def rb_reset(tree: Tree) -> None:
    """Assign RB_ROOT."""
    tree.reset()


def rb_items(tree: Tree) -> tuple[Any, ...]:
    """All items in order (rb_first, rb_next ...)."""
    return tree.items()


# Page tables


def pte_alloc_map(tables: PageTable, address: int) -> PtePointer | None:
    """The entry for an address, its table allocated if missing; None without memory.

    Allocating may sleep.
    """
    return tables.allocate(address)


def pte_offset_map(tables: PageTable, address: int) -> PtePointer | None:
    """The entry for an address; None where there is no table."""
    return tables.find(address)


def pte_get(pte: PtePointer) -> Any:
    """The entry itself; None is pte_none."""
    return pte.read()


def set_pte_at(pte: PtePointer, entry: Any) -> None:
    """Set an entry."""
    pte.write(entry)


def ptep_get_and_clear(pte: PtePointer) -> Any:
    """Clear an entry and return what it was."""
    return pte.exchange(None)


def pte_wait_while(pte: PtePointer, entry: Any) -> None:
    """Wait until the entry is another: a fault that is retried until somebody makes progress."""
    pte.wait_while(entry)


def pgd_addresses(tables: PageTable, start: int, end: int) -> tuple[int, ...]:
    """The addresses in start..end-1 that have page tables."""
    return tables.addresses(start, end)


def free_pgd_range(tables: PageTable, start: int, end: int) -> None:
    """Free the page tables of start..end-1."""
    tables.release(start, end)
