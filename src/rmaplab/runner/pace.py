"""How often the truths of a replay are checked: as often as takes about as long as the calls."""

from __future__ import annotations

from rmaplab.machine import KernelStateError
from rmaplab.runner.run import check_all
from rmaplab.runner.spaces import ReplaySystem

#: What a call pays for: a look at one object or page table entry takes some 3 us, a call 150 us.
EARNED_BY_A_CALL = 50
#: A short log is checked at every turn.
SAVED_AT_FIRST = 300_000


class PacedChecks:
    """Checks at turns (each fork, execve and exit), unless the checks so far cost too much.

    A check looks at everything, so one at each turn would make the time of a replay quadratic.
    """

    def __init__(self, system: ReplaySystem) -> None:
        self.system = system
        self.saved = SAVED_AT_FIRST  # objects and entries that may be looked at
        self.turns = 0
        self.made = 0
        self.latest = 0  # the number of the call after which the latest check was
        self.left_out = 0  # turns since

    def turn(self, call: int) -> None:
        """A check after the call of that number, if there is something saved for it."""
        self.turns += 1
        if self.saved + EARNED_BY_A_CALL * (call - self.latest) > 0:
            self.made += 1
            self.check(call)
        else:
            self.left_out += 1

    def check(self, call: int) -> None:
        """Raise KernelStateError where a truth does not hold; it tells since when, if unsure."""
        try:
            check_all(self.system)
        except KernelStateError as error:
            if not self.left_out:
                raise
            message = f"{error.message} (the check before was in step {self.latest})"
            raise KernelStateError(error.kind, message, error.subject) from error
        self.saved += EARNED_BY_A_CALL * (call - self.latest) - self.system.size()
        self.latest, self.left_out = call, 0
