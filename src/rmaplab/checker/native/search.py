"""The walk over all states in compiled code: the same answers as the walk in plain Python.

Level by level, block by block: each half expands a block of its states, then takes in those
successors that belong to it.  A state of which something is not known yet is put aside, Python
answers, and it is taken up again in the same level.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from rmaplab.checker.exploration import Enough, Exploration, Progress, Walk
from rmaplab.checker.native import compiled
from rmaplab.checker.native.checkpoint import ARRAYS, NUMBERS, ask_again, load, questions, save
from rmaplab.checker.native.compiled import ENDED, FAULT, STUCK
from rmaplab.checker.native.halves import NOWHERE, Half
from rmaplab.checker.native.layout import Layout
from rmaplab.checker.native.rules import Rules
from rmaplab.checker.options import Limits, Native
from rmaplab.checker.reduction.partial_order import Futures
from rmaplab.checker.tables import Tables
from rmaplab.checker.trace import replay
from rmaplab.checker.tries import Node

#: States of a half that are expanded before successors are taken in.
BLOCK = 8192
#: States that are handed to Python at once.
EVENTS = 128
#: Fewer states than this are not worth a thread.
ALONE = 512
#: Cells that may begin to vary before the walk begins anew.
ROOM = 4096


class _Buffer:
    """What one half expanded: successors by half, and states for Python."""

    def __init__(self, columns: int) -> None:
        rows = (BLOCK + 1) * columns
        self.out = np.empty((2, rows, 3), np.uint64)
        self.made = np.zeros(2, np.int64)
        self.events = np.zeros((EVENTS, 2), np.int64)
        self.told = 0
        self.steps = 0


@dataclass(frozen=True)
class Logged:
    """The way to a state of a half, by its place in the log, and a step beyond it."""

    half: int
    place: int
    step: tuple[int, ...] = ()


#: A way, or all its columns where it is in no log.
Way = Logged | tuple[int, ...]


class NativeSearch(Exploration):
    """One walk in compiled code; with `futures` it is reduced: a flow may go alone."""

    _grown = False

    def __init__(
        self,
        tables: Tables,
        native: Native,
        limits: Limits,
        progress: Progress | None,
        enough: Enough,
        futures: Futures | None = None,
    ) -> None:
        super().__init__(tables, limits, progress, enough)
        self.native = native
        self.futures = futures

    def run(self) -> Walk:
        """Walk; reduced, again from the start until nothing more is known of what flows may do."""
        with ThreadPoolExecutor(1) as self.other:
            self._walk()
            while self._grown and not self.ended:
                self.result.transitions = self.result.depth = 0
                self.result.terminals = set()
                self._walk()
        if not self.result.limit:
            self._discard()
        self.result.states = self.stored()
        if not self.native.exact:
            self.result.omission = self.result.states**2 / 2**65
        return self.result

    def _walk(self) -> None:
        """Level by level."""
        if not self._resume():
            self._begin()
        while self._queued() and not self.ended:
            for half in self.halves:
                half.begin_level()
            self._level()

    @cached_property
    def rules(self) -> Rules:
        """The tables as arrays, once the first local states are known; they last all walks."""
        rules = Rules(self.tables, self.races)
        if self.futures is not None:
            self.futures.update()
            rules.note_futures(chain(*self.tables.tries.nodes))
        return rules

    def _make(self) -> None:
        """The halves of a walk, with nothing in them."""
        width, exact = self.rules.layout.width, self.native.exact
        self.halves = (Half(0, width, exact), Half(1, width, exact))
        self.buffers = (_Buffer(self.tables.columns), _Buffer(self.tables.columns))
        self._due = time.monotonic() + self.native.interval
        self._grown = False

    def _learn_futures(self) -> None:
        """Bring up to date what flows may yet do: a reduced walk is void if that grows in it."""
        if self.futures is not None:
            grown = self.futures.update()
            self._grown = self._grown or bool(grown)
            self.rules.note_futures(grown)

    def _begin(self) -> None:
        start = self.tables.start(ROOM)
        self._make()
        layout = self.rules.layout
        row = np.zeros(layout.width, np.uint64)
        for column in range(self.tables.columns):
            number = ord(start[column])
            row[0] ^= compiled.random_word(column, number)
            layout.put(row, column, number)
        self.halves[int(row[0]) & 1].begin(row)

    def stored(self) -> int:
        """How many states are kept, by their fingerprints at least."""
        return sum(half.stored for half in self.halves)

    def memory(self) -> int:
        """Resident now, and what the tables are about to grow by."""
        most = 2 * BLOCK * self.tables.columns
        return super().memory() + sum(half.growth(most) for half in self.halves)

    def _queued(self) -> int:
        return sum(half.waiting for half in self.halves)

    # Levels

    def _level(self) -> None:
        """Expand what is left of this level."""
        while not self.ended:
            chosen = [half.choose(BLOCK) for half in self.halves]
            work = sum(map(len, chosen))
            if not work:
                break
            rules = self.rules.arrays()
            self._both(lambda n: self._expand_half(n, rules, chosen[n]), work)  # noqa: B023
            for half in self.halves:
                half.make_room(self._made(half.number))
            self._both(lambda n: self._take_in(n, rules), work)  # noqa: B023
            self._tell()
            self.look_at_limits(self._queued())
            self._save_if_due()
        self.result.depth += 1
        self.expected.level(self._queued(), self.stored())

    def _both(self, do: Callable[[int], None], work: int) -> None:
        """Do something for each half, at the same time if it is worth it."""
        if work < ALONE or self.native.cores < 2:
            do(0)
            do(1)
            return
        other = self.other.submit(do, 1)
        do(0)
        other.result()

    def _expand_half(self, number: int, rules: compiled.Rules, chosen: Any) -> None:
        half, buffer = self.halves[number], self.buffers[number]
        taken, buffer.steps, buffer.told = compiled.expand(
            rules,
            self.tables.columns,
            half.states,
            chosen,
            buffer.out,
            buffer.made,
            buffer.events,
            self.futures is not None,
        )
        half.chosen(taken)

    def _made(self, number: int) -> int:
        return sum(int(buffer.made[number]) for buffer in self.buffers)

    def _take_in(self, number: int, rules: compiled.Rules) -> None:
        for half, buffer in zip(self.halves, self.buffers, strict=True):
            made = int(buffer.made[number])
            if made:
                self.halves[number].take_in(rules, half, buffer.out, made)

    # What Python must see

    def _tell(self) -> None:
        self.result.transitions += sum(buffer.steps for buffer in self.buffers)
        seen = [
            (half, int(place), int(why), self._state(half.states[place]))
            for half, buffer in zip(self.halves, self.buffers, strict=True)
            for place, why in buffer.events[: buffer.told]
        ]
        questions: dict[tuple[Node, Any], str] = {}
        for half, place, why, state in seen:
            if self.ended:
                return
            if self._see(state, why, Logged(half.number, half.level + place), questions):
                half.again.append(place)
        if questions:
            self._catch_up(questions)

    def _see(self, state: str, why: int, way: Way, questions: dict[tuple[Node, Any], str]) -> bool:
        """Look at a state: whether it is to be expanded again."""
        nodes = self.tables.runnable(state)
        if why == ENDED:
            self.finish(state, way)
        elif why == STUCK:
            self.deadlock(nodes, way)
        elif why == FAULT:
            self.wrong_at_once(nodes, way)
        else:
            self.look_for_races(nodes, way)
            for node in nodes:
                self._ask(state, node, way, questions)
            if self.futures is not None:
                self.rules.note_independence(nodes)
            return True
        return False

    def _ask(
        self, state: str, node: Node, way: Way, questions: dict[tuple[Node, Any], str]
    ) -> None:
        """Ask what a flow's next action does, unless that was asked just now."""
        assert node.action is not None
        question = node, node.action.looks(state)
        if question in questions:
            return
        questions[question] = state
        stepped = self.tables.step(state, node.column)
        if stepped is not None and stepped[1] is not None:
            self.wrong_step(node, stepped[0], stepped[1], _beyond(way, node.column))

    def _catch_up(self, questions: dict[tuple[Node, Any], str]) -> None:
        old = self.rules.catch_up()
        if old is not None:
            for half in self.halves:
                half.repack(old, self.rules.layout)
        for (node, _), state in questions.items():
            self.rules.take_over(state, node)
        self._learn_futures()

    def race(self, pair: tuple[Node, Node], way: Way) -> None:
        """Keep a race, and let compiled code know of it."""
        super().race(pair, way)
        self.rules.tell_race(*pair)

    def _state(self, row: Any) -> str:
        return self.rules.layout.unpack(row).ljust(self.tables.width, "\0")

    def path(self, way: Way) -> tuple[int, ...]:
        """All columns from the start, read backwards from the logs."""
        if not isinstance(way, Logged):
            return way
        columns = []
        origin = int(self.halves[way.half].log[way.place])
        while origin != NOWHERE:
            columns.append(origin & 63)
            number, place = origin >> 6 & 1, origin >> 7
            origin = int(self.halves[number].log[place])
        return (*reversed(columns), *way.step)

    # Checkpoints

    def _save_if_due(self) -> None:
        """Save now and then, and where a limit ends the walk; writing takes a tenth at most."""
        path, now = self.native.checkpoint, time.monotonic()
        if not path or (self.ended and not self.result.limit):
            return
        if now < self._due and not self.ended:
            return
        save(path, self._facts(), self._arrays())
        took = time.monotonic() - now
        self._due = now + took + max(self.native.interval, 10 * took)

    def _discard(self) -> None:
        """A walk that ended needs no checkpoint."""
        if self.native.checkpoint:
            Path(self.native.checkpoint).unlink(missing_ok=True)

    def _facts(self) -> dict[str, Any]:
        result = self.result
        return {
            "identity": self.native.identity,
            "asked": questions(self.tables),
            "layout": self.rules.layout.bits,
            "transitions": result.transitions,
            "depth": result.depth,
            "grown": self._grown,
            "terminals": [end.rstrip("\0") for end in result.terminals],
            "findings": [
                (each.path, each.pending, each.at_end, each.is_race)
                for each in result.findings.values()
            ],
            "halves": [{name: getattr(half, name) for name in NUMBERS} for half in self.halves],
        }

    def _arrays(self) -> dict[str, Any]:
        return {
            f"{name}{half.number}": array
            for half in self.halves
            for name, array in half.arrays().items()
        }

    def _resume(self) -> bool:
        """Go on where a checkpoint was made, if there is one."""
        native = self.native
        if not native.checkpoint or self.tables.asked:
            return False
        saved = load(native.checkpoint, native.identity)
        if saved is None:
            return False
        facts = saved.facts
        ask_again(self.tables, facts["asked"])
        self.tables.start(ROOM)
        self._make()
        width = self.tables.width - self.tables.columns
        self.result.terminals = {end.ljust(width, "\0") for end in facts["terminals"]}
        self.result.transitions, self.result.depth = facts["transitions"], facts["depth"]
        self._grown = facts["grown"]
        for half, numbers in zip(self.halves, facts["halves"], strict=True):
            half.restore(numbers, {name: saved.arrays[f"{name}{half.number}"] for name in ARRAYS})
            half.repack(Layout(facts["layout"]), self.rules.layout)
        for finding in facts["findings"]:
            self._find_again(*finding)
        self._level()
        return True

    def _find_again(self, path: list[int], pending: list[int], at_end: bool, is_race: bool) -> None:
        """Make a finding anew from its way."""
        step = None if pending or at_end else path.pop()
        way = tuple(path)
        seen = replay(self.tables, way)
        assert seen is not None, "a finding's way cannot be walked"
        nodes = [self.tables.node(seen.state, column) for column in pending]
        if step is not None:
            self._ask(seen.state, self.tables.node(seen.state, step), way, {})
        elif at_end:
            self.finish(seen.state, way)
        elif is_race:
            self.race((nodes[0], nodes[1]), way)
        elif any(node.fault is not None for node in nodes):
            self.wrong_at_once(nodes, way)
        else:
            self.deadlock(nodes, way)


def _beyond(way: Way, column: int) -> Way:
    """The way with one step more."""
    return replace(way, step=(column,)) if isinstance(way, Logged) else (*way, column)
