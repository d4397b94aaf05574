"""What the memory of a process must hold, as if nothing were ever shared: address to contents.

A machine that goes back to earlier states needs values that never change; the other one does not,
and a store into it should not cost a copy of the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

#: What a place holds after a store, from what it held; None is what nobody has written.
New = Callable[[Any], Any]


class Shadows(Protocol):
    """How shadows are stored into; `()` is an empty one, and dict() reads any."""

    def stored(self, shadow: Any, address: int, new: New) -> Any:
        """The shadow after a store."""

    def without(self, shadow: Any, start: int, end: int) -> Any:
        """The shadow after start..end-1 was unmapped."""

    def joined(self, shadow: Any, more: dict[int, Any]) -> Any:
        """The shadow with what was moved there."""

    def copied(self, shadow: Any) -> Any:
        """The shadow of a child."""


class FrozenShadows:
    """Sorted tuples: equal memories make equal, hashable values."""

    def stored(self, shadow: Any, address: int, new: New) -> Any:
        """A new tuple."""
        held = dict(shadow)
        held[address] = new(held.get(address))
        return tuple(sorted(held.items()))

    def without(self, shadow: Any, start: int, end: int) -> Any:
        """A new tuple."""
        return tuple((a, held) for a, held in shadow if not start <= a < end)

    def joined(self, shadow: Any, more: dict[int, Any]) -> Any:
        """A new tuple."""
        return tuple(sorted({**dict(shadow), **more}.items()))

    def copied(self, shadow: Any) -> Any:
        """The same: nobody can change it."""
        return shadow


class DictShadows:
    """Dictionaries, changed in place."""

    def stored(self, shadow: Any, address: int, new: New) -> Any:
        """The same dictionary."""
        held = shadow or {}
        held[address] = new(held.get(address))
        return held

    def without(self, shadow: Any, start: int, end: int) -> Any:
        """A new dictionary."""
        return {a: held for a, held in dict(shadow).items() if not start <= a < end}

    def joined(self, shadow: Any, more: dict[int, Any]) -> Any:
        """A new dictionary."""
        return {**dict(shadow), **more}

    def copied(self, shadow: Any) -> Any:
        """One of the child's own."""
        return dict(shadow)
