"""The tables of a scenario as arrays, for the compiled walk; what they lack is asked in Python."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import permutations
from typing import Any

import numpy as np

from rmaplab.checker.findings import side_of_race
from rmaplab.checker.native import compiled
from rmaplab.checker.native.compiled import (
    BLOCKED,
    CHILDREN,
    FAULTY,
    FINISHED,
    FIRST_CHILD,
    FLAGS,
    FUTURE,
    LAST,
    TOUCHED,
    TURNS_BACK,
    UNKNOWN,
    WRONG,
)
from rmaplab.checker.native.layout import Layout
from rmaplab.checker.races import Races
from rmaplab.checker.reduction.partial_order import independent
from rmaplab.checker.tables import Effect, Tables
from rmaplab.checker.tries import Node
from rmaplab.machine.cells import Action

EVERY_BIT = (1 << 64) - 1


def random_word(position: int, value: int) -> int:
    """As `compiled.random_word`."""
    return int(compiled.random_word(position, value))


class Growing:
    """An array of integers that gets longer along its first axis, or both of a square."""

    def __init__(self, *shape: int, fill: int = 0, kind: Any = np.int32) -> None:
        self.fill = fill
        self.array = np.full(shape, fill, kind)
        self.used = 0

    def reach(self, *shape: int) -> None:
        """Make it at least this large along its first axes."""
        old = self.array
        if all(have >= want for have, want in zip(old.shape, shape, strict=False)):
            return
        wanted = [
            have if have >= want else max(2 * have, want)
            for have, want in zip(old.shape, shape, strict=False)
        ]
        self.array = np.full((*wanted, *old.shape[len(shape) :]), self.fill, old.dtype)
        self.array[tuple(slice(have) for have in old.shape)] = old

    def append(self, rows: Any) -> int:
        """Put rows at the end: where they begin."""
        begin, self.used = self.used, self.used + len(rows)
        self.reach(self.used)
        if len(rows):
            self.array[begin : self.used] = rows
        return begin


def touched(node: Node) -> tuple[int, int]:
    """The cells that the node's action reads, and writes."""
    assert node.action is not None
    return node.action.read_mask, node.action.write_mask


class Rules:
    """What the tables know now, in arrays that `arrays` gives to compiled code."""

    def __init__(self, tables: Tables, races: Races) -> None:
        self.tables = tables
        self.races = races
        self.layout = Layout.of(self.counts())
        self._actions: dict[Action, int] = {}
        self._varying: list[tuple[int, ...]] = []
        self._responses: list[dict[Any, int]] = []
        self._lines: dict[tuple[str, str], int] = {}
        self._varied = len(tables.varying)
        self._known = [0] * tables.columns
        self.nodes = Growing(tables.columns, 1024, 7)
        self.children = Growing(4096, fill=UNKNOWN)
        self.turns = Growing(4096, kind=np.uint64)
        self.actions = Growing(256, 3)
        self.looks = Growing(1024, 3, kind=np.uint64)
        self.decisions = Growing(4096, fill=UNKNOWN)
        self.effects = Growing(1024, 5)
        self.shifts = Growing(1024, kind=np.uint64)
        self.changes = Growing(1024, 3, kind=np.uint64)
        self.blind = Growing(64)
        self.racing = Growing(256, 256, kind=np.uint8)
        self.told = Growing(256, 256, kind=np.uint8)
        self.apart = Growing(64, 64, fill=UNKNOWN, kind=np.int8)
        self._touched: dict[tuple[int, int], int] = {}
        self._futures: dict[tuple[int, int], int] = {}
        self._effects: dict[Effect, int] = {}
        self._add_nodes()

    def arrays(self) -> compiled.Rules:
        """The arrays as they are now."""
        return compiled.Rules(
            self.layout.fields,
            self.nodes.array,
            self.children.array,
            self.turns.array,
            self.actions.array,
            self.looks.array,
            self.decisions.array,
            self.effects.array,
            self.shifts.array,
            self.changes.array,
            self.blind.array,
            self.racing.array,
            self.told.array,
            self.apart.array,
        )

    def counts(self) -> list[int]:
        """How many numbers there are at each position."""
        locals_ = [len(nodes) for nodes in self.tables.tries.nodes]
        return locals_ + [len(cell.values) for cell in self.tables.varying]

    def catch_up(self) -> Layout | None:
        """Take over local states and cells that are new: the old layout if it had to change."""
        begun = self.tables.varying[self._varied :]
        self._varied = len(self.tables.varying)
        old = None
        if not self.layout.fits(self.counts()):
            old, self.layout = self.layout, Layout.of(self.counts())
            self._begin_anew()
        else:
            self._renew({action: None for cell in begun for action in cell.users})
        self._add_nodes()
        return old

    def _begin_anew(self) -> None:
        """Write all that depends on the layout."""
        for each in (
            self.looks,
            self.decisions,
            self.effects,
            self.shifts,
            self.changes,
            self.blind,
        ):
            each.used = 0
        self._effects = {}
        self._renew(self._actions)

    # Local states

    def _add_nodes(self) -> None:
        fresh = []
        for column, nodes in enumerate(self.tables.tries.nodes):
            fresh += nodes[self._known[column] :]
            self._known[column] = len(nodes)
        self.nodes.reach(self.tables.columns, max(self._known))
        for node in fresh:
            flags = FINISHED * node.finished | FAULTY * (node.fault is not None)
            flags |= LAST * self.tables.last[node.column]
            action = line = 0
            if node.action is not None:
                action, line = self._action(node.action), self._line(node)
            self.nodes.array[node.column, node.number] = (action, flags, line, 0, 0, 0, 0)
        for node in fresh:
            for key, child in node.children.items():
                if child.fault is None and node.action is not None:
                    responses = self._responses[self._actions[node.action]]
                    self._set_child(node, responses.setdefault(key, len(responses)), child)

    def _line(self, node: Node) -> int:
        number = self._lines.setdefault(side_of_race(node), len(self._lines))
        self.told.reach(len(self._lines), len(self._lines))
        return number

    def tell_race(self, one: Node, two: Node) -> None:
        """Note that a race of these lines was told."""
        a, b = self._line(one), self._line(two)
        self.told.array[a, b] = self.told.array[b, a] = 1

    def _set_child(self, node: Node, response: int, child: Node | None) -> None:
        """Note what follows a response; None: it is wrong."""
        place = self._place_of_child(node, response)
        if node.turns_back:
            self.nodes.array[node.column, node.number, FLAGS] |= TURNS_BACK
        if child is None:
            self.children.array[place] = WRONG
            return
        self.children.array[place] = child.number
        turn = random_word(node.column, node.number) ^ random_word(node.column, child.number)
        self.turns.array[place] = turn

    def _place_of_child(self, node: Node, response: int) -> int:
        row = self.nodes.array[node.column, node.number]
        first, count = int(row[FIRST_CHILD]), int(row[CHILDREN])
        if response >= count:
            assert node.action is not None
            wanted = max(response + 1, len(self._responses[self._actions[node.action]]))
            old = slice(first, first + count)
            first = self.children.append([*self.children.array[old], *[UNKNOWN] * (wanted - count)])
            self.turns.append([*self.turns.array[old], *[0] * (wanted - count)])
            row[FIRST_CHILD], row[CHILDREN] = first, wanted
        return first + response

    # What flows may yet do

    def note_futures(self, nodes: Iterable[Node]) -> None:
        """Take over what is known of these local states."""
        for node in nodes:
            row = self.nodes.array[node.column, node.number]
            may = node.future_reads, node.future_writes
            row[FUTURE] = self._futures.setdefault(may, len(self._futures))
            if node.action is not None:
                row[TOUCHED] = self._touched.setdefault(touched(node), len(self._touched))
        self.apart.reach(len(self._touched), len(self._futures))

    def note_independence(self, nodes: Sequence[Node]) -> None:
        """Write down which of these flows' actions are independent of others' futures."""
        for node, other in permutations(nodes, 2):
            one = self.nodes.array[node.column, node.number, TOUCHED]
            two = self.nodes.array[other.column, other.number, FUTURE]
            if node.action is not None and self.apart.array[one, two] == UNKNOWN:
                may = other.future_reads, other.future_writes
                self.apart.array[one, two] = independent(*touched(node), *may)

    # Actions

    def _action(self, action: Action) -> int:
        number = self._actions.get(action)
        if number is None:
            number = len(self._actions)
            self._responses.append({})
            self._varying.append(())
            self.actions.reach(number + 1)
            self.racing.reach(number + 1, number + 1)
            for other, place in self._actions.items():
                races = self.races.race(action, other)
                self.racing.array[number, place] = self.racing.array[place, number] = races
            self._actions[action] = number
            self._renew((action,))
        return number

    def _renew(self, actions: Iterable[Action]) -> None:
        """Write anew what actions do: the cells that they look at are others, or wider."""
        for action in actions:
            number = self._actions.get(action)
            if number is None:
                continue
            root = self._grow_tree(action, 0)
            looks = self.looks.append([self.layout.fields[place] for place in action.varying])
            self.actions.array[number] = root, looks, len(action.varying)
            for key, effect in action.table.items():
                self._decide(action, root, key, effect)

    def _grow_tree(self, action: Action, depth: int) -> int:
        """A new inner node of the tree of an action, for the values of its n-th look."""
        if depth < len(action.varying):
            return self.decisions.append([UNKNOWN] * (1 << self.layout.bits[action.varying[depth]]))
        return self.decisions.append([UNKNOWN])

    def _decide(
        self, action: Action, place: int, key: Sequence[str], effect: Effect | None
    ) -> None:
        for depth, value in enumerate(map(ord, key), 1):
            place += value
            if depth < len(key):
                following = int(self.decisions.array[place])
                if following == UNKNOWN:
                    following = self._grow_tree(action, depth)
                    self.decisions.array[place] = following
                place = following
        if effect is None:
            self.decisions.array[place] = BLOCKED
        else:
            self.decisions.array[place] = self._effect(action, key, effect)

    def _effect(self, action: Action, key: Sequence[str], effect: Effect) -> int:
        number = self._effects.get(effect)
        if number is None:
            responses = self._responses[self._actions[action]]
            told = effect if effect.fault is not None else effect.key
            response = responses.setdefault(told, len(responses))
            before = dict(zip(action.varying, map(ord, key), strict=True))
            news = {position: ord(value) for position, value in effect.changes}
            words = self._words({at: new for at, new in news.items() if before.get(at) != new})
            blind = [position for position in news if position not in before]
            first, also = self.changes.append(words), self.blind.append(blind)
            ends = first, first + len(words), also, also + len(blind)
            number = self.effects.append([(response, *ends)])
            shift = 0
            for position, new in news.items():
                shift ^= random_word(position, new) ^ random_word(position, before.get(position, 0))
            self.shifts.append([shift])
            self._effects[effect] = number
        return number

    def _words(self, news: dict[int, int]) -> list[tuple[int, int, int]]:
        """Changes, those of one word together: the word, what stays, what is set."""
        found: dict[int, tuple[int, int, int]] = {}
        for position, new in news.items():
            word, shift, mask = map(int, self.layout.fields[position])
            _, stays, sets = found.get(word, (word, EVERY_BIT, 0))
            found[word] = word, stays & ~(mask << shift), sets | new << shift
        return list(found.values())

    # Answers

    def take_over(self, state: str, node: Node) -> None:
        """Write down what a flow's next action does in a state; Python was asked before."""
        action = node.action
        assert action is not None
        effect = self.tables.effect(state, node)
        key = action.looks(state)
        self._decide(action, int(self.actions.array[self._actions[action], 0]), key, effect)
        if effect is None:
            return
        responses = self._responses[self._actions[action]]
        if effect.fault is not None:
            self._set_child(node, responses[effect], None)
            return
        child = node.children[effect.key]
        self._set_child(node, responses[effect.key], child if child.fault is None else None)
