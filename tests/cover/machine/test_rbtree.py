"""Red-black trees, held against what makes a tree one, and against trees of the books."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmaplab.machine import KernelStateError
from rmaplab.machine.rbtree import Frozen, RbPlace, RbRoot


def path_to(root: RbRoot, number: int) -> tuple[int, ...]:
    place = RbPlace(root.node)
    while place.item is not None:
        place = place.left if number < place.item else place.right
    return place.path


def tree_of(*numbers: int) -> RbRoot:
    root = RbRoot()
    for number in numbers:
        root.insert(number, path_to(root, number))
    return root


def black_height(frozen: Frozen, parent_is_red: bool) -> int:
    """The black nodes on each way down: as many on all. No red one has a red child."""
    if frozen is None:
        return 0
    _, red, left, right = frozen
    assert not (red and parent_is_red)
    height = black_height(left, red)
    assert height == black_height(right, red)
    return height + (not red)


def shown(frozen: Frozen) -> str:
    """A node as `(left item right)`, red ones with a `*`."""
    if frozen is None:
        return "."
    item, red, left, right = frozen
    inside = f"{item}{'*' * red}"
    return inside if left is right is None else f"({shown(left)} {inside} {shown(right)})"


@given(program=st.lists(st.integers(0, 30), max_size=80))
def test_a_tree_stays_red_and_black_and_in_order(program: list[int]) -> None:
    root, model = RbRoot(), set()
    for number in program:  # one that is there goes, one that is not comes
        if number in model:
            root.erase(number)
        else:
            root.insert(number, path_to(root, number))
        model ^= {number}
        assert [node.item for node in root.nodes()] == sorted(model)
        assert black_height(root.frozen(), parent_is_red=True) >= 0
        assert RbRoot(root.frozen()).frozen() == root.frozen()


def test_the_tree_of_the_book_is_built_as_there() -> None:
    """[CLRS], exercise 13.3-2: 41, 38, 31, 12, 19, 8."""
    assert shown(tree_of(41, 38, 31, 12, 19, 8).frozen()) == "(((8* 12 .) 19* 31) 38 41)"


def test_the_tree_of_the_book_is_taken_down_as_there() -> None:
    """[CLRS], exercise 13.4-3: 8, 12, 19, 31, 38, 41."""
    root = tree_of(41, 38, 31, 12, 19, 8)
    seen = []
    for number in (8, 12, 19, 31, 38, 41):
        root.erase(number)
        seen.append(shown(root.frozen()))

    assert seen == [
        "((12 19* 31) 38 41)",
        "((. 19 31*) 38 41)",
        "(31 38 41)",
        "(. 38 41*)",
        "41",
        ".",
    ]


def test_what_is_not_there_cannot_go() -> None:
    with pytest.raises(KernelStateError, match="not in the tree"):
        tree_of(1).erase(2)
    with pytest.raises(KernelStateError, match="not in the tree"):
        tree_of(1).insert(5, (1, 1))
