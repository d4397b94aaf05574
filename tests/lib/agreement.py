"""Whether the walks agree with each other, and with brute force."""

from __future__ import annotations

import pytest
from brute import Answer, enumerate_all
from protocols import Bench, Protocol

from rmaplab.checker.exploration import Walk, at_first, never
from rmaplab.checker.findings import Cause
from rmaplab.checker.native.search import NativeSearch
from rmaplab.checker.nearest import Nearest
from rmaplab.checker.options import EVERY, NONE, Limits, Native, Reduction
from rmaplab.checker.tables import Tables
from rmaplab.checker.trace import replay
from rmaplab.checker.walker import Walker
from rmaplab.history import KERNELS
from rmaplab.litmus.model import Litmus
from rmaplab.machine.faults import KernelStateError
from rmaplab.runner.scenario import build

LIMITS = Limits()

#: All reductions, each left out, each by itself.
CHOICES = (EVERY, *(EVERY - {each} for each in Reduction), *(frozenset({r}) for r in Reduction))


def hold_every_kind(protocol: Protocol, answer: Answer) -> None:
    """A walk that goes on finds each kind that there is, and the full one as near as it is."""
    for reductions in (NONE, EVERY - {Reduction.LAST_ACCESS}):
        found = Bench(protocol).walker().walk(reductions, LIMITS, enough=never).findings.values()
        lengths: dict[str, int] = {}
        for finding in found:
            if not finding.is_race:
                length = len(finding.path)
                lengths[finding.fault.kind] = min(lengths.get(finding.fault.kind, length), length)
        assert lengths.keys() == answer.nearest.keys()
        assert reductions or lengths == answer.nearest


def hold_nearest(protocol: Protocol, answer: Answer) -> None:
    """The search for the nearest finds each kind and each race as near as it is."""
    found = nearest(Bench(protocol).walker(), LIMITS).findings.values()
    lengths: dict[str, int] = {}
    for finding in found:
        kind, length = finding.fault.kind, len(finding.path)
        lengths[kind] = min(lengths.get(kind, length), length)
    race = lengths.pop("data-race", None)
    assert (lengths, race) == (answer.nearest, answer.race)


def nearest(walker: Walker, limits: Limits) -> Walk:
    """The nearest finding of each cause."""
    search = Nearest(walker.tables, walker.futures, limits, None, never)
    return search.run()


def hold_full_walk(protocol: Protocol, answer: Answer) -> None:
    """The full walk is brute force's, to the state."""
    bench = Bench(protocol)
    walker = bench.walker()
    walk = walker.walk(NONE, LIMITS)
    if walk.finding is not None:
        assert len(walk.finding.path) == answer.length()
        assert answer.nearest[walk.finding.fault.kind] == answer.length()
        return
    assert not answer.nearest
    assert (walk.states, walk.transitions) == (answer.states, answer.steps)
    assert bench.finals(walker, walk) == answer.finals
    assert (len(walk.race.path) if walk.race else None) == answer.race


def hold_reduced_walk(
    protocol: Protocol, answer: Answer, reductions: frozenset[Reduction] = EVERY
) -> None:
    """The reduced walk finds something wrong if there is any, else each end and whether a race."""
    bench = Bench(protocol)
    walker = bench.walker()
    hold_reduced(bench, walker, walker.walk(reductions, LIMITS), answer)


def hold_reduced_walks(protocol: Protocol, answer: Answer) -> None:
    """Whichever reductions are chosen."""
    for reductions in CHOICES:
        hold_reduced_walk(protocol, answer, reductions)


def hold_native_reduced_walk(protocol: Protocol, answer: Answer) -> None:
    """So does the one in compiled code, with cold tables and warm."""
    bench = Bench(protocol)
    walker = bench.walker()
    for _ in range(2):
        search = NativeSearch(walker.tables, Native(), LIMITS, None, at_first, walker.futures)
        hold_reduced(bench, walker, search.run(), answer)


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
    """What brute force finds, and so do all walks."""
    answer = enumerate_all(protocol)
    hold_full_walk(protocol, answer)
    hold_reduced_walks(protocol, answer)
    hold_every_kind(protocol, answer)
    hold_nearest(protocol, answer)
    return answer


def hold_to_full_walk(walker: Walker, limits: Limits) -> bool:
    """Whether the full walk meets no limit: then each reduced walk of a scenario agrees with it."""
    full = walker.walk(NONE, limits)
    if full.limit:
        return False
    for reductions in CHOICES:
        reduced = walker.walk(reductions, limits)
        assert not reduced.limit
        assert (reduced.finding is None) == (full.finding is None)
        if reduced.finding is not None and full.finding is not None:
            assert len(full.finding.path) <= len(reduced.finding.path)
            continue
        assert ends(reduced) == ends(full)
        assert (reduced.race is None) == (full.race is None)
        assert reduced.states <= full.states
    return True


def hold_nearest_to_full_walk(walker: Walker, limits: Limits) -> bool:
    """Whether neither meets a limit: then causes are the same, and as near."""
    full, near = walker.walk(NONE, limits, enough=never), nearest(walker, limits)
    if full.limit or near.limit:
        return False
    assert lengths_of(near) == lengths_of(full)
    assert near.states <= full.states
    return True


def lengths_of(walk: Walk) -> dict[Cause, int]:
    """How far each finding is from the start."""
    return {cause: len(finding.path) for cause, finding in walk.findings.items()}


def ends(walk: Walk) -> set[str]:
    """The memories in which all had finished, however wide states were."""
    return {end.rstrip("\0") for end in walk.terminals}


def walker_of(litmus: Litmus, kernel: str) -> Walker:
    """A walker of a litmus on a kernel, after the set-up."""
    scenario = build(litmus, KERNELS[kernel])
    scenario.machine.freeze()
    return Walker(Tables(scenario))


def walker_or_skip(litmus: Litmus, kernel: str) -> Walker:
    """The same; no walk begins where the set-up goes wrong."""
    try:
        return walker_of(litmus, kernel)
    except KernelStateError:
        pytest.skip("the set-up goes wrong")


def natively(walker: Walker, limits: Limits = LIMITS, native: Native | None = None) -> Walk:
    """The full walk in compiled code, for every cause."""
    return NativeSearch(walker.tables, native or Native(), limits, None, never).run()


def hold_native_walk(walker: Walker, limits: Limits = LIMITS) -> tuple[Walk, Walk]:
    """The walk in compiled code is the one in plain Python.

    With cold tables and warm, with fingerprints and whole states, on two cores and one.
    """
    native = natively(walker, limits)
    exact = natively(walker, limits, Native(exact=True, cores=1))
    walker.native = Native(start=limits.states + 1)
    python = walker.walk(NONE, limits, None, never)
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
    return walk.states, walk.transitions, walk.depth, lengths_of(walk), ends(walk)


def hold_native_to_plain(walker: Walker, limits: Limits) -> tuple[Walk, Walk]:
    """The reduced walk in compiled code finds what the one in plain Python finds."""
    walker.native = Native(start=100 * limits.states)
    reductions = EVERY - {Reduction.LAST_ACCESS, Reduction.SYMMETRY}
    python = walker.walk(reductions, limits, None, never)
    search = NativeSearch(walker.tables, Native(), limits, None, never, walker.futures)
    native = search.run()
    if not (native.limit or python.limit):
        assert native.findings.keys() == python.findings.keys()
        assert ends(native) == ends(python)
    return native, python
