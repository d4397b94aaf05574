"""anon_vma and anon_vma_chain objects of the running kernel, as /proc/slabinfo counts them.

They are those of all processes, and what a CPU keeps at hand counts as used: so the caches are
shrunk before, and the scenario is run several times, with its memory and without. The difference
is its own; the interpreter of a process has the same number in both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from rmaplab.litmus.model import Litmus, Step
from rmaplab.live.knobs import Knobs
from rmaplab.live.run import do_step
from rmaplab.live.system import LiveSystem
from rmaplab.runner.scenario import every_step

SLABINFO = Path("/proc/slabinfo")
CACHES = ("anon_vma", "anon_vma_chain")
#: Writing here gives up what is kept at hand of a cache.
SHRINK = "/sys/kernel/slab/{}/shrink"
ROUNDS = 15
#: The part of the runs that is to agree: what other processes do adds one number, then another.
AGREED = 1 / 3
#: Steps that make and end processes, which a run without the scenario's memory does as well.
PROCESSES = ("fork", "exit")

Counts = dict[str, int]


def is_readable(slabinfo: Path = SLABINFO) -> bool:
    """Whether this machine tells the counts: some kernels merge the caches with others."""
    try:
        return set(active_objects(slabinfo.read_text())) == set(CACHES)
    except OSError:
        return False


def active_objects(slabinfo: str) -> Counts:
    """The second column of slabinfo, for our caches."""
    rows = (line.split() for line in slabinfo.splitlines())
    return {row[0]: int(row[1]) for row in rows if row and row[0] in CACHES}


def census(litmus: Litmus, knobs: Knobs) -> list[Counts]:
    """After each step what the scenario has of each; nothing of a cache that is too restless."""
    with_memory = [_counted(litmus, knobs, every_step(litmus)) for _ in range(ROUNDS)]
    bare = [step for step in every_step(litmus) if step.op in PROCESSES]
    without = [_counted(litmus, knobs, bare) for _ in range(ROUNDS)]
    return differences(with_memory, without)


def differences(
    with_memory: Sequence[Sequence[Counts]], without: Sequence[Sequence[Counts]]
) -> list[Counts]:
    """What each step adds in some runs, less what it adds in others, summed up.

    From the first step that the runs do not agree on, nothing is known.
    """
    total: Counts = dict.fromkeys(CACHES, 0)
    found = []
    for one, other in zip(_steady(with_memory), _steady(without), strict=True):
        total = {name: total[name] + one[name] - other[name]
                 for name in total if name in one and name in other}  # fmt: skip
        found.append(total)
    return found


def _steady(runs: Sequence[Sequence[Counts]]) -> list[Counts]:
    return [
        {
            name: count
            for name in CACHES
            if (count := _commonest(shown[name] for shown in step)) is not None
        }
        for step in zip(*runs, strict=True)
    ]


def _commonest(counts: Iterable[int]) -> int | None:
    """The count that enough runs agree on."""
    shown = list(counts)
    (count, times), *_ = Counter(shown).most_common()
    return count if times > len(shown) * AGREED else None


def _counted(litmus: Litmus, knobs: Knobs, done: Iterable[Step]) -> list[Counts]:
    """By how many of each object every step of the litmus makes more."""
    knobs.begin(litmus.ksm)
    wanted = set(map(id, done))
    counts = []
    with LiveSystem(litmus.processes, knobs) as system:
        for step in every_step(litmus):
            before = _now()
            if id(step) in wanted:
                do_step(system, step)
            after = _now()
            counts.append({name: after[name] - before[name] for name in CACHES})
    return counts


def _now() -> Counts:
    for name in CACHES:
        with suppress(OSError):
            Path(SHRINK.format(name)).write_text("1")
    return active_objects(SLABINFO.read_text())
