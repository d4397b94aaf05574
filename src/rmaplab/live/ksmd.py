"""ksmd, driven one exact pass at a time."""

from __future__ import annotations

import time

from rmaplab.live.knobs import RUN, STOP, UNMERGE, Knobs

#: More pages than a machine of any size has in one pass.
ALL_PAGES = 1 << 31
#: Milliseconds that ksmd sleeps after the pass, until it is stopped.
LONG = 60_000
PATIENCE = 30.0


class Ksmd:
    """The daemon. Between two passes it is stopped (run = 0), unless run = 2 was asked for."""

    def __init__(self, knobs: Knobs) -> None:
        self.knobs = knobs
        self.sleep = LONG

    def one_pass(self) -> int:
        """One whole pass over all that is mergeable: 0, or a negative error number.

        A pass ends ksmd's turn, however many pages it may scan, and then it sleeps. A changed
        `sleep_millisecs` is what wakes it from the sleep after the pass before.
        """
        self.sleep = 2 * LONG + 1 - self.sleep
        self.knobs.write("pages_to_scan", ALL_PAGES)
        self.knobs.write("sleep_millisecs", self.sleep)
        passes = self.knobs.number("full_scans")
        error = self.knobs.write("run", RUN)
        if not error:
            self._wait_for_more_than(passes)
            self.knobs.write("run", STOP)
        return error

    def _wait_for_more_than(self, passes: int) -> None:
        end = time.monotonic() + PATIENCE
        while self.knobs.number("full_scans") == passes:
            if time.monotonic() > end:
                raise TimeoutError("ksmd makes no pass")
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
