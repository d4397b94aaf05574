"""What a load costs on a kernel: slab objects, walks of the reverse map, locks, chains over time.

A load is run in order on a direct machine that counts. Truths are not checked: `rmaplab run` does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from rmaplab.costs import Costs, Distribution, Moment, Slab
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.rmap import SWAP_AGAIN
from rmaplab.litmus.model import Litmus
from rmaplab.litmus.writer import write_step
from rmaplab.machine import KernelStateError
from rmaplab.machine.direct import DirectMachine
from rmaplab.runner import replay
from rmaplab.runner.metering import MeteringMachine
from rmaplab.runner.run import is_gone
from rmaplab.runner.scenario import boot, check_steps, every_step, run_step
from rmaplab.runner.sizes import size_of
from rmaplab.runner.system import System

#: What is told of a step that was done: the system, and what the step was.
After = Callable[[System, str], None]
#: The slab caches that a design is made of.
SLABS = ("anon_vma", "anon_vma_chain", "vm_area_struct", "rmap_item", "stable_node")


class Load(NamedTuple):
    """What is run. `walked` is the step, counted from 1, after which walks are looked at."""

    name: str
    run: Callable[[type[Kernel], DirectMachine, After], None]
    walked: int = 0


def load_of_litmus(litmus: Litmus, walked: int = 0) -> Load:
    """A litmus, its CPUs one after the other; InputError for a step that is not modelled."""
    check_steps(litmus)

    def run(kernel: type[Kernel], machine: DirectMachine, after: After) -> None:
        system = boot(litmus, kernel, machine)
        for step in every_step(litmus):
            if not is_gone(system, step):
                run_step(system, step)
            after(system, write_step(step))

    name = f"{litmus.name}: {litmus.about}" if walked else litmus.name
    return Load(name, run, walked)


def load_of_strace(log: str) -> Load:
    """A log of strace -f; InputError if it is damaged."""

    def run(kernel: type[Kernel], machine: DirectMachine, after: After) -> None:
        result = replay.replay(log, kernel, machine=machine, after=after)
        if result.violation is not None:
            raise KernelStateError(result.violation.kind, result.violation.message)

    return Load(log, run)


def measure(load: Load, kernel: type[Kernel], name: str) -> Costs:
    """What a settled load costs on a kernel, called `name`, up to a wrong state of that."""
    machine = MeteringMachine()
    measuring = _Measuring(machine, load.walked)
    stopped = ""
    try:
        load.run(kernel, machine, measuring.after)
    except KernelStateError as error:
        stopped = f"{error.kind} in step {len(measuring.moments) + 1}: {error.message}"
    return Costs(
        load.name, name, measuring.slabs(), load.walked, measuring.walks,
        machine.meter.locking(), tuple(measuring.moments), stopped,
    )  # fmt: skip


def settled(load: Load, kernel: type[Kernel]) -> Load:
    """The load with walks after the last step at which this kernel has the most VMAs.

    A named workload says so itself; for others it takes a run.
    """
    if load.walked:
        return load
    alive: list[int] = []

    def after(system: System, text: str) -> None:
        alive.append(_alive(system, "vm_area_struct"))

    with suppress(KernelStateError):
        load.run(kernel, DirectMachine(), after)
    most = max(range(len(alive)), key=lambda at: (alive[at], at), default=0)
    return load._replace(walked=most + 1)


def _alive(system: System, name: str) -> int:
    """How many objects of a cache there are; of one that the kernel does not have, none."""
    return sum(len(cache.live()) for cache in system.machine.caches if cache.name == name)


class _Measuring:
    """Looks at the system after each step."""

    def __init__(self, machine: MeteringMachine, walked: int) -> None:
        self.machine = machine
        self.walked = walked
        self.moments: list[Moment] = []
        self.walks = Distribution({})
        self._most: Counter[str] = Counter()

    def after(self, system: System, text: str) -> None:
        """Count, and at the step that was chosen look at walks."""
        now = {name: _alive(system, name) for name in SLABS}
        for name in SLABS:
            self._most[name] = max(self._most[name], now[name])
        step = len(self.moments) + 1
        counts = (now["vm_area_struct"], now["anon_vma"], now["anon_vma_chain"])
        self.moments.append(Moment(step, text, *counts))
        if step == self.walked:
            with self.machine.running(0, "walks"), self.machine.meter.paused():
                self.walks = walks_of(system)

    def slabs(self) -> tuple[Slab, ...]:
        """The most objects of each cache, with their size."""
        sizes = {cache.name: size_of(cache.name, cache.struct) for cache in self.machine.caches}
        return tuple(Slab(name, self._most[name], sizes.get(name, 0)) for name in SLABS)


def walks_of(system: System) -> Distribution:
    """For every mapped anonymous page, how many VMAs a whole walk of its reverse map looks at.

    A whole walk is migration's, which ends nowhere early. Pages with the same index and anon_vma,
    or of the same stable_node, have the same walk: it is done once, and counts for each of them.
    """
    kernel: Any = system.kernel
    walks: Counter[int] = Counter()
    with _counted_entries(kernel) as seen:
        for page, alike in _groups(system):
            seen.clear()
            kernel.lock_page(page)
            kernel.rmap_walk(page, lambda *_: SWAP_AGAIN, None)
            kernel.unlock_page(page)
            walks[seen.total()] += alike
    return Distribution(walks)


def _groups(system: System) -> Iterator[tuple[Any, int]]:
    """A page of each group whose walks are the same, and how many pages the group has."""
    groups: dict[tuple[int, int], list[Any]] = {}
    for page in system.kernel.page_cachep.live():
        if system.kernel.page_mapped(page) and system.kernel.page_rmapping(page) is not None:
            is_merged = system.kernel.PageKsm(page)
            key = (id(page.mapping[1]), -1 if is_merged else page.index)
            groups.setdefault(key, [page, 0])[1] += 1
    for page, alike in groups.values():
        yield page, alike


@contextmanager
def _counted_entries(kernel: Any) -> Iterator[Counter[str]]:
    """Count the VMAs that the loops of walks come by."""
    seen: Counter[str] = Counter()
    entries = kernel.anon_vma_entries

    def counted(anon_vma: Any, page: Any = None) -> Iterator[Any]:
        for entry in entries(anon_vma, page):
            seen["VMA"] += 1
            yield entry

    kernel.anon_vma_entries = counted
    try:
        yield seen
    finally:
        del kernel.anon_vma_entries
