"""One line on standard error that says how far a long walk has come."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from rmaplab.report.words import clip

INTERVAL = 0.2


class Progress:
    """Overwrites its own line, at most five times a second; silent unless on a terminal."""

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._live = self._stream.isatty()
        self._check: tuple[str, str] | None = None
        self._began = 0.0
        self._next = float("-inf")
        self._drawn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.done()

    def update(
        self,
        litmus: str,
        kernel: str,
        states: int,
        transitions: int,
        frontier: int,
        depth: int,
        memory: int = 0,
        expected: int = 0,
    ) -> None:
        """Tell where the walk is; cheap to call often.

        `memory` in bytes; `expected` is about how many states there will be, 0 if nobody knows.
        """
        if not self._live:
            return
        now = self._clock()
        if self._check != (litmus, kernel):
            self._check, self._began = (litmus, kernel), now
        if now < self._next:
            return
        self._next = now + INTERVAL
        elapsed = now - self._began
        rate = f" ({states / elapsed:,.0f}/s)" if elapsed > 0 else ""
        about = f" of about {expected:,}" if expected else ""
        used = f", {memory >> 20:,} MiB" if memory else ""
        self._draw(
            f"{litmus} on {kernel}: {states:,}{about} states{rate}, {transitions:,} transitions, "
            f"{frontier:,} queued, depth {depth:,}{used}"
        )

    def count(self, done: int, planned: int) -> None:
        """Tell how many checks are done."""
        if self._live:
            self._draw(f"{done} of {planned} checks done")

    def done(self) -> None:
        """Take the line away, so that what is printed next starts clean."""
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._drawn = False

    def _draw(self, text: str) -> None:
        # One column less than the terminal: a full line would wrap and could not be overwritten.
        self._stream.write("\r" + clip(text, shutil.get_terminal_size().columns - 1) + "\x1b[K")
        self._stream.flush()
        self._drawn = True
