"""Page numbers of a litmus and addresses; accesses to pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from rmaplab.kernel import contents
from rmaplab.kernel.mm_types import PAGE_SHIFT, START_BRK

#: Page numbers of a litmus count from here, 2 MiB aligned.
BASE = START_BRK


def address_of(page: int) -> int:
    """The address of a page of the scenario."""
    return BASE + (page << PAGE_SHIFT)


def page_of(address: int) -> int:
    """The page of the scenario at an address."""
    return (address - BASE) >> PAGE_SHIFT


class Access(NamedTuple):
    """An access of a process to one page, the `number`-th of its operation."""

    op: str
    page: int
    number: int
    operands: Mapping[str, Any]

    @property
    def stores(self) -> bool:
        """Whether it is a store."""
        return self.op in ("write", "poke") or bool(self.operands.get("write"))

    def new(self, old: Any) -> Any:
        """What the page holds after it."""
        held = contents.ZERO if old is None else old
        if self.op == "write":
            words = self.operands.get("cs")
            return contents.fill(words[self.number] if words else self.operands["c"])
        if self.op == "poke":
            return contents.poke(held, self.operands["off"], self.operands["v"])
        return held
