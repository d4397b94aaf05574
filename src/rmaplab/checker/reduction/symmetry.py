"""Symmetry: of states that differ only in which of several equal flows is where, one is enough.

Flows are equal if swapping them, with all that is theirs, takes the start to itself and each answer
of the tables to another; that is not assumed but compared, answer by answer (renaming.py).
So the successors of a state's image are the images of its successors, and a state of which an image
is kept need not be: docs/how-the-checker-works.md has the argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, permutations, product
from math import factorial, prod
from typing import NoReturn

from rmaplab.checker.reduction.renaming import AsymmetryError, OrderError, Renaming, Unordered
from rmaplab.checker.tables import Tables
from rmaplab.checker.tries import Node

#: Flows are run alone for at most so many steps, to see what is theirs.
ALONE = 2_000

#: Images of a state that are looked at to find the least; of more, not every one.
MOST_IMAGES = 720

#: For each set of equal flows, in whose place each of them is put.
Arrangement = tuple[tuple[int, ...], ...]


class Image:
    """The states after several renamings, one after the other; lists without their order."""

    def __init__(self, tables: Tables, unordered: Unordered, renamings: Sequence[Renaming]) -> None:
        self.tables = tables
        self.unordered = unordered
        self.renamings = renamings
        self._moves: list[dict[str, tuple[int, str]]] = []

    def __call__(self, state: str) -> str:
        """The image of a state."""
        while len(self._moves) < len(state):
            self._moves.append({})
        columns = self.tables.columns
        short = state.rstrip("\0").ljust(columns, "\0")
        image = ["\0"] * len(state)
        for place, number in enumerate(short):
            if number == "\0" and place >= columns:
                continue
            known = self._moves[place]
            if number not in known:
                known[number] = self._move(place, ord(number))
            to, new = known[number]
            image[to] = new
        return "".join(image)

    def _move(self, place: int, number: int) -> tuple[int, str]:
        tables = self.tables
        if place < tables.columns:
            node = tables.tries.nodes[place][number]
            for renaming in self.renamings:
                node = renaming.nodes[node]
            return node.column, chr(node.number)
        cell = tables.varying[place - tables.columns]
        number = self.unordered.number(cell, cell.values[number])
        for renaming in self.renamings:
            cell, number = renaming.number(cell, number)
        if not cell.position:
            raise AsymmetryError
        return cell.position, chr(number)


class Symmetry:
    """Which flows are equal, as far as the tables were asked; and the states seen up to that."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.unordered = Unordered()
        self._different: set[tuple[int, int]] = set()
        self._chains: list[list[int]] = []
        self._swaps: list[tuple[Renaming, Image]] = []
        self._begun = False

    @property
    def order(self) -> int:
        """How many images a state has at most."""
        return prod(factorial(len(chain)) for chain in self._chains)

    def begin(self, start: str) -> bool:
        """Before a walk: whether any flows are equal."""
        while not self._begun:
            try:
                self._find(start)
                self._begun = True
                self.learn()
            except AsymmetryError:
                self._begun = False
        self._seen: set[str] = set()
        return bool(self._chains) and self.is_new(start)

    # Which flows are equal

    def _find(self, start: str) -> None:
        self._done = 0
        self._swaps = []
        self._images: dict[Arrangement, Image] = {}
        self._classes: dict[Node, int] = {}
        self._itself = Image(self.tables, self.unordered, ())
        chains: list[list[int]] = []
        for column in range(self.tables.columns):
            for chain in chains:
                if self._join(chain[-1], column, start):
                    chain.append(column)
                    break
            else:
                chains.append([column])
        self._chains = [chain for chain in chains if len(chain) > 1]

    def _join(self, first: int, second: int, start: str) -> bool:
        """Whether two flows seem equal; from how each runs alone, it is guessed what is whose."""
        if (first, second) in self._different or self._shape(first) != self._shape(second):
            return False
        renaming = Renaming(self.tables, self.unordered, first, second)
        try:
            self._run_alone(renaming, start)
            for column, twin in enumerate(renaming.columns):
                root = self.tables.tries.root
                renaming.hold_node(root(column, 0), root(twin, 0))
        except OrderError:
            raise
        except AsymmetryError:
            self._different.add((first, second))
            return False
        self._swaps.append((renaming, Image(self.tables, self.unordered, (renaming,))))
        return True

    def _shape(self, column: int) -> object:
        flow = self.tables.scenario.flows[column]
        calls = [(call.repeat, call.skip, call.fail) for call in flow.calls]
        return calls if calls and not flow.last else column

    def _run_alone(self, renaming: Renaming, start: str) -> None:
        """Let what one flow touches be the image of what the other does."""
        tables = self.tables
        first, second = renaming.swapped
        states = [start, start]
        for _ in range(ALONE):
            one, other = tables.node(states[0], first), tables.node(states[1], second)
            if one.action is None or other.action is None:
                return
            if (one.action.name, one.action.field) != (other.action.name, other.action.field):
                raise AsymmetryError
            renaming.pair(one.action.ref, other.action.ref)
            stepped = tables.step(states[0], first), tables.step(states[1], second)
            if stepped[0] is None or stepped[1] is None or stepped[0][1] or stepped[1][1]:
                return
            states = [stepped[0][0], stepped[1][0]]

    # What they are held to

    def learn(self) -> None:
        """Compare every answer of the tables with its image's; AsymmetryError if they differ."""
        asked = self.tables.asked
        while self._chains and self._done < len(asked):
            if asked[self._done] != asked[self._done - 1] or not self._done:
                self._hold_all(*asked[self._done])
            self._done += 1

    def _hold_all(self, state: str, column: int) -> None:
        state = state.ljust(self.tables.width, "\0")
        for renaming, image in self._swaps:
            try:
                self._hold(renaming, image, state, column)
            except AsymmetryError as error:
                self._refute([renaming], error)

    def _refute(self, renamings: list[Renaming], error: AsymmetryError) -> NoReturn:
        """Go on without these from the next walk on, unless it is a list's order that was wrong."""
        if not isinstance(error, OrderError):
            self._different.update(renaming.swapped for renaming in renamings)
        self._begun = False
        raise error

    def _hold(self, renaming: Renaming, image: Image, state: str, column: int) -> None:
        """The image of a step must be the step of the image."""
        tables, mirrored, twin = self.tables, image(state), renaming.columns[column]
        node, other = tables.node(state, column), tables.node(mirrored, twin)
        effects = tables.effect(state, node), tables.effect(mirrored, other)
        kinds = [each and each.fault and each.fault.kind for each in effects]
        if kinds[0] != kinds[1] or (effects[0] is None) != (effects[1] is None):
            raise AsymmetryError
        if effects[0] is None or effects[1] is None or kinds[0] is not None:
            return
        assert node.action is not None and other.action is not None
        renaming.hold_response(node.action, effects[0].key, other.action, effects[1].key)
        steps = tables.step(state, column), tables.step(mirrored, twin)
        assert steps[0] is not None and steps[1] is not None
        after, also = steps[0][0], steps[1][0]
        renaming.hold_node(tables.node(after, column), tables.node(also, twin))
        if image(after) != self._itself(also):
            raise AsymmetryError

    # States

    def is_new(self, state: str) -> bool:
        """Whether no image of the state was asked for before."""
        self.learn()
        try:
            key = min(self._image(each)(state) for each in self._arrangements(state))
        except AsymmetryError as error:
            self._refute([renaming for renaming, _ in self._swaps], error)
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def ends(self, state: str) -> set[str]:
        """The memories of an end and its images, which must be as right or wrong as it is."""
        self.learn()
        for cell in tuple(self.unordered.cells):
            if len(self.tables.value(state, cell)) > 1:
                self._begun = False
                self.unordered.look(cell)
        found, todo = {state}, [state]
        while todo:
            one = todo.pop()
            for renaming, image in self._swaps:
                other = image(one)
                if other not in found:
                    found.add(other)
                    todo.append(other)
                    if self._wrong(one) != self._wrong(other):
                        self._refute([renaming], AsymmetryError())
        return {each[self.tables.columns :] for each in found}

    def _wrong(self, state: str) -> object:
        fault = self.tables.check_end(state)
        return fault and (fault.kind, type(fault.subject).__name__, fault.field)

    def _arrangements(self, state: str) -> Iterable[Arrangement]:
        """The ways to put the flows in the order of their local states."""
        orders = [list(self._orders(chain, state)) for chain in self._chains]
        if prod(map(len, orders)) > MOST_IMAGES:
            orders = [each[:1] for each in orders]
        return product(*orders)

    def _orders(self, chain: list[int], state: str) -> Iterator[tuple[int, ...]]:
        def rank(column: int) -> int:
            return self._class(self.tables.node(state, column))

        blocks = [list(each) for _, each in groupby(sorted(chain, key=rank), rank)]
        within = [
            [block] if len(block) == 1 else self._ties(chain, block, state) for block in blocks
        ]
        for chosen in product(*within):
            yield tuple(column for block in chosen for column in block)

    def _ties(self, chain: list[int], block: list[int], state: str) -> list[list[int]]:
        """The orders of flows in the same local state; those alike in all else stay in theirs."""
        alike: dict[int, list[int]] = {}
        for column in block:
            for first, others in alike.items():
                if self._swapped(chain, first, column)(state) == self._itself(state):
                    others.append(column)
                    break
            else:
                alike[column] = [column]
        if len(alike) == 1 or factorial(len(block)) > MOST_IMAGES:
            return [block]
        labels = [first for first, others in alike.items() for _ in others]
        orders = []
        for order in sorted(set(permutations(labels))):
            left = {first: iter(others) for first, others in alike.items()}
            orders.append([next(left[first]) for first in order])
        return orders

    def _swapped(self, chain: list[int], one: int, other: int) -> Image:
        swap = {one: other, other: one}
        order = tuple(swap.get(column, column) for column in chain)
        return self._image(tuple(order if each is chain else tuple(each) for each in self._chains))

    def _image(self, arrangement: Arrangement) -> Image:
        found = self._images.get(arrangement)
        if found is None:
            swaps = {renaming.swapped: renaming for renaming, _ in self._swaps}
            steps: list[Renaming] = []
            for chain, order in zip(self._chains, arrangement, strict=True):
                now = list(chain)
                for place, column in enumerate(order):
                    for at in range(now.index(column), place, -1):
                        now[at - 1], now[at] = now[at], now[at - 1]
                        steps.append(swaps[chain[at - 1], chain[at]])
            found = self._images[arrangement] = Image(self.tables, self.unordered, steps)
        return found

    def _class(self, node: Node) -> int:
        """The number of a local state and its images."""
        found = self._classes.get(node)
        if found is None:
            found = self._classes[node] = len(self._classes)
            todo = [node]
            for one in todo:
                images = [renaming.nodes[one] for renaming, _ in self._swaps]
                todo += [each for each in images if each not in self._classes]
                self._classes.update(dict.fromkeys(images, found))
        return found
