"""What every embedded field of the traced machine is built on."""

from __future__ import annotations

from typing import Any

from rmaplab.machine.rules import BLOCKED
from rmaplab.machine.struct import Field


def one(rule: Any, *operands: Any) -> Any:
    """A rule of one cell as a rule of an action."""

    def apply(value: Any) -> Any:
        outcome = rule(value, *operands)
        return BLOCKED if outcome is BLOCKED else ((outcome[0],), outcome[1])

    return apply


class Part:
    """An embedded field: its struct, its name there, its cell."""

    __slots__ = ("declared", "field", "machine", "owner")

    def __init__(self, owner: Any, field: str, declared: Field) -> None:
        self.owner = owner
        self.field = field
        self.declared = declared
        self.machine = owner.machine

    def label(self) -> str:
        """`anon_vma#1.lock`."""
        return f"{self.owner.name()}.{self.field}"

    def act(
        self,
        name: str,
        rule: Any,
        *operands: Any,
        write: bool = True,
        gentle: bool = False,
        plain: bool = False,
        waits: bool = False,
    ) -> Any:
        """One action of a one-cell rule. `gentle`: legal on freed type-stable memory."""
        machine = self.machine
        guards = machine.guard(self.owner, gentle)
        action = machine.action(
            name,
            self.owner,
            self.field,
            (self.owner.cell(self.field),),
            one(rule, *operands),
            operands,
            guards,
            (write,),
            (),
            plain,
            waits,
        )
        return machine.perform(action)

    def value(self) -> Any:
        """What the cell holds, for checks of a state."""
        return self.owner.cell(self.field).current


def tell(value: Any) -> Any:
    """The rule of a load: nothing changes, the value is the response."""
    return value, value


def assign(_: Any, value: Any) -> Any:
    """The rule of a store."""
    return value, None
