"""Partial-order reduction: when some flows may go without the others, and nothing is lost.

They may if the action of each is independent of all that every flow outside may yet do: such a set
is called persistent.
What a flow may yet do grows as local states are discovered: then the states where only a set went
are looked at again, until none is left where it should not have.
docs/how-the-checker-works.md has the argument; tests/quality compares with the full walk.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from typing import Generic, TypeVar

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
        todo, looked_at = self.tries.fresh, self._looked_at
        self.tries.fresh = []
        more_loop = len(self.tries.looping) > self._looping
        if more_loop:
            self._looping = len(self.tries.looping)
            todo = self._all()
        while todo:
            node = todo.pop()
            if self._grow(node):
                grown[node] = None
                todo.extend(node.predecessors)
        # Both make a difference to actions of which nothing else is new.
        return self._all() if more_loop or looked_at != self._looked_at else list(grown)

    def _all(self) -> list[Node]:
        return [node for nodes in self.tries.nodes for node in nodes]

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
        #: Of each local state: those on whose futures its action depends, and does not.
        self._tied: dict[Node, set[Node]] = defaultdict(set)
        self._apart: dict[Node, set[Node]] = defaultdict(set)
        self._touched: dict[Node, tuple[int, int]] = {}
        #: Of each local state: those that do not depend on its future.
        self._relying: dict[Node, dict[Node, None]] = defaultdict(dict)
        #: By the flows that went without the others: where, and how the walk came there.
        self._noted: dict[Group, dict[Group, list[Origin]]] = {}
        self._went: dict[Node, list[Group]] = defaultdict(list)

    def alone(self, node: Node, nodes: Group) -> bool:
        """Whether one of these flows may go without the others."""
        if self._apart[node].issuperset(nodes):
            return True
        if not self._tied[node].isdisjoint(nodes):
            return False
        self._compare(node, nodes)
        return self._tied[node].isdisjoint(nodes)

    def sets(self, nodes: Group) -> list[Group]:
        """Several flows, not all, that may go without the others; the smallest sets first.

        None where a single one may.
        """
        able = [node for node in nodes if not node.turns_back]
        if any(self.alone(node, nodes) for node in able):
            return []
        closures = dict.fromkeys(self._closure(node, nodes) for node in able)
        sets = [each for each in closures if len(each) < len(nodes)]
        return sorted((s for s in sets if not any(node.turns_back for node in s)), key=len)

    def _closure(self, node: Node, nodes: Group) -> Group:
        """The least set around a flow of whose actions each is independent of all others."""
        inside = [node]
        for each in inside:
            self._compare(each, nodes)
            tied = self._tied[each]
            inside += [other for other in nodes if other in tied and other not in inside]
        return tuple(each for each in nodes if each in inside)

    def _compare(self, node: Node, nodes: Group) -> None:
        """Find out on which of these flows the node's action depends."""
        tied, apart = self._tied[node], self._apart[node]
        for other in nodes:
            if other not in apart and other not in tied:
                if other is not node and self._depends(node, other):
                    tied.add(other)
                else:
                    apart.add(other)
                    self._relying[other][node] = None

    def _depends(self, node: Node, other: Node) -> bool:
        """Whether the node's action may depend on something that the other may yet do."""
        if other.fault is not None:
            return True
        touched = self._touched.get(node) or self._touch(node)
        return not independent(*touched, *future_beside(node, other))

    def _touch(self, node: Node) -> tuple[int, int]:
        """The cells by which the node's action depends on others, as far as is known now."""
        reads, writes = self.futures.touched(node)
        reads |= lives_of_locks(node)
        if self.last_access:
            reads &= ~self.futures.last_access.spared(node)
        self._touched[node] = reads, writes
        return reads, writes

    def note(self, nodes: Group, group: Group, origin: Origin) -> None:
        """Remember where a state was come from in which only the group went."""
        noted = self._noted.get(group)
        if noted is None:
            noted = self._noted[group] = {}
            for node in group:
                self._went[node].append(group)
        noted.setdefault(nodes, []).append(origin)

    def no_longer(self) -> list[Origin]:
        """Where the states come from in which others should have gone, too."""
        again: dict[Origin, None] = {}
        for node, tied in self.newly_tied().items():
            for group in self._went[node]:
                noted, outside = self._noted[group], tied.difference(group)
                for nodes in [each for each in noted if not outside.isdisjoint(each)]:
                    again.update(dict.fromkeys(noted.pop(nodes)))
        return list(again)

    def newly_tied(self) -> dict[Node, set[Node]]:
        """Of each local state, those on whose futures its action turns out to depend."""
        newly: dict[Node, set[Node]] = defaultdict(set)
        grown = self.futures.update()
        doubtful = [(node, other) for other in grown for node in self._relying[other]]
        for node in grown:
            known = self._touched.get(node)
            if known is not None and known != self._touch(node):
                doubtful += [(node, other) for other in self._apart[node]]
        for node, other in doubtful:
            if other is not node and other in self._apart[node] and self._depends(node, other):
                self._apart[node].remove(other)
                self._relying[other].pop(node)
                self._tied[node].add(other)
                newly[node].add(other)
        return newly
