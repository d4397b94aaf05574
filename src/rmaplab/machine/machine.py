"""What every machine offers to kernel code beyond the fields of structs."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from rmaplab.machine.context import RUNNING, Context
from rmaplab.machine.struct import Struct

S = TypeVar("S", bound=Struct)

#: Freed memory keeps its type while a reader is in an RCU read-side section.
SLAB_DESTROY_BY_RCU = 1
#: The objects are always there, as struct pages are: freeing one makes no access an error.
SLAB_STATIC = 2


class KmemCache(abc.ABC):
    """A slab cache: objects of one struct, last freed first reused, on each CPU by itself."""

    name: str
    struct: type[Struct]
    flags: int

    @abc.abstractmethod
    def alloc(self) -> Any:
        """An object, or None when the allocation is made to fail."""

    @abc.abstractmethod
    def take(self, index: int) -> Any:
        """The object of that number if it is free, else None. For SLAB_STATIC caches only.

        If nobody ever had it, those below it count as made, and free.
        """

    @abc.abstractmethod
    def free(self, item: Any) -> None:
        """Give an object back; a second free is a `double-free`."""

    @abc.abstractmethod
    def index(self, item: Any) -> int:
        """The number of an object within the cache: a frame number for pages."""

    @abc.abstractmethod
    def at(self, index: int) -> Any:
        """The object of that number."""

    @abc.abstractmethod
    def live(self) -> tuple[Any, ...]:
        """The objects allocated now (an observation: no step of the kernel)."""

    def count(self) -> int:
        """How many objects are allocated now."""
        return len(self.live())


class Machine(abc.ABC):
    """A machine that kernel code runs on."""

    #: Whether earlier states come back, so that the values of fields must never change.
    goes_back: bool = True
    #: Verdicts that this run passes over, because the modelled kernel does not notice them.
    allow: frozenset[str] = frozenset()
    #: The slab caches, in the order of their creation.
    caches: Sequence[KmemCache] = ()

    @abc.abstractmethod
    def kmem_cache_create(
        self,
        name: str,
        struct: type[Struct],
        flags: int = 0,
        ctor: Callable[[Any], None] | None = None,
    ) -> KmemCache:
        """A new cache; `ctor` runs once for each object, when its memory first becomes one."""

    @abc.abstractmethod
    def static(self, struct: type[S], name: str) -> S:
        """A struct that is there from boot on, never freed: the kernel's global variables."""

    @abc.abstractmethod
    def statics(self) -> tuple[Any, ...]:
        """The kernel's global variables (an observation)."""

    @abc.abstractmethod
    def references(self, item: Any) -> Iterator[Any]:
        """What the fields of an object hold, list and tree members included (an observation)."""

    @abc.abstractmethod
    def rcu_read_lock(self, context: Context) -> None:
        """Enter the outermost read-side section of a context."""

    @abc.abstractmethod
    def rcu_read_unlock(self, context: Context) -> None:
        """Leave it."""

    @abc.abstractmethod
    def present(self, item: Any) -> Any:
        """The object that now lives where this one lived; itself if that is no other."""

    @abc.abstractmethod
    def name_of(self, item: Any) -> str:
        """What reports call an object: `anon_vma#1`."""

    @contextmanager
    def running(self, cpu: int, task: str) -> Iterator[Context]:
        """Run kernel code in order as `task` on `cpu`."""
        before = getattr(RUNNING, "context", None)
        RUNNING.context = context = Context(self, cpu, task)
        try:
            yield context
        finally:
            if before is not None:
                RUNNING.context = before
