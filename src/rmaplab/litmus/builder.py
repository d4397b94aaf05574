"""From the syntax tree of a text to a Litmus: names resolved, loops expanded, each word checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from rmaplab.checker.verdict import VERDICTS, VIOLATIONS
from rmaplab.errors import InputError, Place
from rmaplab.litmus.model import Expectation, Litmus, Step
from rmaplab.litmus.operands import OperandReader, place_of, whole_number
from rmaplab.litmus.operations import (
    BOUNDED,
    COUNT,
    CPUS,
    KEYWORDS,
    KNOB,
    KNOB_VALUE,
    OPERATIONS,
    Number,
    doer,
    misplaced_process,
)
from rmaplab.litmus.roster import check_processes, new_name_complaint
from rmaplab.litmus.wording import shown, tidy, unknown

if TYPE_CHECKING:
    from lark import Token, Tree

MOST_STEPS = 10_000
TIMES = Number("TIMES", 1, MOST_STEPS)
ESCAPED = re.compile(r'\\(["\\])')  # any other backslash is itself
FRAMES = Number("FRAMES", 1, 512)
SWITCHES = {"y": True, "n": False}


class Builder:
    """Builds one Litmus; a method for each kind of item that a text may hold."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.first: dict[str, int] = {}  # where each block began, to refuse a second one
        self.fields: dict[str, Any] = {}
        self.cpus: dict[int, tuple[Step, ...]] = {}
        self.alive: list[Token] = []
        self.steps = 0

    def build(self, tree: Tree[Token]) -> Litmus:
        """The Litmus that the tree of a whole text stands for."""
        name, *items = cast("tuple[Token, *tuple[Tree[Token], ...]]", tuple(tree.children))
        for item in items:
            self._item(item)
        litmus = Litmus(name=str(name), cpus=self.cpus, path=self.path, **self.fields)
        roster = check_processes(litmus.processes, litmus.setup, litmus.cpus, litmus.finally_)
        for token in self.alive:
            if token not in roster.known:
                raise self._error(unknown("process", str(token), roster.known), token)
        return litmus

    def _item(self, item: Tree[Token]) -> None:
        if item.data == "cpu":
            self._cpu(item)
            return
        self._once(item.data.rstrip("_"), Place(self.path, item.meta.line, item.meta.column))
        match item.data:
            case "about":
                self.fields["about"] = _docstring(_tokens(item)[0])
            case "processes":
                self.fields["processes"] = self._processes(_tokens(item))
            case "config":
                self.fields["config"] = self._assignments(item, self._switch)
            case "ksm":
                self.fields["ksm"] = self._assignments(item, self._knob)
            case "bound":
                self.fields["bound"] = self._assignments(item, self._most)
            case "pageblock":
                self.fields["pageblock"] = self._power_of_two(_tokens(item)[0])
            case "allow":
                self.fields["allow"] = tuple(
                    self._one_of("violation", token, VIOLATIONS) for token in _tokens(item)
                )
            case "end":
                self.alive = _tokens(item)
                self.fields["alive"] = tuple(map(str, self.alive))
            case "expect":
                self.fields["expect"] = tuple(map(self._expectation, _trees(item)))
            case _:
                self.fields[str(item.data)] = self._block(item)

    def _once(self, what: str, place: Place) -> None:
        if what in self.first:
            raise InputError(
                f"a second `{what}`: put it together with the first, in line {self.first[what]}",
                place,
            )
        self.first[what] = place.line

    def _processes(self, tokens: list[Token]) -> tuple[str, ...]:
        names: dict[str, None] = {}
        for token in tokens:
            complaint = new_name_complaint(str(token), names)
            if complaint:
                raise self._error(complaint, token)
            names[str(token)] = None
        return tuple(names)

    def _assignments(
        self, item: Tree[Token], value_of: Callable[[Token, Token], Any]
    ) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for assignment in _trees(item):
            name, value = _tokens(assignment)
            if name in values:
                raise self._error(f"{shown(name)} has a value already: write it once", name)
            values[str(name)] = value_of(name, value)
        return values

    def _switch(self, name: Token, value: Token) -> bool:
        if not name.startswith("CONFIG_"):
            raise self._error(f"{shown(name)} is no switch: write CONFIG_KSM or the like", name)
        return SWITCHES[self._one_of("setting", value, SWITCHES)]

    def _knob(self, name: Token, value: Token) -> int:
        self._one_of("knob", name, KNOB.words)
        return whole_number(value, KNOB_VALUE, self.path)

    def _most(self, name: Token, value: Token) -> int:
        self._one_of("object", name, BOUNDED)
        return whole_number(value, COUNT, self.path)

    def _power_of_two(self, token: Token) -> int:
        frames = whole_number(token, FRAMES, self.path)
        if frames & (frames - 1):
            raise self._error(f"{shown(token)} is no power of two: write 1, 2, 4 or 8", token)
        return frames

    def _one_of(self, what: str, token: Token, known: Iterable[str]) -> str:
        if token not in known:
            raise self._error(unknown(what, str(token), known), token)
        return str(token)

    def _expectation(self, line: Tree[Token]) -> Expectation:
        kernels, verdict = _tokens(line)
        ends = kernels.split("..")
        starred = "*" in kernels and kernels not in ("*", "before-*")
        if len(ends) > 2 or not any(ends) or starred:
            raise self._error(
                f"{shown(kernels)} names no kernels: write NAME, FIRST..LAST, FIRST.., ..LAST, *"
                " or before-*",
                kernels,
            )
        self._one_of("verdict", verdict, VERDICTS)
        return Expectation(str(kernels), str(verdict), place_of(kernels, self.path))

    def _cpu(self, item: Tree[Token]) -> None:
        token = cast("Token", item.children[0])
        self._one_of("block", token, CPUS)
        self._once(str(token), place_of(token, self.path))
        self.cpus[CPUS.index(token)] = self._block(item)

    def _block(self, item: Tree[Token]) -> tuple[Step, ...]:
        """The steps of a block, its loops expanded."""
        loops: list[tuple[Tree[Token], int]] = []
        levels: list[list[Step]] = [[]]
        for line in _trees(item):
            if line.data == "repeat":
                loops.append((line, whole_number(_tokens(line)[0], TIMES, self.path)))
                levels.append([])
            elif line.data == "done":
                if not loops:
                    raise self._error("`done` without `repeat`: leave it out", line)
                loop, times = loops.pop()
                body = levels.pop()
                self._count(len(body) * (times - 1), loop)
                levels[-1].extend(body * times)
            else:
                self._count(1, line)
                levels[-1].append(self._step(line))
        if loops:
            raise self._error("`repeat` without `done`: write `done` after its steps", loops[-1][0])
        return tuple(levels[0])

    def _count(self, steps: int, at: Tree[Token]) -> None:
        self.steps += steps
        if self.steps > MOST_STEPS:
            raise self._error(f"more than {MOST_STEPS} steps in all: repeat less often", at)

    def _step(self, line: Tree[Token]) -> Step:
        failing: dict[str, int] = {}
        if line.data == "failing":
            number, line = cast("tuple[Token, Tree[Token]]", tuple(line.children))
            failing = {"fail": whole_number(number, COUNT, self.path)}
        words = _tokens(line)
        place = place_of(words[0], self.path)
        process = None
        if len(words) > 1 and words[1] == ":":
            process, words = str(words[0]), words[2:]
        operation, *operands = words
        self._check_operation(operation, process, operands)
        args = OperandReader(operation, operands, self.path).read() | failing
        return Step(str(operation), doer(operation, process), args, place)

    def _check_operation(
        self, operation: Token, process: str | None, operands: Sequence[Token]
    ) -> None:
        if operation == "fail" and process is not None:
            raise self._error(f"`fail` stands first: write `fail NUMBER {process}: ...`", operation)
        if operation not in OPERATIONS and operands and operands[0] in OPERATIONS:
            there = f"{shown(operation)} is no operation"
            raise self._error(f"{there}: write `{operation}: {operands[0]}`", operation)
        if operation not in OPERATIONS:
            also = (*KEYWORDS, *CPUS) if process is None else ()
            raise self._error(unknown("operation", str(operation), OPERATIONS, also), operation)
        complaint = misplaced_process(operation, process)
        if complaint:
            raise self._error(complaint, operation)

    def _error(self, message: str, at: Token | Tree[Token]) -> InputError:
        if isinstance(at, str):
            return InputError(message, place_of(at, self.path))
        return InputError(message, Place(self.path, at.meta.line, at.meta.column))


def _docstring(token: Token) -> str:
    inside = str(token)[3:-3]
    return tidy(ESCAPED.sub(r"\1", inside))


def _tokens(tree: Tree[Token]) -> list[Token]:
    return cast("list[Token]", tree.children)


def _trees(tree: Tree[Token]) -> list[Tree[Token]]:
    return [child for child in tree.children if not isinstance(child, str)]
