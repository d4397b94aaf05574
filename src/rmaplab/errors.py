"""The errors that are the user's: bad input, each with its place and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Where something is written: file, line and column, both counted from 1 (0 = unknown)."""

    path: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        parts = [self.path or "<input>"]
        parts += [str(number) for number in (self.line, self.column) if number]
        return ":".join(parts)


class InputError(Exception):
    """Bad input. The message says what is wrong and what to write instead; exit status 2."""

    def __init__(self, message: str, place: Place | None = None) -> None:
        super().__init__(f"{place}: {message}" if place else message)
        self.message = message
        self.place = place


class LiveError(Exception):
    """The running kernel, or a process on it, failed a live run: nothing is known. Status 2."""
