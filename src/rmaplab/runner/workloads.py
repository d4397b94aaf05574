"""The named workloads of `rmaplab compare`: programs that made the reverse map what it is.

Each is a litmus of one block with two parameters. `walked` is the step, counted from 1, after which
it has most of what a walk can meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from rmaplab.errors import Place
from rmaplab.litmus.model import Litmus, Step

PARENT = "parent"
#: Commands of a pipeline.
COMMANDS = 3

#: A step, or None for the place where walks are looked at.
Steps = Iterator[Step | None]


@dataclass(frozen=True)
class Workload:
    """What runs, and the number of its step after which walks are looked at."""

    litmus: Litmus
    walked: int


def _do(process: str, op: str, **operands: int | str) -> Step:
    return Step(op, process, operands, Place(op))


def _born(children: int) -> list[str]:
    return [f"child{number}" for number in range(children)]


def _exits(*processes: str) -> Iterator[Step]:
    return (_do(process, "exit") for process in processes)


def aim7(children: int, pages: int) -> Steps:
    """A parent writes its pages; all its children are forked, and then each writes them all."""
    names = _born(children)
    yield _do(PARENT, "mmap", at=0, n=pages)
    yield _do(PARENT, "write", at=0, n=pages, c=1)
    for name in names:
        yield _do(PARENT, "fork", child=name)
    for word, name in enumerate(names, 2):
        yield _do(name, "write", at=0, n=pages, c=word)
    yield None
    yield from _exits(*names, PARENT)


def endless_fork(children: int, pages: int) -> Steps:
    """Each process writes its pages, forks and exits; the child goes on, so many times."""
    process = PARENT
    yield _do(process, "mmap", at=0, n=pages)
    yield _do(process, "write", at=0, n=pages, c=1)
    for word, name in enumerate(_born(children), 2):
        yield _do(process, "fork", child=name)
        yield _do(process, "exit")
        process = name
        yield _do(process, "write", at=0, n=pages, c=word)
    yield None
    yield _do(process, "exit")


def zygote(children: int, pages: int) -> Steps:
    """A warm parent: a child reads one VMA of it, writes another, and has a third of its own."""
    names = _born(children)
    shared, private, own = 0, 2 * pages, 4 * pages
    for at in (shared, private):
        yield _do(PARENT, "mmap", at=at, n=pages)
        yield _do(PARENT, "write", at=at, n=pages, c=1)
    for word, name in enumerate(names, 2):
        yield _do(PARENT, "fork", child=name)
        yield _do(name, "read", at=shared, n=pages)
        yield _do(name, "write", at=private, n=pages, c=word)
        yield _do(name, "mmap", at=own, n=pages)
        yield _do(name, "write", at=own, n=pages, c=word)
    yield None
    yield from _exits(*names, PARENT)


def snapshot(children: int, pages: int) -> Steps:
    """A big process forks one child after the other; while one saves its pages, it writes on."""
    yield _do(PARENT, "mmap", at=0, n=pages)
    yield _do(PARENT, "write", at=0, n=pages, c=1)
    names = _born(children)
    for word, name in enumerate(names, 2):
        yield _do(PARENT, "fork", child=name)
        yield _do(PARENT, "write", at=0, n=pages, c=word)
        yield _do(name, "read", at=0, n=pages)
        if name == names[-1]:
            yield None
        yield _do(name, "exit")
    yield _do(PARENT, "exit")


def shell(children: int, pages: int) -> Steps:
    """A shell runs pipelines of three: a child writes a page, executes, and writes its own."""
    words = count(2)
    yield _do(PARENT, "mmap", at=0, n=pages)
    yield _do(PARENT, "write", at=0, n=pages, c=1)
    for pipeline in range(children):
        names = [f"command{pipeline}.{place}" for place in range(COMMANDS)]
        for name in names:
            yield _do(PARENT, "fork", child=name)
            yield _do(name, "write", at=0, c=next(words))
        for name in names:
            yield _do(name, "exec")
            yield _do(name, "mmap", at=0, n=pages)
            yield _do(name, "write", at=0, n=pages, c=next(words))
        if pipeline == children - 1:
            yield None
        yield from _exits(*names)
    yield _do(PARENT, "exit")


WORKLOADS: dict[str, Callable[[int, int], Steps]] = {
    "aim7": aim7,
    "endless-fork": endless_fork,
    "zygote": zygote,
    "snapshot": snapshot,
    "shell": shell,
}


def find_workload(name: str, children: int, pages: int) -> Workload:
    """A workload by its name, one of WORKLOADS."""
    steps = list(WORKLOADS[name](children, pages))
    about = f"{children:,} children, {pages:,} pages each"
    setup = tuple(step for step in steps if step is not None)
    return Workload(Litmus(name, about, (PARENT,), setup=setup), steps.index(None))
