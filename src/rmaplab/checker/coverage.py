"""Which lines of kernel functions a walk reached: what a clean verdict is worth."""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType, FrameType
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
        found = []
        for code, reached in self._reached.items():
            own = {line for _, _, line in code.co_lines() if line} - {code.co_firstlineno}
            missed = sorted(own - reached)
            found.append(
                Coverage(
                    code.co_name, short(code.co_filename), tuple(sorted(reached)), tuple(missed)
                )
            )
        return tuple(sorted(found, key=lambda each: (each.file, each.function)))
