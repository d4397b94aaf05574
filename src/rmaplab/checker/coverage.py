"""Which lines of kernel functions a walk reached: what a clean verdict is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import CodeType, FrameType, FunctionType
from typing import Any

from rmaplab.checker.frames import is_kernel_code, short
from rmaplab.checker.verdict import Coverage


class Lines:
    """Records the lines of kernel code that run; kernel code runs once per distinct question."""

    def __init__(self) -> None:
        self._reached: dict[CodeType, set[int]] = {}

    def trace(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        """A trace function for sys.settrace."""
        code = frame.f_code
        if not is_kernel_code(code.co_name, code.co_filename):
            return None
        reached = self._reached.setdefault(code, set())

        def line(inner: FrameType, event: str, _: Any) -> Callable[..., Any]:
            if event == "line":
                reached.add(inner.f_lineno)
            return line

        return line

    def coverage(self) -> tuple[Coverage, ...]:
        """Of each function that was entered: its lines reached, and those never reached."""
        found = (_of(code, reached) for code, reached in self._reached.items())
        return tuple(sorted(found, key=lambda each: (each.file, each.function)))


def untouched(functions: Iterable[FunctionType]) -> tuple[Coverage, ...]:
    """Functions of kernel code with all their lines, none of them reached."""
    codes = (each.__code__ for each in functions)
    return tuple(
        _of(code, set()) for code in codes if is_kernel_code(code.co_name, code.co_filename)
    )


def merged(coverages: Iterable[Coverage]) -> tuple[Coverage, ...]:
    """Of each function, by where it begins: the lines that any of them reached."""
    reached: dict[tuple[str, str, int], set[int]] = {}
    lines: dict[tuple[str, str, int], set[int]] = {}
    for each in coverages:
        own = {*each.reached, *each.missed}
        key = (each.file, each.function, min(own, default=0))
        reached.setdefault(key, set()).update(each.reached)
        lines.setdefault(key, set()).update(own)
    return tuple(
        Coverage(key[1], key[0], tuple(sorted(reached[key])), tuple(sorted(own - reached[key])))
        for key, own in sorted(lines.items())
    )


def _of(code: CodeType, reached: set[int]) -> Coverage:
    own = {line for _, _, line in code.co_lines() if line} - {code.co_firstlineno}
    return Coverage(
        code.co_name,
        short(code.co_filename),
        tuple(sorted(own & reached)),
        tuple(sorted(own - reached)),
    )
