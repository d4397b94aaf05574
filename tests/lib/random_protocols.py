"""Random small protocols: two or three flows over fields, locks, counts, a list and objects.

`protocols` are of everything; in `lives`, objects are freed while others look at them;
in `equals`, flows do the same, each with an object of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from protocols import Protocol, Turn

Op = tuple[Any, ...]

#: Operations on globals; `"?"` is the answer to the operation before.
SIMPLE: tuple[Op, ...] = (
    ("load", "x"),
    ("store", "x", 1),
    ("store", "x", "?"),
    ("load", "m"),
    ("store", "m", 0),
    ("store", "m", 1),
    ("store", "m", 2),
    ("inc", "c"),
    ("dec_and_test", "c"),
    ("inc_not_zero", "c"),
    ("empty", "list"),
    ("alloc",),
)
#: Operations on the n-th object of the set-up.
ON_OBJECT: tuple[Op, ...] = (
    ("load", "x"),
    ("store", "x", 1),
    ("inc", "count"),
    ("dec_and_test", "count"),
    ("add",),
    ("del",),
    ("free",),
)
#: What can be done between two operations: taken, and given back.
AROUND: tuple[tuple[str, str, str], ...] = (
    ("lock", "l", "unlock"),
    ("lock", "k", "unlock"),
    ("lock_bit", "b", "unlock_bit"),
    ("down_read", "s", "up_read"),
    ("down_write", "s", "up_write"),
    ("rcu_lock", "", "rcu_unlock"),
)

on_objects = st.tuples(st.just("object"), st.sampled_from(ON_OBJECT), st.integers(0, 1))
leaves = st.one_of(st.sampled_from(SIMPLE), st.sampled_from(SIMPLE), on_objects)
skips = st.tuples(st.just("unless"), leaves)


def between(inner: Any) -> Any:
    """Operations with something taken before and given back after."""
    return st.tuples(
        st.just("around"), st.sampled_from(AROUND), st.lists(inner, min_size=1, max_size=3)
    )


around = between(leaves | skips)
nested = between(leaves | between(leaves))
bodies = st.lists(leaves | skips | around | nested, min_size=1, max_size=3)
flows = st.lists(bodies, min_size=1, max_size=2)


def setup() -> Any:
    """Two objects, one of them on the list; the global count is 1."""
    yield "inc", "c"
    first, second = (yield ("alloc",)), (yield ("alloc",))
    yield "add", "list", first
    return first, second


@dataclass(frozen=True)
class Body:
    """The body of a call that does these operations."""

    ops: list[Any]

    def __call__(self, *pointers: Any) -> Any:
        answer = 0
        for op in self.ops:
            answer = yield from do(op, answer, pointers)
        return answer


def do(op: Any, answer: Any, pointers: Any) -> Any:
    """One operation, given the answer to the one before."""
    if op[0] == "unless":
        return answer if answer else (yield from do(op[1], answer, pointers))
    if op[0] == "around":
        take, what, give = op[1]
        yield (take, what) if what else (take,)
        for inner in op[2]:
            answer = yield from do(inner, answer, pointers)
        yield (give, what) if what else (give,)
        return answer
    if op[0] == "when":
        return (yield from do(op[1], answer, pointers)) if answer else answer
    if op[0] == "object":
        return (yield on_object(op[1], pointers[op[2]]))
    number = int(answer) if isinstance(answer, int) else 0
    return (yield tuple(number if part == "?" else part for part in op))


def on_object(op: Op, pointer: Any) -> Op:
    """The operation on that object."""
    if op[0] == "add":
        return "add", "list", pointer
    if op[0] in ("del", "free"):
        return op[0], pointer
    return op[0], (pointer, op[1]), *op[2:]


@st.composite
def protocols(draw: Any) -> Protocol:
    """A random protocol."""
    count = draw(st.integers(2, 3))
    chosen = [draw(flows) for _ in range(count)]
    return Protocol(
        tuple(tuple(Turn(Body(ops)) for ops in calls) for calls in chosen),
        values=("x",),
        marked=("m",),
        locks=("l", "k"),
        bits=("b",),
        sems=("s",),
        counts=("c",),
        heads=("list",),
        setup=setup,
        last=draw(st.sampled_from([frozenset(), frozenset({count - 1})])),
        rcu=draw(st.booleans()),
        no_leak=False,
    )


#: What touches the first object, most often to look at it.
LOOKS = (("load", "x"), ("load", "x"), ("store", "x", 1), ("free",))
looks = st.tuples(st.just("object"), st.sampled_from(LOOKS), st.just(0))
flags = st.sampled_from([("load", "m"), ("store", "m", 0), ("store", "m", 1), ("empty", "list")])
asked = st.tuples(st.sampled_from(["when", "unless"]), looks | flags)
held = st.tuples(
    st.just("around"), st.sampled_from(AROUND[2:]), st.lists(looks | asked, min_size=1, max_size=2)
)
calls = st.lists(looks | flags | asked | held, min_size=1, max_size=2)
one_loop_or_none = st.lists(st.lists(flags, min_size=1, max_size=1), max_size=1)


@st.composite
def lives(draw: Any) -> Protocol:
    """A random protocol about the life of an object, with calls that may begin anew."""
    count = draw(st.integers(2, 3))
    return Protocol(
        tuple(
            (Turn(Body(draw(calls))), *(Turn(Body(ops), True) for ops in draw(one_loop_or_none)))
            for _ in range(count)
        ),
        marked=("x", "m"),
        locks=("l", "k"),
        bits=("b",),
        sems=("s",),
        counts=("c",),
        heads=("list",),
        setup=setup,
        rcu=draw(st.booleans()),
        no_leak=draw(st.booleans()),
    )


#: What flows that are equal do with the object that each has for itself.
OWN = (*ON_OBJECT, ("del",), ("del",), ("add",), ("store", "x", "?"))
equal_leaves = st.one_of(
    leaves,
    st.just(("first", "list")),
    st.tuples(st.just("object"), st.sampled_from(OWN), st.just(2)),
    st.tuples(st.just("object"), st.sampled_from(OWN), st.just(2)),
)
equal_bodies = st.lists(
    equal_leaves | st.tuples(st.sampled_from(["when", "unless"]), equal_leaves)
    | between(equal_leaves),
    min_size=1,
    max_size=3,
)  # fmt: skip


@dataclass(frozen=True)
class OwnBody(Body):
    """A body for which the third object is its flow's own; `quirk` is done at the end."""

    flow: int
    quirk: tuple[Op, ...] = ()

    def __call__(self, *pointers: Any) -> Any:
        answer = 0
        for op in (*self.ops, *self.quirk):
            answer = yield from do(op, answer, (*pointers[:2], pointers[2 + self.flow]))
        return answer


@st.composite
def equals(draw: Any) -> Protocol:
    """Two or three flows that are equal, or nearly so, and maybe one that is not."""
    count = draw(st.integers(2, 3))
    listed = draw(st.booleans())
    ops = draw(equal_bodies)
    quirks = st.sampled_from([(), (), (), (("unless", ("store", "m", 2)),)])
    bodies = [OwnBody(ops, flow, draw(quirks)) for flow in range(count)]
    others = [
        Body(ops)
        for ops in draw(st.lists(st.lists(leaves, min_size=1, max_size=2), max_size=3 - count))
    ]

    def setup_of_equals() -> Any:
        shared = yield from setup()
        own = []
        for _ in range(count):
            own.append((yield ("alloc",)))
            if listed:
                yield "add", "list", own[-1]
        return (*shared, *own)

    return Protocol(
        tuple((Turn(body),) for body in (*others, *bodies)),
        values=("x",),
        marked=("m",),
        locks=("l", "k"),
        bits=("b",),
        sems=("s",),
        counts=("c",),
        heads=("list",),
        setup=setup_of_equals,
        rcu=draw(st.booleans()),
    )
