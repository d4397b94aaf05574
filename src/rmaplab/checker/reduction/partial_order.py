"""Partial-order reduction: when some flows may go without the others, and nothing is lost.

They may if the action of each is independent of all that every flow outside may yet do: such a set
is called persistent.
What a flow may yet do grows as local states are discovered: then the states where only a set went
are looked at again, until none is left where it should not have.
docs/how-the-checker-works.md has the argument; tests/quality compares with the full walk.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Generic, TypeVar

from rmaplab.checker.reduction.held_locks import future_beside, learn_before, lives_of_locks
from rmaplab.checker.reduction.last_access import LastAccess
from rmaplab.checker.tries import Node, Tries

Origin = TypeVar("Origin", bound=Hashable)

#: Local states of several flows, in their order.
Group = tuple[Node, ...]


class Futures:
    """Of each local state, the cells that its flow may yet read and write."""

    def __init__(self, tries: Tries) -> None:
        self.tries = tries
        self.last_access = LastAccess(tries.looping)
        self._looping = 0
        self._kept = sum(1 << cell.number for cell in tries.machine.readers)
        #: Lives of what was looked at in a read-side section.
        self._looked_at = 0

    def update(self) -> list[Node]:
        """Bring the masks up to what is known now: the local states of which more is known.

        In an order that is the same in every run, as is then the walk.
        """
        grown: dict[Node, None] = {}
        todo = self.tries.fresh
        self.tries.fresh = []
        if len(self.tries.looping) > self._looping:
            self._looping = len(self.tries.looping)
            todo = [node for nodes in self.tries.nodes for node in nodes]
        while todo:
            node = todo.pop()
            if self._grow(node):
                grown[node] = None
                todo.extend(node.predecessors)
        return list(grown)

    def _grow(self, node: Node) -> bool:
        reads, writes = node.future_reads, node.future_writes
        if node.action is not None:
            reads |= node.action.read_mask
            writes |= node.action.write_mask
            for guard in node.action.guards if node.in_section else ():
                self._looked_at |= 1 << guard.life.number
        for child in node.children.values():
            reads |= child.future_reads
            writes |= child.future_writes
        grown = reads != node.future_reads or writes != node.future_writes
        grown = learn_before(node, node.future_reads, node.future_writes) or grown
        node.future_reads, node.future_writes = reads, writes
        return self.last_access.learn(node) or grown

    def touched(self, node: Node) -> tuple[int, int]:
        """The cells by which the node's action depends on others: those it reads, and writes.

        What a section keeps matters only to who looks at it there: so entering one depends on the
        lives of what is looked at, and a free on no section.
        """
        action = node.action
        assert action is not None
        if action.name == "rcu_read_lock":
            return node.future_reads & self._looked_at, 0
        return action.read_mask & ~self._kept, action.write_mask


def independent(reads: int, writes: int, other_reads: int, other_writes: int) -> bool:
    """Whether what reads and writes these cells is independent of what does those."""
    return not (reads & other_writes or writes & (other_reads | other_writes))


class Persistent(Generic[Origin]):
    """Which flows may go without the others, and where they did: to be looked at again.

    Of each state something is noted from which the walk comes there again.
    """

    def __init__(self, futures: Futures, last_access: bool) -> None:
        self.futures = futures
        self.last_access = last_access
        self._sets: dict[Group, tuple[Group, ...]] = {}
        self._origins: dict[Group, dict[Group, list[Origin]]] = {}
        self._known: dict[Node, _Row] = {}
        self._by_node: dict[Node, dict[Group, None]] = {}

    def knows(self, nodes: Group) -> bool:
        """Whether these local states were looked at since more became known of one."""
        return nodes in self._sets

    def sets(self, nodes: Group) -> tuple[Group, ...]:
        """Of these local states, those that may go without the others; the smallest sets first."""
        try:
            return self._sets[nodes]
        except KeyError:
            return self._find(nodes)

    def _find(self, nodes: Group) -> tuple[Group, ...]:
        found: tuple[Group, ...] = ()
        if all(node.action is not None for node in nodes):
            able = [node for node in nodes if not node.turns_back]
            found = tuple((node,) for node in able if self._is_closed((node,), nodes))
            if not found and len(nodes) > 2:
                closures = dict.fromkeys(self._closure(node, nodes) for node in able)
                sets = [each for each in closures if len(each) < len(nodes)]
                sets = [each for each in sets if not any(node.turns_back for node in each)]
                found = tuple(sorted(sets, key=len))
        self._sets[nodes] = found
        if found:
            for node in nodes:
                self._by_node.setdefault(node, {})[nodes] = None
        return found

    def _closure(self, node: Node, nodes: Group) -> Group:
        """The least set around a flow of whose actions each is independent of all others."""
        inside = [node]
        for each in inside:
            row = self._row(each)
            inside += [other for other in nodes if row[other] and other not in inside]
        return tuple(each for each in nodes if each in inside)

    def _is_closed(self, group: Group, nodes: Group) -> bool:
        for node in group:
            row = self._row(node)
            for other in nodes:
                if row[other] and other not in group:
                    return False
        return True

    def _row(self, node: Node) -> _Row:
        row = self._known.get(node)
        if row is None:
            row = self._known[node] = _Row(self, node)
        return row

    def _depends(self, node: Node, other: Node) -> bool:
        """Whether the node's action may depend on something that the other may yet do."""
        reads, writes = self.futures.touched(node)
        reads |= lives_of_locks(node)
        if self.last_access:
            reads &= ~self.futures.last_access.spared(node)
        return not independent(reads, writes, *future_beside(node, other))

    def note(self, nodes: Group, group: Group, origin: Origin) -> None:
        """Remember where a state was come from in which only the group went."""
        self._origins.setdefault(nodes, {}).setdefault(group, []).append(origin)

    def no_longer(self) -> list[Origin]:
        """Where the states come from in which others should have gone, too."""
        again: dict[Origin, None] = {}
        grown = dict.fromkeys(
            nodes for node in self.futures.update() for nodes in self._by_node.get(node, ())
        )
        self._known.clear()
        for nodes in grown:
            self._sets.pop(nodes, None)
            noted = self._origins.get(nodes, {})
            for group in [each for each in noted if not self._is_closed(each, nodes)]:
                again.update(dict.fromkeys(noted.pop(group)))
        return list(again)


class _Row(dict[Node, bool]):
    """Whether a local state's action depends on the futures of others, filled on demand."""

    def __init__(self, persistent: Persistent[Any], node: Node) -> None:
        self._persistent = persistent
        self._node = node

    def __missing__(self, other: Node) -> bool:
        found = self[other] = self._persistent._depends(self._node, other)
        return found
