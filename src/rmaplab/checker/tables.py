"""What an action does, looked up: the product of the flows and the memory, state by state.

A state is a string: for each flow the number of its local state, then the numbers of the values
of those cells that ever changed. What an action does to the values of its cells is looked up,
and asked of the rule book once.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import getitem
from typing import Any, TypeVar

from rmaplab.checker.coverage import Lines
from rmaplab.checker.program import Scenario
from rmaplab.checker.tries import Node, Tries
from rmaplab.machine.cells import Action, Cell, key_of
from rmaplab.machine.faults import KernelStateError
from rmaplab.machine.rules import BLOCKED

T = TypeVar("T")


class WidthExceededError(Exception):
    """More cells vary than the states of this walk have room for: walk again, wider."""


#: What becomes of a state: the characters that change, by position, and what is wrong then.
Turn = tuple[tuple[tuple[int, str], ...], KernelStateError | None]


class Effect:
    """What an action does in certain values of its cells; `turns`: beginning at a local state."""

    __slots__ = ("changes", "fault", "key", "response", "turns")

    def __init__(self, changes: Any, response: Any, fault: KernelStateError | None) -> None:
        self.changes = changes
        self.response = response
        self.key = key_of(response)
        self.fault = fault
        self.turns: dict[Node, Turn] = {}


def _about(action: Action, fault: KernelStateError) -> KernelStateError:
    """The fault with the object and field that the action is about.

    Without its traceback, whose frames would keep the whole walk in memory.
    """
    if fault.subject is not None or action.ref is None:
        return fault.with_traceback(None)
    message = f"{action.label()}: {fault.message}"
    return KernelStateError(fault.kind, message, action.ref, action.field, fault.after)


class Tables:
    """The tables of a scenario: filled on demand, warm for every walk after the first."""

    def __init__(self, scenario: Scenario, lines: Lines | None = None) -> None:
        self.scenario = scenario
        self.tries = Tries(scenario.machine, scenario.flows, lines)
        self.columns = len(scenario.flows)
        self.last = [flow.last for flow in scenario.flows]
        self._has_last = any(self.last)
        self.varying: list[Cell] = []
        self.width = 0
        #: What the tables were asked, and answered by running code, in order: states and columns.
        self.asked: list[tuple[str, int]] = []
        self._checked: dict[str, KernelStateError | None] = {}

    # States

    def with_room(self, walk: Callable[[], T]) -> T:
        """What a walk gives, begun anew and wider where more cells vary than it has room for."""
        while True:
            try:
                return walk()
            except WidthExceededError:
                continue

    def start(self, room: int = 64) -> str:
        """The state in which every walk begins; so many more cells may begin to vary."""
        self.width = self.columns + len(self.varying) + room
        roots = [self.tries.root(column, 0).number for column in range(self.columns)]
        return "".join(map(chr, roots)).ljust(self.width, "\0")

    def node(self, state: str, column: int) -> Node:
        """The local state of a flow."""
        return self.tries.nodes[column][ord(state[column])]

    def value(self, state: str, cell: Cell) -> Any:
        """What a cell holds in a state."""
        return cell.values[ord(state[cell.position])] if cell.position else cell.values[0]

    def effect(self, state: str, node: Node) -> Effect | None:
        """What the action of a local state does here: None if it has to wait."""
        action = node.action
        assert action is not None
        try:
            return action.table[action.looks(state)]  # type: ignore[no-any-return]
        except KeyError:
            pass
        self.asked.append((state, node.column))
        return self._ask(state, action)

    def _ask(self, state: str, action: Action) -> Effect | None:
        values = [self.value(state, cell) for cell in action.cells]
        effect: Effect | None
        try:
            outcome = action.evaluate(values)
        except KernelStateError as fault:
            effect = Effect((), None, _about(action, fault))
        else:
            effect = None if outcome is BLOCKED else self._changes(action, outcome)
        action.table[action.looks(state)] = effect
        return effect

    def _changes(self, action: Action, outcome: Any) -> Effect:
        news, response = outcome
        stores = [*zip(action.data, news, strict=True), *action.blind]
        changes = []
        for cell, new in stores:
            number = cell.intern(new)
            if number and not cell.position:
                self._begin_to_vary(cell)
            if cell.position:
                changes.append((cell.position, chr(number)))
        return Effect(tuple(changes), response, None)

    def _begin_to_vary(self, cell: Cell) -> None:
        cell.position = self.columns + len(self.varying)
        self.varying.append(cell)
        for action in cell.users:
            action.forget()
        if cell.position >= self.width:
            raise WidthExceededError

    def step(self, state: str, column: int) -> tuple[str, KernelStateError | None] | None:
        """Let one flow do its next action: the state after, or what is wrong; None if it waits."""
        node = self.tries.nodes[column][ord(state[column])]
        effect = self.effect(state, node)
        if effect is None:
            return None
        changes, fault = effect.turns.get(node) or self._turn(state, node, effect)
        for position, value in changes:
            state = state[:position] + value + state[position + 1 :]
        return state, fault

    def _turn(self, state: str, node: Node, effect: Effect) -> Turn:
        if effect.fault is not None:
            return (), effect.fault
        if effect.key not in node.children:
            self.asked.append((state, node.column))
        child = self.tries.child(node, effect.response)
        turn = (*effect.changes, (node.column, chr(child.number))), child.fault
        effect.turns[node] = turn
        return turn

    def runnable(self, state: str) -> tuple[Node, ...]:
        """The flows that have not finished; the last one only when no other is left."""
        nodes = map(getitem, self.tries.nodes, map(ord, state))
        left = [node for node in nodes if not node.finished]
        if self._has_last:
            left = [node for node in left if not self.last[node.column]] or left
        return tuple(left)

    def check_end(self, state: str) -> KernelStateError | None:
        """What is wrong with a state in which all have finished."""
        memory = state[self.columns :].rstrip("\0")
        if memory not in self._checked:
            self._checked[memory] = self._look(state)
        return self._checked[memory]

    def _look(self, state: str) -> KernelStateError | None:
        machine = self.scenario.machine
        for cell in machine.cells:
            cell.current = self.value(state, cell)
        try:
            with machine.observing():
                self.scenario.check_end()
        except KernelStateError as fault:
            return fault.with_traceback(None)
        finally:
            for cell in machine.cells:
                cell.current = cell.values[0]
        return None
