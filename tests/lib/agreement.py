"""Whether the walks agree with each other, and with brute force."""

from __future__ import annotations

from brute import Answer, enumerate_all
from protocols import Bench, Protocol

from rmaplab.checker.native.search import NativeSearch
from rmaplab.checker.options import Limits, Native
from rmaplab.checker.trace import replay
from rmaplab.checker.walker import Walk, Walker, at_first, never

LIMITS = Limits()


def hold_full_walk(protocol: Protocol, answer: Answer) -> None:
    """The full walk is brute force's, to the state."""
    bench = Bench(protocol)
    walker = bench.walker()
    walk = walker.walk(False, LIMITS)
    if walk.finding is not None:
        assert len(walk.finding.path) == answer.length()
        assert answer.nearest[walk.finding.fault.kind] == answer.length()
        return
    assert not answer.nearest
    assert (walk.states, walk.transitions) == (answer.states, answer.steps)
    assert bench.finals(walker, walk) == answer.finals
    assert (len(walk.race.path) if walk.race else None) == answer.race


def hold_reduced_walk(protocol: Protocol, answer: Answer) -> None:
    """The reduced walk finds something wrong if there is any, else each end and whether a race."""
    bench = Bench(protocol)
    walker = bench.walker()
    hold_reduced(bench, walker, walker.walk(True, LIMITS), answer)


def hold_native_reduced_walk(protocol: Protocol, answer: Answer) -> None:
    """So does the one in compiled code, with cold tables and warm."""
    bench = Bench(protocol)
    walker = bench.walker()
    for _ in range(2):
        walk = NativeSearch(walker, True, LIMITS, None, at_first).run()
        hold_reduced(bench, walker, walk, answer)


def hold_reduced(bench: Bench, walker: Walker, walk: Walk, answer: Answer) -> None:
    """A reduced walk against brute force."""
    assert (walk.finding is None) == (not answer.nearest)
    if walk.finding is not None:
        assert walk.finding.fault.kind in answer.nearest
        return
    assert walk.states <= answer.states
    assert bench.finals(walker, walk) == answer.finals
    assert (walk.race is None) == (answer.race is None)


def by_brute_force(protocol: Protocol) -> Answer:
    """What brute force finds, and so do both walks."""
    answer = enumerate_all(protocol)
    hold_full_walk(protocol, answer)
    hold_reduced_walk(protocol, answer)
    return answer


def hold_to_full_walk(walker: Walker, limits: Limits) -> tuple[Walk, Walk]:
    """The reduced walk of a scenario agrees with the full one, where neither meets a limit."""
    reduced = walker.walk(True, limits)
    full = walker.walk(False, limits)
    if reduced.limit or full.limit:
        return reduced, full
    assert (reduced.finding is None) == (full.finding is None)
    if reduced.finding is not None and full.finding is not None:
        assert len(full.finding.path) <= len(reduced.finding.path)
        return reduced, full
    assert {end.rstrip("\0") for end in reduced.terminals} == {
        end.rstrip("\0") for end in full.terminals
    }
    assert (reduced.race is None) == (full.race is None)
    assert reduced.states <= full.states
    return reduced, full


def natively(walker: Walker, limits: Limits = LIMITS, native: Native | None = None) -> Walk:
    """The full walk in compiled code, for every cause."""
    walker.native = native or Native()
    return NativeSearch(walker, False, limits, None, never).run()


def hold_native_walk(walker: Walker, limits: Limits = LIMITS) -> tuple[Walk, Walk]:
    """The walk in compiled code is the one in plain Python.

    With cold tables and warm, with fingerprints and whole states, on two cores and one.
    """
    native = natively(walker, limits)
    exact = natively(walker, limits, Native(exact=True, cores=1))
    walker.native = Native(start=limits.states + 1)
    python = walker.walk(False, limits, None, never)
    if not (native.limit or python.limit):
        assert numbers(walker, native) == numbers(walker, exact) == numbers(walker, python)
    return native, python


def numbers(walker: Walker, walk: Walk) -> object:
    """All that a full walk gives, but for which of the nearest ways it names."""
    for finding in walk.findings.values():
        seen = replay(walker.tables, finding.path)
        assert seen is not None, "a finding's way cannot be walked"
        if seen.fault is not None:
            assert seen.fault.kind == finding.fault.kind
        else:
            assert finding.pending or finding.at_end
    causes = {cause: len(finding.path) for cause, finding in walk.findings.items()}
    ends = {end.rstrip("\0") for end in walk.terminals}
    return walk.states, walk.transitions, walk.depth, causes, ends


def hold_native_to_plain(walker: Walker, limits: Limits) -> tuple[Walk, Walk]:
    """The reduced walk in compiled code finds what the one in plain Python finds."""
    walker.native = Native(start=limits.states + 1)
    python = walker.walk(True, limits, None, never)
    native = NativeSearch(walker, True, limits, None, never).run()
    if not (native.limit or python.limit):
        assert native.findings.keys() == python.findings.keys()
        assert {end.rstrip("\0") for end in native.terminals} == {
            end.rstrip("\0") for end in python.terminals
        }
    return native, python
