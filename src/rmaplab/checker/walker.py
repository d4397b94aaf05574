"""The walk over all states, breadth first, in plain Python.

A state is a string: for each flow the number of its local state, then the numbers of the values
of those cells that ever changed. What an action does to the values of its cells is looked up,
and asked of the rule book once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rmaplab.checker.coverage import Lines
from rmaplab.checker.program import Scenario
from rmaplab.checker.races import Races
from rmaplab.checker.reduction import Alone, Futures
from rmaplab.checker.tries import Node, Tries
from rmaplab.machine.cells import Action, Cell, key_of
from rmaplab.machine.faults import KernelStateError
from rmaplab.machine.rules import BLOCKED

#: Local states of a flow that a state, a string with a character for each flow, has room for.
LOCAL_STATES = 1_000_000

#: States expanded between two looks at the limits.
LOOK_EVERY = 2_000


@dataclass(frozen=True)
class Limits:
    """Where a walk gives up: states stored, seconds."""

    states: int = 5_000_000
    seconds: float = 600.0


@dataclass
class Finding:
    """A wrong state: the columns of the steps that lead there, and what is wrong."""

    fault: KernelStateError
    path: tuple[int, ...]
    #: Flows whose next action belongs to the finding: both sides of a race, all of a deadlock.
    pending: tuple[int, ...] = ()
    at_end: bool = False


@dataclass
class Walk:
    """What one walk gave."""

    states: int = 0
    transitions: int = 0
    depth: int = 0
    finding: Finding | None = None
    race: Finding | None = None
    limit: str = ""
    terminals: set[str] = field(default_factory=set)


class WidthExceededError(Exception):
    """More cells vary than the states of this walk have room for: walk again, wider."""


class Effect:
    """What an action does in certain values of its cells."""

    __slots__ = ("changes", "fault", "key", "response")

    def __init__(self, changes: Any, response: Any, fault: KernelStateError | None) -> None:
        self.changes = changes
        self.response = response
        self.key = key_of(response)
        self.fault = fault


def _about(action: Action, fault: KernelStateError) -> KernelStateError:
    """The fault with the object and field that the action is about."""
    if fault.subject is not None or action.ref is None:
        return fault
    message = f"{action.label()}: {fault.message}"
    return KernelStateError(fault.kind, message, action.ref, action.field, fault.after)


Progress = Callable[[int, int, int, int], None]


class Walker:
    """Walks the product of the flows and the memory; tables stay warm between walks."""

    def __init__(self, scenario: Scenario, lines: Lines | None = None) -> None:
        self.scenario = scenario
        self.tries = Tries(scenario.machine, scenario.flows, lines)
        self.futures = Futures(self.tries)
        self.races = Races()
        self.columns = len(scenario.flows)
        self.last = [flow.last for flow in scenario.flows]
        self.varying: list[Cell] = []
        self.width = 0
        self._checked: dict[str, KernelStateError | None] = {}

    # States

    def start(self) -> str:
        """The state in which every walk begins."""
        self.width = self.columns + len(self.varying) + 64
        roots = [self.tries.root(column, 0).number for column in range(self.columns)]
        return "".join(map(chr, roots)).ljust(self.width, "\0")

    def node(self, state: str, column: int) -> Node:
        """The local state of a flow."""
        return self.tries.nodes[column][ord(state[column])]

    def value(self, state: str, cell: Cell) -> Any:
        """What a cell holds in a state."""
        return cell.values[ord(state[cell.position])] if cell.position else cell.values[0]

    def effect(self, state: str, action: Action) -> Effect | None:
        """What an action does here: None if it has to wait."""
        key = "".join([state[position] for position in action.varying])
        try:
            return action.table[key]  # type: ignore[no-any-return]
        except KeyError:
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
        key = "".join([state[position] for position in action.varying])
        action.table[key] = effect
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
        node = self.node(state, column)
        assert node.action is not None
        effect = self.effect(state, node.action)
        if effect is None:
            return None
        if effect.fault is not None:
            return state, effect.fault
        child = node.children.get(effect.key)
        if child is None:
            child = self.tries.child(node, effect.response)
        for position, value in effect.changes:
            state = state[:position] + value + state[position + 1 :]
        state = state[:column] + chr(child.number) + state[column + 1 :]
        return state, child.fault

    def runnable(self, state: str) -> list[Node]:
        """The flows that have not finished; the last one only when no other is left."""
        nodes = [self.node(state, column) for column in range(self.columns)]
        left = [node for node in nodes if not node.finished and not self.last[node.column]]
        return left or [node for node in nodes if not node.finished]

    # The walk

    def walk(
        self,
        reduce: bool,
        limits: Limits,
        progress: Progress | None = None,
        race_ends: bool = False,
    ) -> Walk:
        """Walk once from the start; stops at the first hard finding, or at the first race."""
        while True:
            try:
                return _Search(self, reduce, limits, progress, race_ends).run()
            except WidthExceededError:
                continue

    def check_end(self, state: str) -> KernelStateError | None:
        """What is wrong with a state in which all have finished."""
        memory = state[self.columns :]
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
            return fault
        finally:
            for cell in machine.cells:
                cell.current = cell.values[0]
        return None


class _Search:
    """One walk: its frontier, and where each state was first reached from."""

    def __init__(
        self,
        walker: Walker,
        reduce: bool,
        limits: Limits,
        progress: Progress | None,
        race_ends: bool,
    ) -> None:
        self.walker = walker
        self.reduce = reduce
        self.limits = limits
        self.progress = progress
        self.race_ends = race_ends
        self.result = Walk()
        self.end = time.monotonic() + limits.seconds
        self.origin: dict[str, tuple[str, int] | None] = {}
        self.alone = Alone(walker.futures)

    def run(self) -> Walk:
        """Level by level; then again from where a flow turns out not to have been alone."""
        start = self.walker.start()
        self.origin = {start: None}
        level = [start]
        while level:
            self._levels(level)
            level = self.alone.no_longer() if self.reduce and self._going_on() else []
        self.result.states = len(self.origin)
        return self.result

    def _going_on(self) -> bool:
        return not self._found() and not self.result.limit

    def _found(self) -> bool:
        return bool(self.result.finding or (self.race_ends and self.result.race))

    def _levels(self, level: list[str]) -> None:
        while level and self._going_on():
            following: list[str] = []
            for number, state in enumerate(level):
                self._expand(state, following)
                if self._found():
                    break
                if number % LOOK_EVERY == LOOK_EVERY - 1:
                    self._look_at_limits(following)
                    if self.result.limit:
                        break
            self.result.depth += 1
            self._look_at_limits(following)
            level = following

    def _look_at_limits(self, following: list[str]) -> None:
        if len(self.origin) > self.limits.states:
            self.result.limit = f"more than {self.limits.states} states"
        if time.monotonic() > self.end:
            self.result.limit = f"more than {self.limits.seconds:.0f} s"
        if any(len(nodes) > LOCAL_STATES for nodes in self.walker.tries.nodes):
            self.result.limit = f"more than {LOCAL_STATES} local states of one CPU"
        if self.progress is not None:
            result = self.result
            self.progress(len(self.origin), result.transitions, len(following), result.depth)

    def _expand(self, state: str, following: list[str]) -> None:
        nodes = self.walker.runnable(state)
        if not nodes:
            self._finish(state)
            return
        if self._wrong_at_once(state, nodes):
            return
        self._look_for_races(state, nodes)
        if self.reduce and len(nodes) > 1:
            together = tuple(nodes)
            alone = self.alone.candidate(together)
            if alone is not None and self._went_alone(state, alone, following):
                self.alone.note(together, state)
                return
        moved = False
        for node in nodes:
            moved = self._try(state, node, following) or moved
        if not moved:
            self._deadlock(state, nodes)

    def _went_alone(self, state: str, node: Node, following: list[str]) -> bool:
        """Let one flow go; the others too where its loop begins anew, or they might never."""
        return self._try(state, node, following) and not node.turns_back

    def _try(self, state: str, node: Node, following: list[str]) -> bool:
        stepped = self.walker.step(state, node.column)
        if stepped is None:
            return False
        after, fault = stepped
        self.result.transitions += 1
        if fault is not None:
            if self.result.finding is None:
                path = (*self._path(state), node.column)
                self.result.finding = Finding(fault, path)
        elif after not in self.origin:
            self.origin[after] = (state, node.column)
            following.append(after)
        return True

    def _path(self, state: str) -> tuple[int, ...]:
        columns = []
        origin = self.origin[state]
        while origin is not None:
            state, column = origin
            columns.append(column)
            origin = self.origin[state]
        return tuple(reversed(columns))

    def _finish(self, state: str) -> None:
        self.result.terminals.add(state[self.walker.columns :])
        fault = self.walker.check_end(state)
        if fault is not None:
            self.result.finding = Finding(fault, self._path(state), at_end=True)

    def _wrong_at_once(self, state: str, nodes: list[Node]) -> bool:
        """Whether a flow goes wrong before it touches anything: its first call may."""
        for node in nodes:
            if node.fault is not None:
                self.result.finding = Finding(node.fault, self._path(state), (node.column,))
                return True
        return False

    def _deadlock(self, state: str, nodes: list[Node]) -> None:
        waits = [f"CPU{node.action.cpu} for {node.action.label()}" for node in nodes if node.action]
        first = nodes[0].action
        assert first is not None
        message = "waiting for ever: " + ", ".join(waits)
        fault = KernelStateError("deadlock", message, first.ref, first.field)
        pending = tuple(node.column for node in nodes)
        self.result.finding = Finding(fault, self._path(state), pending)

    def _look_for_races(self, state: str, nodes: list[Node]) -> None:
        if self.result.race is not None:
            return
        pair = self.walker.races.find(nodes)
        if pair is None:
            return
        action = pair[0].action
        assert action is not None
        fault = KernelStateError(
            "data-race", f"unlocked accesses to {action.label()}", action.ref, action.field
        )
        pending = (pair[0].column, pair[1].column)
        self.result.race = Finding(fault, self._path(state), pending)
