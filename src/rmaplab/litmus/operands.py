"""The operands of a step in the text language, read after the table of operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rmaplab.errors import InputError, Place
from rmaplab.litmus.operations import (
    OPERATIONS,
    Number,
    Operand,
    Truth,
    contents,
    usage,
)
from rmaplab.litmus.wording import shown, unknown

if TYPE_CHECKING:
    from lark import Token

LONGEST_NUMBER = 30
SWITCH: Mapping[str, bool] = {"on": True, "off": False}


def place_of(token: Token, path: str) -> Place:
    """Where the token begins."""
    return Place(path, token.line or 0, token.column or 0)


def whole_number(token: Token, kind: Number, path: str) -> int:
    """The number that the token writes, decimal or 0x; InputError if it is not of this kind."""
    if token.type != "NUMBER" or len(token) > LONGEST_NUMBER:
        raise InputError(str(kind.complaint(str(token))), place_of(token, path))
    value = int(token, 16 if "x" in token else 10)
    complaint = kind.complaint(value)
    if complaint:
        raise InputError(complaint, place_of(token, path))
    return value


class OperandReader:
    """Takes a step's words from the left, one operand of its operation after the other."""

    def __init__(self, operation: Token, words: list[Token], path: str) -> None:
        self.operation = operation
        self.words = words
        self.path = path
        self.next = 0

    def read(self) -> dict[str, Any]:
        """All operands; InputError where a word is wrong, missing or one too many."""
        args: dict[str, Any] = {}
        for operand in OPERATIONS[self.operation]:
            args.update(self._operand(operand, args))
        if self.next < len(self.words):
            raise self._error(f"{shown(self.words[self.next])} cannot stand here")
        return args

    def _operand(self, operand: Operand, so_far: Mapping[str, Any]) -> dict[str, Any]:
        if not self._begins(operand):
            if not operand.optional:
                raise self._error(f"`{self.operation}` needs {operand} here")
            return {} if operand.default is None else {operand.name: operand.default}
        if operand.mark:
            self.next += 1
        if operand.is_flag:
            return {operand.name: True}
        if operand.several:
            return self._contents(operand, so_far)
        return {operand.name: self._value(operand)}

    def _begins(self, operand: Operand) -> bool:
        """Whether the next word is this operand's first."""
        if self.next == len(self.words):
            return False
        word = self.words[self.next]
        if operand.mark:
            return str(word) == operand.mark
        return str(word.type) == ("NUMBER" if isinstance(operand.kind, Number) else "WORD")

    def _value(self, operand: Operand) -> int | bool | str:
        if self.next == len(self.words):
            raise self._error(f"`{self.operation}` needs {operand} here")
        word = self.words[self.next]
        self.next += 1
        kind = operand.kind
        if isinstance(kind, Number):
            return whole_number(word, kind, self.path)
        if isinstance(kind, Truth):
            complaint = None if word in SWITCH else unknown("switch", str(word), SWITCH)
        else:
            complaint = kind.complaint(str(word))
        if complaint:
            raise InputError(complaint, place_of(word, self.path))
        return SWITCH[word] if isinstance(kind, Truth) else str(word)

    def _contents(self, operand: Operand, so_far: Mapping[str, Any]) -> dict[str, Any]:
        first = self.next
        values = [self._value(operand)]
        while self.next < len(self.words) and self.words[self.next].type == "NUMBER":
            values.append(self._value(operand))
        given = so_far["n"] if self.words[1].type == "NUMBER" else len(values)
        if len(values) > 1 and given != len(values):
            raise InputError(
                f"{len(values)} contents for {given} pages: write one, or one for each page",
                place_of(self.words[first], self.path),
            )
        return contents([int(value) for value in values])

    def _error(self, message: str) -> InputError:
        """An error at the next word or, after the last one, at the end of the step."""
        if self.next < len(self.words):
            place = place_of(self.words[self.next], self.path)
        else:
            last = self.words[-1] if self.words else self.operation
            place = Place(self.path, last.end_line or 0, last.end_column or 0)
        return InputError(f"{message}: write `{usage(self.operation)}`", place)
