"""Accesses of processes to their memory, each with the faults that it takes."""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.fault import RETRY
from rmaplab.kernel.kernel import Kernel
from rmaplab.runner.places import Access, address_of
from rmaplab.runner.shadow import Shadows

ESRCH = 3


class Accesses:
    """Operations that touch pages; what is stored goes into the shadow, too."""

    kernel: Kernel
    tasks: dict[str, Any]
    shadows: Shadows

    def ballast(self) -> int:
        """Let the lowest free frames be the next that are taken."""
        raise NotImplementedError

    def accesses(self, op: str, at: int, n: int = 1, **operands: Any) -> list[Access]:
        """The accesses to pages that an operation is made of, in order."""
        if op == "write" and operands.get("cs"):
            n = len(operands["cs"])
        return [Access(op, at + number, number, operands) for number in range(n)]

    def try_access(self, p: str, access: Access) -> bool | int:
        """Try to access a page, with one fault if that is needed; True if it is to be tried again.

        What got stored also goes into the shadow.
        """
        task = self.tasks[p]
        mm = task.mm
        if mm is None:
            return -ESRCH
        address = address_of(access.page)
        if not access.stores:
            got = self.kernel.user_read_once(mm, address)
            return got if got is RETRY or isinstance(got, int) else 0
        done = self.kernel.user_write_once(mm, address, access.new)
        if done is not RETRY and not done:
            task.shadow = self.shadows.stored(task.shadow, address, access.new)
        return bool(done) if done is RETRY else int(done)

    def _access(self, op: str, p: str, at: int, n: int, **operands: Any) -> int:
        for access in self.accesses(op, at, n, **operands):
            done = RETRY
            while done is RETRY:
                done = self.try_access(p, access)
            if done:
                return int(done)
        return 0

    def write(
        self,
        p: str,
        at: int,
        n: int = 1,
        c: int = 0,
        cs: tuple[int, ...] = (),
        low: bool = False,
    ) -> int:
        """Fill pages with words; `low` asks for the lowest free frames, as after a `ballast`."""
        if low:
            self.ballast()
        return self._access("write", p, at, n, c=c, cs=cs)

    def poke(self, p: str, at: int, n: int = 1, off: int = 0, v: int = 0) -> int:
        """Store one byte in each page."""
        return self._access("poke", p, at, n, off=off, v=v)

    def read(self, p: str, at: int, n: int = 1) -> int:
        """Load a byte of each page."""
        return self._access("read", p, at, n)

    def swap_in(self, p: str, at: int, n: int = 1) -> int:
        """Fault pages in, from swap if they are there."""
        return self._access("swap_in", p, at, n)

    def fault(self, p: str, at: int, n: int = 1, write: bool = False) -> int:
        """Fault pages in without changing them."""
        return self._access("fault", p, at, n, write=write)
