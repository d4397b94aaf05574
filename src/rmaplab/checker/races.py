"""Data races: two flows about to touch one cell, one of them writing, one of them unmarked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from rmaplab.checker.tries import Node
from rmaplab.machine.cells import Action


class Races:
    """Remembers which pairs of actions race; gives each pair of local states once."""

    def __init__(self) -> None:
        #: Of each action, those with which it races, and does not, as far as anybody asked.
        self._racing: dict[Action | None, set[Action | None]] = defaultdict(set)
        self._clear: dict[Action | None, set[Action | None]] = defaultdict(set)
        self.given: dict[tuple[Node, Node], None] = {}

    def none(self, node: Node, nodes: tuple[Node, ...]) -> bool:
        """Whether a flow is known to race with none of these; itself may be one of them."""
        return self._clear[node.action].issuperset([other.action for other in nodes])

    def found(self, nodes: tuple[Node, ...]) -> Iterator[tuple[Node, Node]]:
        """The flows whose next actions race, two by two; none that was given before."""
        for place, node in enumerate(nodes):
            for other in nodes[place:]:
                if self.race(node.action, other.action) and (node, other) not in self.given:
                    self.given[node, other] = None
                    yield node, other

    def race(self, action: Action | None, other: Action | None) -> bool:
        """Whether two actions race when both are next; no action does with itself."""
        if action is None or other is None or other in self._clear[action]:
            return False
        if other in self._racing[action]:
            return True
        races = action is not other and (action.plain or other.plain)
        races = races and self._conflict(action, other)
        known = self._racing if races else self._clear
        known[action].add(other)
        known[other].add(action)
        return races

    def _conflict(self, action: Action, other: Action) -> bool:
        reads, writes = _touched(action)
        other_reads, other_writes = _touched(other)
        return bool(writes & (other_reads | other_writes) or reads & other_writes)


def _touched(action: Action) -> tuple[int, int]:
    """The data cells that an action reads and writes: not what its guards look at."""
    reads = writes = 0
    for cell, written in zip(action.data, action.written, strict=True):
        reads |= 1 << cell.number
        if written:
            writes |= 1 << cell.number
    for cell, _ in action.blind:
        writes |= 1 << cell.number
    return reads, writes
