"""A red-black tree of exactly the shape that lib/rbtree.c gives it (the algorithms of [CLRS]).

Where a search stops early, or clears up what it comes past, the shape can be seen.

[CLRS] Cormen, Leiserson, Rivest, Stein: Introduction to Algorithms, chapter 13.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rmaplab.machine.faults import KernelStateError

LEFT, RIGHT = 0, 1

#: A frozen tree: None, or (item, whether red, the left one, the right one).
Frozen = tuple[Any, bool, Any, Any] | None


class RbNode:
    """struct rb_node, and the item that it is embedded in."""

    __slots__ = ("children", "item", "parent", "red")

    def __init__(self, item: Any, red: bool = True) -> None:
        self.item = item
        self.red = red
        self.parent: RbNode | None = None
        self.children: list[RbNode | None] = [None, None]


class RbRoot:
    """struct rb_root."""

    def __init__(self, frozen: Frozen = None) -> None:
        self.node = self._thawed(frozen, None)

    def _thawed(self, frozen: Frozen, parent: RbNode | None) -> RbNode | None:
        if frozen is None:
            return None
        node = RbNode(frozen[0], frozen[1])
        node.parent = parent
        node.children = [self._thawed(frozen[2], node), self._thawed(frozen[3], node)]
        return node

    def frozen(self) -> Frozen:
        """The tree as a value."""
        return _frozen(self.node)

    def nodes(self) -> Iterator[RbNode]:
        """All nodes in order."""
        return _in_order(self.node)

    def find(self, item: Any) -> RbNode:
        """The node of an item; KernelStateError if it is not in the tree."""
        for node in self.nodes():
            if node.item == item:
                return node
        raise KernelStateError("bug-on", "rb_erase of an item that is not in the tree", item)

    def insert(self, item: Any, path: tuple[int, ...]) -> None:
        """rb_link_node and rb_insert_color: `path` says where to turn at each node."""
        new = RbNode(item)
        parent = None
        place = self.node
        for side in path:
            if place is None:
                message = "rb_link_node beside a node that is not in the tree"
                raise KernelStateError("bug-on", message, item)
            parent, place = place, place.children[side]
        self._link(parent, path[-1] if path else LEFT, new)
        self._insert_color(new)

    def _link(self, parent: RbNode | None, side: int, node: RbNode | None) -> None:
        if parent is None:
            self.node = node
        else:
            parent.children[side] = node
        if node is not None:
            node.parent = parent

    def _rotate(self, node: RbNode, side: int) -> None:
        """Let the child on the other side take the place of a node, which goes to `side`."""
        child = node.children[1 - side]
        assert child is not None
        self._link(node.parent, _side(node), child)
        self._link(node, 1 - side, child.children[side])
        self._link(child, side, node)

    def _insert_color(self, node: RbNode) -> None:
        while (parent := node.parent) is not None and parent.red:
            grandparent = parent.parent
            assert grandparent is not None
            side = _side(parent)
            uncle = grandparent.children[1 - side]
            if uncle is not None and uncle.red:
                parent.red = uncle.red = False
                grandparent.red = True
                node = grandparent
                continue
            if _side(node) != side:
                self._rotate(parent, side)
                parent = node
            parent.red = False
            grandparent.red = True
            self._rotate(grandparent, 1 - side)
            break
        assert self.node is not None
        self.node.red = False

    def erase(self, item: Any) -> None:
        """rb_erase."""
        node = self.find(item)
        if None not in node.children:
            following = next(_in_order(node.children[RIGHT]))
            node.item = following.item
            node = following
        child = node.children[LEFT] or node.children[RIGHT]
        parent, side = node.parent, _side(node)
        self._link(parent, side, child)
        if child is not None:
            child.red = False
        elif parent is not None and not node.red:
            self._erase_color(parent, side)

    def _erase_color(self, parent: RbNode, side: int) -> None:
        """One black node is missing on a side."""
        while True:
            sibling = parent.children[1 - side]
            assert sibling is not None
            if sibling.red:
                self._rotate(parent, side)
                parent.red, sibling.red = True, False
                sibling = parent.children[1 - side]
                assert sibling is not None
            if not any(child is not None and child.red for child in sibling.children):
                sibling.red = True
                above = parent.parent
                if parent.red or above is None:
                    parent.red = False
                    return
                parent, side = above, _side(parent)
                continue
            outer = sibling.children[1 - side]
            if outer is None or not outer.red:
                self._rotate(sibling, 1 - side)
                outer, sibling = sibling, parent.children[1 - side]
            assert sibling is not None and outer is not None
            self._rotate(parent, side)
            sibling.red, parent.red, outer.red = parent.red, False, False
            return


def _side(node: RbNode) -> int:
    """On which side of its parent a node is."""
    return int(node.parent is not None and node.parent.children[RIGHT] is node)


def _frozen(node: RbNode | None) -> Frozen:
    if node is None:
        return None
    return node.item, node.red, _frozen(node.children[LEFT]), _frozen(node.children[RIGHT])


def _in_order(node: RbNode | None) -> Iterator[RbNode]:
    if node is not None:
        yield from _in_order(node.children[LEFT])
        yield node
        yield from _in_order(node.children[RIGHT])


class RbPlace:
    """A place while descending, as RbLink is one in a tree whose shape does not matter."""

    __slots__ = ("node", "path")

    def __init__(self, node: RbNode | None, path: tuple[int, ...] = ()) -> None:
        self.node = node
        self.path = path

    @property
    def item(self) -> Any:
        """The item here, or None at an empty place."""
        return None if self.node is None else self.node.item

    @property
    def left(self) -> RbPlace:
        """The place among the smaller ones."""
        return self._child(LEFT)

    @property
    def right(self) -> RbPlace:
        """The place among the greater ones."""
        return self._child(RIGHT)

    def _child(self, side: int) -> RbPlace:
        child = None if self.node is None else self.node.children[side]
        return RbPlace(child, (*self.path, side))
