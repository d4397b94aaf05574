"""Only the last access conflicts with a free.

If a flow is bound to access an object again, somebody else's free of it goes wrong at that later
access, whether it came before or after this one: so for this one the free's place need not be
tried. Keeps whether anything goes wrong, not every cause: check.py then walks again without it.
docs/how-the-checker-works.md has the argument; tests/quality compares with the full walk.
"""

from __future__ import annotations

from rmaplab.checker.program import Flow
from rmaplab.checker.tries import Node
from rmaplab.machine.cells import Guard


class LastAccess:
    """What each flow is bound to access, as far as is known."""

    def __init__(self, flows: tuple[Flow, ...]) -> None:
        #: Of each flow, its calls from the one after its last loop on.
        self._straight = [
            max((place + 1 for place, call in enumerate(flow.calls) if call.repeat), default=0)
            for flow in flows
        ]
        #: Of each flow, whether every other one comes to an end: then a wait of it does.
        self._others_end = [
            not any(self._straight[:column] + self._straight[column + 1 :])
            for column in range(len(flows))
        ]
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
        if node.call < self._straight[node.column]:
            return 0
        lives = 0
        for guard in node.action.guards:
            if node.bound & self._bit(guard.ref):
                lives |= 1 << guard.life.number
        return lives

    def _from(self, node: Node, child: Node) -> int:
        """What the flow is bound to access from a child on; all if it goes wrong there."""
        if child.fault is not None:
            return -1
        turned_back = child.parent is None and child.call <= node.call
        if child.action is None or turned_back:
            return 0
        passes = self._others_end[child.column] or not child.action.waits
        return self._touched(child) | (child.bound if passes else 0)

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
