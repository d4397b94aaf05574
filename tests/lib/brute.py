"""Brute force: every interleaving of a protocol, by the plainest search there is.

Shares nothing with the checker: its own memory, its own meaning of each operation.
A local state is (call, answers since it began); a flow is brought there by running it anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from brute_memory import BLOCKED, Wrong, apply, pack, steps_of, touches, visible
from protocols import Protocol

from rmaplab.machine import KernelStateError


@dataclass
class Answer:
    """What brute force found: lengths are numbers of steps."""

    states: int = 0
    steps: int = 0
    finals: set[frozenset[Any]] = field(default_factory=set)
    #: Each kind of violation, and how near its nearest one is.
    nearest: dict[str, int] = field(default_factory=dict)
    race: int | None = None

    def length(self) -> int:
        """Of the way to the nearest violation."""
        return min(self.nearest.values())


def enumerate_all(protocol: Protocol) -> Answer:
    """Every state, level by level."""
    answer = Answer()
    space = _Space(protocol)
    start = space.start()
    seen, level, depth = {start}, [start], 0
    while level:
        following = []
        for state in level:
            for after in space.successors(state, depth, answer):
                if after not in seen:
                    seen.add(after)
                    following.append(after)
        level, depth = following, depth + 1
    answer.states = len(seen)
    return answer


class _Space:
    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.pointers: tuple[Any, ...] = ()

    def start(self) -> Any:
        memory: dict[Any, Any] = {}
        if self.protocol.setup is not None:
            self.pointers = self._in_order(self.protocol.setup(), memory) or ()
        return tuple(self._settle(column, 0, ()) for column in self._columns()), pack(memory)

    def _columns(self) -> range:
        return range(len(self.protocol.flows))

    def _in_order(self, body: Any, memory: dict[Any, Any]) -> Any:
        steps = steps_of(body, 0)
        try:
            op = next(steps)
            while True:
                op = steps.send(apply(memory, op, 0, self.protocol))
        except StopIteration as stop:
            return stop.value

    def _settle(self, column: int, call: int, answers: tuple[Any, ...]) -> Any:
        """The local state, calls that ended left behind: (call, answers, next operation)."""
        turns = self.protocol.flows[column]
        if call == len(turns):
            return call, (), None
        turn = turns[call]
        steps = steps_of(turn.body(*self.pointers), turn.fail)
        try:
            op = next(steps)
            for answer in answers:
                op = steps.send(answer)
        except StopIteration as stop:
            if turn.repeat and stop.value is True and answers:
                return self._settle(column, call, ())
            return self._settle(column, call + 1 + (turn.skip if stop.value is False else 0), ())
        except KernelStateError as fault:
            return call, answers, ("wrong", fault.kind)
        except Exception:
            return call, answers, ("wrong", "bug-on")
        return call, answers, op

    def successors(self, state: Any, depth: int, answer: Answer) -> Any:
        flows, packed = state
        last = self.protocol.last
        left = [column for column in self._columns() if flows[column][2] is not None]
        left = [column for column in left if column not in last] or left
        if not left:
            self._finish(packed, depth, answer)
            return
        for column in left:
            if flows[column][2][0] == "wrong":  # its call goes wrong before its first access
                answer.nearest.setdefault(flows[column][2][1], depth)
                return
        if answer.race is None and self._races([flows[column][2] for column in left]):
            answer.race = depth
        moved = False
        for column in left:
            memory = dict(packed)
            try:
                response = apply(memory, flows[column][2], column, self.protocol)
                if response is BLOCKED:
                    continue
                call, answers, _ = flows[column]
                after = self._settle(column, call, (*answers, response))
                moved = True
                answer.steps += 1
                if after[2] is not None and after[2][0] == "wrong":
                    raise Wrong(after[2][1])
            except Wrong as wrong:
                moved = True
                answer.nearest.setdefault(str(wrong), depth + 1)
                continue
            yield (*flows[:column], after, *flows[column + 1 :]), pack(memory)
        if not moved:
            answer.nearest.setdefault("deadlock", depth)

    def _finish(self, packed: Any, depth: int, answer: Answer) -> None:
        memory = dict(packed)
        answer.finals.add(visible(memory))
        alive = any(name == "life" and held > 0 for (_, name), held in memory.items())
        if self.protocol.no_leak and alive:
            answer.nearest.setdefault("leak", depth)

    def _races(self, ops: list[Any]) -> bool:
        touched = [touches(op, self.protocol) for op in ops]
        return any(
            (unmarked or also_unmarked)
            and (writes & (also_reads | also_writes) or reads & also_writes)
            for place, (unmarked, reads, writes) in enumerate(touched)
            for also_unmarked, also_reads, also_writes in touched[place + 1 :]
        )
