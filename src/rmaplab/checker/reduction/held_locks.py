"""Who waits for a lock does nothing: what lies behind a lock that another flow holds.

As long as a flow that holds a lock does not move, no other flow gets past taking that lock. So
its action depends only on what the others may yet do before they take it.
docs/how-the-checker-works.md has the argument; tests/quality compares with the full walk.
"""

from __future__ import annotations

from rmaplab.checker.tries import Node
from rmaplab.machine.cells import Action

#: Actions that take a lock which only its holder can release.
TAKING = ("spin_lock", "mutex_lock")


def learn_before(node: Node, reads: int, writes: int) -> bool:
    """Bring up to date what a flow may touch before it takes each lock; whether that grew.

    `reads` and `writes` are what was known of all that it may touch.
    """
    action = node.action
    taken = _taken(action)
    locks = {lock for child in node.children.values() for lock in child.before}
    if taken is not None:
        locks.add(taken)
    grown = False
    for lock in locks:
        known = node.before.get(lock, (reads, writes))
        found = _before(node, lock, taken)
        node.before[lock] = found
        grown = grown or found != known
    return grown


def _before(node: Node, lock: int, taken: int | None) -> tuple[int, int]:
    action = node.action
    if action is None:
        return 0, 0
    if lock == taken:  # it waits; only that the lock's object lives is looked at
        return action.read_mask & ~(1 << lock), 0
    reads, writes = action.read_mask, action.write_mask
    for child in node.children.values():
        more_reads, more_writes = child.before.get(lock, (child.future_reads, child.future_writes))
        reads |= more_reads
        writes |= more_writes
    return reads, writes


def _taken(action: Action | None) -> int | None:
    """The cell of the lock that an action takes."""
    if action is None or action.name not in TAKING:
        return None
    return action.data[0].number


def future_beside(node: Node, other: Node) -> tuple[int, int]:
    """The cells that the other may yet read and write as long as the node's flow does not move."""
    reads, writes = other.future_reads, other.future_writes
    for lock in node.locks:
        cell = lock.owner.cell(lock.field).number
        if cell in other.before:
            reads &= other.before[cell][0]
            writes &= other.before[cell][1]
    return reads, writes


def lives_of_locks(node: Node) -> int:
    """The lives of the objects whose locks the flow holds: a free would open them."""
    lives = 0
    for lock in node.locks:
        if lock.owner.slot.life is not None:
            lives |= 1 << lock.owner.slot.life.number
    return lives
