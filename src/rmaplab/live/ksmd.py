"""ksmd, driven one exact pass at a time."""

from __future__ import annotations

import time

from rmaplab.errors import LiveError
from rmaplab.live.knobs import RUN, STOP, UNMERGE, Knobs

#: More pages than a machine of any size has in one pass.
ALL_PAGES = 1 << 31
#: Milliseconds that ksmd sleeps after the pass, until it is stopped.
LONG = 60_000
#: Seconds that a pass of ksmd may take, and those after which it is looked whether there is one.
PATIENCE = 30.0
TURN = 0.02


class Ksmd:
    """The daemon. Between two passes it is stopped (run = 0), unless run = 2 was asked for."""

    def __init__(self, knobs: Knobs) -> None:
        self.knobs = knobs
        self.sleep = LONG

    def one_pass(self) -> int:
        """One whole pass over all that is mergeable: 0, or a negative error number.

        A pass ends ksmd's turn, however many pages it may scan, and then it sleeps. A changed
        `sleep_millisecs` is what wakes it from the sleep after the pass before. If it was not
        asleep yet, it sleeps through this one; stopping waits for a pass that goes on, so it is
        known then whether there was one, and it is tried again.
        """
        self.knobs.write("pages_to_scan", ALL_PAGES)
        passes = self.knobs.number("full_scans")
        end = time.monotonic() + PATIENCE
        while self.knobs.number("full_scans") == passes:
            if time.monotonic() > end:
                raise LiveError("ksmd makes no pass")
            self.sleep = 2 * LONG + 1 - self.sleep
            self.knobs.write("sleep_millisecs", self.sleep)
            if error := self.knobs.write("run", RUN):
                return error
            self._wait_for_more_than(passes)
            self.knobs.write("run", STOP)
        return 0

    def _wait_for_more_than(self, passes: int) -> None:
        end = time.monotonic() + TURN
        while self.knobs.number("full_scans") == passes and time.monotonic() < end:
            time.sleep(0.0001)

    def set(self, knob: str, value: int) -> int:
        """Write a knob: 0 or a negative error number.

        That ksmd may run (run = 1) is said for each pass alone, so it is only noted here.
        """
        if knob == "run" and value in (STOP, RUN):
            return self.knobs.write("run", STOP)
        return self.knobs.write(knob, value)

    def unmerge_all(self) -> int:
        """run = 2, then 0: 0 or a negative error number."""
        error = self.knobs.write("run", UNMERGE)
        return self.knobs.write("run", STOP) or error
