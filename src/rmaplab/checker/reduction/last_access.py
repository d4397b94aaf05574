"""Only the last access conflicts with a free.

If a flow is bound to access an object again, somebody else's free of it goes wrong at that later
access, whether it came before or after this one: so for this one the free's place need not be
tried. Keeps whether anything goes wrong, not every cause: check.py then walks again without it.
docs/how-the-checker-works.md has the argument; tests/quality compares with the full walk.
"""

from __future__ import annotations

from collections.abc import Set

from rmaplab.checker.tries import Node
from rmaplab.machine.cells import Guard


class LastAccess:
    """What each flow is bound to access, as far as is known."""

    def __init__(self, looping: Set[int]) -> None:
        #: The flows that may go on for ever.
        self.looping = looping
        self._bits: dict[object, int] = {}

    def learn(self, node: Node) -> bool:
        """Bring up to date what the flow is bound to access after a node; whether that shrank."""
        bound = node.bound
        for child in node.children.values():
            bound &= self._from(node, child)
        shrank = bound != node.bound
        node.bound = bound
        return shrank

    def spared(self, node: Node) -> int:
        """The life cells that the node's action need not be held to depend on."""
        assert node.action is not None
        if self._may_wait_for_ever(node):
            return 0
        lives = 0
        for guard in node.action.guards:
            if node.bound & self._bit(guard.ref):
                lives |= 1 << guard.life.number
        for lock in node.locks:
            life = lock.owner.slot.life
            if life is not None and node.bound & self._bit(lock.owner):
                lives |= 1 << life.number
        return lives

    def _from(self, node: Node, child: Node) -> int:
        """What the flow is bound to access from a child on; all if it goes wrong there."""
        if child.fault is not None:
            return -1
        turned_back = child.parent is None and child.call <= node.call
        if child.action is None or turned_back:
            return 0
        return self._touched(child) | (0 if self._may_wait_for_ever(child) else child.bound)

    def _may_wait_for_ever(self, node: Node) -> bool:
        """Whether the action waits for others, of which one may go round and round."""
        return node.action is not None and node.action.waits and bool(self.looping - {node.column})

    def _touched(self, node: Node) -> int:
        """The objects that the node's action is an error on if they have been freed."""
        action = node.action
        assert action is not None
        touched = self._bit(action.ref) if action.name == "free" else 0
        for guard in action.guards:
            if not _may_pass(guard, node.in_section):
                touched |= self._bit(guard.ref)
        return touched

    def _bit(self, ref: object) -> int:
        return 1 << self._bits.setdefault(ref, len(self._bits))


def _may_pass(guard: Guard, in_section: bool) -> bool:
    """Whether an access may be legal though its object was freed."""
    return guard.readers is not None and (guard.lenient or (guard.gentle and in_section))
