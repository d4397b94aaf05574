"""What the memory of a process must hold, as if nothing were ever shared: address to contents.

A machine that goes back to earlier states needs values that never change; the other one does not,
and a store into it should not cost a copy of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from rmaplab.kernel.contents import ZERO, Contents

#: What a place holds after a store, from what it held; None is what nobody has written.
New = Callable[[Any], Any]


class Either(NamedTuple):
    """What a place may hold where MADV_FREE lets the kernel decide: one of these, in order."""

    contents: tuple[Contents, ...]


def possible(held: Contents | Either | None) -> tuple[Contents, ...]:
    """All that a place may hold; None is what nobody has written."""
    if held is None:
        return (ZERO,)
    return held.contents if isinstance(held, Either) else (held,)


def _either(contents: Iterable[Contents]) -> Contents | Either:
    found = tuple(sorted(set(contents)))
    return found[0] if len(found) == 1 else Either(found)


def _after(new: New, held: Contents | Either | None) -> Contents | Either:
    if isinstance(held, Either):
        return _either(new(each) for each in held.contents)
    after: Contents = new(held)
    return after


def _freed(held: Contents | Either) -> Contents | Either:
    return _either((*possible(held), ZERO))


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

    def freed(self, shadow: Any, start: int, end: int) -> Any:
        """The shadow after MADV_FREE of start..end-1: what was there, or zeroes."""


class FrozenShadows:
    """Sorted tuples: equal memories make equal, hashable values."""

    def stored(self, shadow: Any, address: int, new: New) -> Any:
        """A new tuple."""
        held = dict(shadow)
        held[address] = _after(new, held.get(address))
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

    def freed(self, shadow: Any, start: int, end: int) -> Any:
        """A new tuple."""
        return tuple((a, _freed(held) if start <= a < end else held) for a, held in shadow)


class DictShadows:
    """Dictionaries, changed in place."""

    def stored(self, shadow: Any, address: int, new: New) -> Any:
        """The same dictionary."""
        held = shadow or {}
        held[address] = _after(new, held.get(address))
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

    def freed(self, shadow: Any, start: int, end: int) -> Any:
        """A new dictionary."""
        return {a: _freed(held) if start <= a < end else held for a, held in dict(shadow).items()}
