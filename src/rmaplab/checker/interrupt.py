"""Ctrl-C while something is explored: a limit like others, so that what is known is told."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupt:
    """Whether somebody pressed Ctrl-C since something began to be explored."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Take note of the first Ctrl-C; the second one is Python's, a KeyboardInterrupt.

        Where Ctrl-C is ignored, or this is not the main thread, nothing is changed.
        """
        self.asked = False
        usual = signal.getsignal(signal.SIGINT)
        main = threading.current_thread() is threading.main_thread()
        if not main or usual is not signal.default_int_handler:
            yield
            return
        signal.signal(signal.SIGINT, lambda *_: self._note())
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, usual)

    def _note(self) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


INTERRUPT = Interrupt()
