"""Partial-order reduction: when one flow alone may go on, and no interleaving is lost.

A flow may go alone if its action is independent of all that every other flow may yet do.
What a flow may yet do grows as local states are discovered: then the states where a flow went
alone are looked at again, until none is left where it should not have.
docs/how-the-checker-works.md has the argument; tests/quality compares with the full walk.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from rmaplab.checker.reduction.last_access import LastAccess
from rmaplab.checker.tries import Node, Tries

Origin = TypeVar("Origin", bound=Hashable)


class Futures:
    """Of each local state, the cells that its flow may yet read and write."""

    def __init__(self, tries: Tries) -> None:
        self.tries = tries
        self.last_access = LastAccess(tries.flows)

    def update(self) -> list[Node]:
        """Bring the masks up to what is known now: the local states of which more is known.

        In an order that is the same in every run, as is then the walk.
        """
        grown: dict[Node, None] = {}
        todo = self.tries.fresh
        self.tries.fresh = []
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
        for child in node.children.values():
            reads |= child.future_reads
            writes |= child.future_writes
        grown = reads != node.future_reads or writes != node.future_writes
        node.future_reads, node.future_writes = reads, writes
        return self.last_access.learn(node) or grown


def independent(reads: int, writes: int, other: Node) -> bool:
    """Whether an action that reads and writes these cells is so of all the other may yet do."""
    return not (reads & other.future_writes or writes & (other.future_reads | other.future_writes))


class Alone(Generic[Origin]):
    """The states in which one flow went alone, to be looked at again when more is known.

    Of each state something is noted from which the walk comes there again.
    """

    def __init__(self, futures: Futures, last_access: bool) -> None:
        self.futures = futures
        self.last_access = last_access
        self._chosen: dict[tuple[Node, ...], Node | None] = {}
        self._origins: dict[tuple[Node, ...], list[Origin]] = {}
        self._by_node: dict[Node, list[tuple[Node, ...]]] = {}

    def candidate(self, nodes: tuple[Node, ...]) -> Node | None:
        """A flow that may go alone when these are the local states, as far as is known."""
        try:
            return self._chosen[nodes]
        except KeyError:
            return self._choose(nodes)

    def _choose(self, nodes: tuple[Node, ...]) -> Node | None:
        chosen = None
        if all(node.action is not None for node in nodes):
            able = (node for node in nodes if not node.turns_back)
            chosen = next((node for node in able if self._apart(node, nodes)), None)
        self._chosen[nodes] = chosen
        if chosen is not None:
            for node in nodes:
                self._by_node.setdefault(node, []).append(nodes)
        return chosen

    def _apart(self, node: Node, nodes: tuple[Node, ...]) -> bool:
        """Whether a flow's action is independent of all that the others of these may yet do."""
        assert node.action is not None
        reads, writes = node.action.read_mask, node.action.write_mask
        if self.last_access:
            reads &= ~self.futures.last_access.spared(node)
        return all(other is node or independent(reads, writes, other) for other in nodes)

    def note(self, nodes: tuple[Node, ...], origin: Origin) -> None:
        """Remember where a state was come from in which the candidate went alone."""
        self._origins.setdefault(nodes, []).append(origin)

    def no_longer(self) -> list[Origin]:
        """Where the states come from in which the flow should not have gone alone."""
        again: dict[Origin, None] = {}
        for node in self.futures.update():
            for nodes in self._by_node.pop(node, ()):
                chosen = self._chosen.get(nodes)
                if chosen is None:
                    continue
                if self._apart(chosen, nodes):
                    self._by_node.setdefault(node, []).append(nodes)
                else:
                    del self._chosen[nodes]
                    again.update(dict.fromkeys(self._origins.pop(nodes, ())))
        return list(again)
