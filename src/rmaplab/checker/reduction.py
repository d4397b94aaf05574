"""Partial-order reduction: when one flow alone may go on, and no interleaving is lost.

A flow may go alone if its action is independent of all that every other flow may yet do.
What a flow may yet do grows as local states are discovered: then the states where a flow went
alone are looked at again, until none is left where it should not have.
docs/how-the-checker-works.md has the argument; tests/quality compares with the full walk.
"""

from __future__ import annotations

from rmaplab.checker.tries import Node, Tries


class Futures:
    """Of each local state, the cells that its flow may yet read and write."""

    def __init__(self, tries: Tries) -> None:
        self.tries = tries
        #: By the second node: whether the first one's action is apart from its future.
        self._apart: dict[Node, dict[Node, bool]] = {}

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
        for node in grown:
            self._apart.pop(node, None)
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
        return grown

    def apart(self, node: Node, other: Node) -> bool:
        """Whether the node's action is independent of all that the other's flow may yet do."""
        known = self._apart.setdefault(other, {})
        found = known.get(node)
        if found is None:
            found = known[node] = independent(*self.touched(node), other)
        return found

    def touched(self, node: Node) -> tuple[int, int]:
        """The cells by which the node's action depends on others: those it reads, and writes."""
        assert node.action is not None
        return node.action.read_mask, node.action.write_mask

    def alone(self, node: Node, nodes: tuple[Node, ...]) -> bool:
        """Whether a flow may go alone among these."""
        return all(other is node or self.apart(node, other) for other in nodes)


def independent(reads: int, writes: int, other: Node) -> bool:
    """Whether an action that reads and writes these cells is so of all the other may yet do."""
    return not (reads & other.future_writes or writes & (other.future_reads | other.future_writes))


class Alone:
    """The states in which one flow went alone, to be looked at again when more is known."""

    def __init__(self, futures: Futures) -> None:
        self.futures = futures
        self._chosen: dict[tuple[Node, ...], Node | None] = {}
        self._states: dict[tuple[Node, ...], list[str]] = {}
        self._by_node: dict[Node, list[tuple[Node, ...]]] = {}

    def candidate(self, nodes: tuple[Node, ...]) -> Node | None:
        """A flow that may go alone when these are the local states, as far as is known."""
        try:
            return self._chosen[nodes]
        except KeyError:
            return self._choose(nodes)

    def _choose(self, nodes: tuple[Node, ...]) -> Node | None:
        for node in nodes:
            if node.turns_back or node.action is None:
                continue
            if self.futures.alone(node, nodes):
                chosen: Node | None = node
                break
        else:
            chosen = None
        self._chosen[nodes] = chosen
        if chosen is not None:
            for node in nodes:
                if node is not chosen:
                    self._by_node.setdefault(node, []).append(nodes)
        return chosen

    def note(self, nodes: tuple[Node, ...], state: str) -> None:
        """Remember that the candidate went alone from here."""
        self._states.setdefault(nodes, []).append(state)

    def no_longer(self) -> list[str]:
        """The states in which the flow should not have gone alone, now that more is known."""
        again: list[str] = []
        for node in self.futures.update():
            for nodes in self._by_node.pop(node, ()):
                chosen = self._chosen.get(nodes)
                if chosen is None:
                    continue
                if self.futures.alone(chosen, nodes):
                    self._by_node.setdefault(node, []).append(nodes)
                else:
                    del self._chosen[nodes]
                    again.extend(self._states.pop(nodes, ()))
        return again
