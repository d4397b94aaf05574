"""Data races: two flows about to touch one cell, one of them writing, one of them unmarked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from rmaplab.checker.tries import Node
from rmaplab.machine.cells import Action


class Races:
    """Remembers which pairs of actions race; gives each pair of local states once."""

    def __init__(self) -> None:
        self._known: dict[tuple[Action, Action], bool] = {}
        #: Of each local state, those beside which it was looked at.
        self._met: dict[Node, set[Node]] = defaultdict(set)

    def met(self, node: Node, nodes: tuple[Node, ...]) -> bool:
        """Whether a local state was looked at beside each of these; itself may be one of them."""
        return self._met[node].issuperset(nodes)

    def found(self, nodes: tuple[Node, ...]) -> Iterator[tuple[Node, Node]]:
        """The flows whose next actions race, two by two; none that was given before."""
        for place, node in enumerate(nodes):
            met = self._met[node]
            if met.issuperset(nodes):
                continue
            for other in nodes[place + 1 :]:
                if other not in met:
                    met.add(other)
                    self._met[other].add(node)
                    if self.race(node.action, other.action):
                        yield node, other
            met.add(node)

    def race(self, action: Action | None, other: Action | None) -> bool:
        """Whether two actions race when both are next."""
        if action is None or other is None or not (action.plain or other.plain):
            return False
        key = (action, other)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._conflict(action, other)
        return found

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
