"""A direct machine that counts operations, and for how many an anon_vma's lock is held.

An operation is a call of an embedded lock, atomic, list, tree or page table; a step along a list is
one too, and so is a whole search in a tree. Plain loads and stores, and page table entries once
they are found, are not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import isfunction, isgeneratorfunction
from typing import Any

from rmaplab.costs import Distribution, Locking
from rmaplab.machine.direct import DirectMachine
from rmaplab.machine.struct import Kind

LOCKS = (Kind.SPINLOCK, Kind.MUTEX, Kind.RWSEM)
#: Whose lock it is that is looked at.
OWNER = "anon_vma"


class Meter:
    """The operations done so far, and the locks of anon_vmas, by the number of the anon_vma."""

    def __init__(self) -> None:
        self.operations = 0
        self.inside = False  # an operation that is made of others counts once
        self._is_paused = False
        self._taken: Counter[int] = Counter()
        self._held: Counter[int] = Counter()
        self._holds: Counter[int] = Counter()
        self._since: dict[int, int] = {}

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No lock counts meanwhile."""
        self._is_paused = True
        try:
            yield
        finally:
            self._is_paused = False

    def take(self, lock: Any) -> None:
        """A lock was taken: of an anon_vma, or of something else."""
        if lock.owner.label == OWNER and not self._is_paused:
            self._taken[lock.owner.serial] += 1
            self._since.setdefault(id(lock), self.operations)

    def release(self, lock: Any) -> None:
        """A lock is about to be released."""
        since = self._since.pop(id(lock), None)
        if since is not None:
            length = self.operations - since
            self._holds[length] += 1
            self._held[lock.owner.serial] += length

    def locking(self) -> Locking:
        """What was counted of locks."""
        taken, held = Counter(self._taken.values()), Counter(self._held.values())
        return Locking(Distribution(taken), Distribution(held), Distribution(self._holds))


class MeteringMachine(DirectMachine):
    """Counts while it runs."""

    def __init__(self, allow: frozenset[str] = frozenset()) -> None:
        self.meter = Meter()
        super().__init__(allow)

    def embedded_parts(self) -> dict[Kind, Any]:
        """The plain machine's classes, each of their methods counted."""
        plain = super().embedded_parts()
        return {kind: _metered(cls, self.meter, kind in LOCKS) for kind, cls in plain.items()}


def _metered(cls: type[Any], meter: Meter, is_lock: bool) -> type[Any]:
    """A class whose public methods are counted."""
    body: dict[str, Any] = {"__slots__": ()}
    for name in dir(cls):
        method = getattr(cls, name)
        if name.startswith("_") or not isfunction(method):
            continue
        if isgeneratorfunction(method):
            body[name] = _stepped(method, meter)
        elif is_lock and "acquire" in name:
            body[name] = _taken(_counted(method, meter), meter)
        elif is_lock and "release" in name:
            body[name] = _released(_counted(method, meter), meter)
        else:
            body[name] = _counted(method, meter)
    return type(cls.__name__, (cls,), body)


def _counted(method: Callable[..., Any], meter: Meter) -> Callable[..., Any]:
    def counted(part: Any, *operands: Any, **named: Any) -> Any:
        if meter.inside:
            return method(part, *operands, **named)
        meter.inside = True
        meter.operations += 1
        try:
            return method(part, *operands, **named)
        finally:
            meter.inside = False

    return counted


def _stepped(method: Callable[..., Iterator[Any]], meter: Meter) -> Callable[..., Iterator[Any]]:
    def stepped(part: Any, *operands: Any, **named: Any) -> Iterator[Any]:
        for item in method(part, *operands, **named):
            meter.operations += 1
            yield item

    return stepped


def _taken(method: Callable[..., Any], meter: Meter) -> Callable[..., Any]:
    def taken(lock: Any, *operands: Any) -> Any:
        got = method(lock, *operands)
        if got is not False:  # a trylock tells; others have it when they return
            meter.take(lock)
        return got

    return taken


def _released(method: Callable[..., Any], meter: Meter) -> Callable[..., Any]:
    def released(lock: Any, *operands: Any) -> Any:
        meter.release(lock)
        return method(lock, *operands)

    return released
