"""Random system calls of a few processes over a few pages, as the steps of a litmus."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from traceback import walk_stack, walk_tb
from types import CodeType
from typing import Any

from hypothesis import strategies as st

from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.mm_types import PAGE_SHIFT, VM_LOCKED
from rmaplab.kernel.pgtable import Pte
from rmaplab.litmus.model import Litmus, Step
from rmaplab.litmus.operations import KSMD
from rmaplab.machine import KernelStateError, Machine, list_empty, rb_items
from rmaplab.machine.context import RUNNING, Context
from rmaplab.runner.random_steps import (
    BEGINNINGS,
    NOWHERE,
    Drawn,
    Mix,
    drawn_steps,
    litmus_of,
)
from rmaplab.runner.scenario import boot, operation, task_of
from rmaplab.runner.truths import broken_truths, entries_of, tree_matches_list

LEAST, MOST = 15, 40  # steps; some of them are nothing, to which a failing sequence shrinks
SOURCES = re.compile(r"rmaplab.(kernel|history)\b")
#: Operations and how often they are drawn.
WEIGHTS: Mapping[str, int] = {
    "nothing": 1, "mmap": 4, "write": 8, "poke": 2, "read": 2, "fault": 2, "fork": 5, "exit": 3,
    "exec": 1, "munmap": 4, "mprotect": 5, "mergeable": 5, "unmergeable": 2, "dontneed": 1,
    "dontfork": 1, "dofork": 1, "scan": 6, "unmerge_all": 1, "set": 1, "migrate": 3, "compact": 1,
    "reclaim": 1, "walk": 2, "brk": 4, "mremap": 6, "mlock": 3, "munlock": 2, "swap_out": 6,
    "swap_in": 2, "swapoff": 1, "swapon": 1, "free": 2, "cold": 1, "pageout": 2, "mem_write": 3,
}  # fmt: skip
FAILS = (0,) * 14 + (1, 1, 2, 3, 4, 5, 6)


def litmuses(processes: int = 2) -> st.SearchStrategy[Litmus]:
    """Scenarios of one flow."""
    configs = st.sampled_from([(True, True)] * 4 + [(True, False), (False, True), (False, False)])
    beginnings = st.lists(st.sampled_from(list(BEGINNINGS)), min_size=processes, max_size=processes)
    mix = Mix(WEIGHTS, LEAST, MOST, FAILS)

    def make(drawn: list[Drawn], began: list[str], config: tuple[bool, bool], swap: bool) -> Litmus:
        switches = {"CONFIG_KSM": config[0], "CONFIG_MIGRATION": config[1], "CONFIG_SWAP": swap}
        return litmus_of(drawn, began, replace(mix, config=switches))

    return st.builds(make, drawn_steps(mix), beginnings, configs, st.booleans())


# Running them


@dataclass(frozen=True)
class Failure:
    """What went wrong: a verdict or `oops`, in which functions of the kernel, about what.

    `starved` are the functions in which an allocation was made to fail, in this step or before.
    """

    kind: str
    message: str
    functions: tuple[str, ...]
    step: str
    subject: Any
    starved: frozenset[str]

    def __str__(self) -> str:
        return f"{self.kind} in {self.step}: {self.message} ({' > '.join(self.functions)})"


class Recording(Context):
    """A flow of control that notes in which functions its allocation fails."""

    __slots__ = ("starved",)

    def __init__(self, machine: Machine, task: str, starved: set[str]) -> None:
        super().__init__(machine, 0, task)
        self.starved = starved

    def should_fail(self) -> bool:
        failing = super().should_fail()
        if failing:
            frames = [frame for frame, _ in walk_stack(sys._getframe(1))]
            self.starved.update(kernel_functions(frame.f_code for frame in frames))
        return failing


def kernel_functions(codes: Iterable[CodeType]) -> tuple[str, ...]:
    """The functions of the kernel among the code that runs."""
    return tuple(code.co_name for code in codes if SOURCES.search(code.co_filename))


def locked_vmas(mm: Any) -> list[Any]:
    """The VMAs of an address space that are locked into memory."""
    return [vma for vma in rb_items(mm.mm_rb) if vma.vm_flags & VM_LOCKED]


def vma_pages(vma: Any) -> int:
    """How many pages a VMA has."""
    return int((vma.vm_end - vma.vm_start) >> PAGE_SHIFT)


class Run:
    """A litmus on a kernel, step by step; `results` are what its steps returned.

    `tolerated(failure, run)` says which failures are no reason to stop; `done` has the steps done.
    """

    def __init__(
        self,
        litmus: Litmus,
        kernel: type[Kernel],
        machine: Machine,
        tolerated: Callable[[Failure, Run], bool] = lambda failure, run: False,
    ) -> None:
        self.litmus = litmus
        self.machine = machine
        self.tolerated = tolerated
        self.system = boot(litmus, kernel, machine)
        self.done: list[Step] = []
        self.results: list[int] = []
        self.starved: set[str] = set()

    def failure(self) -> Failure | None:
        """Do all steps, and what `failure_of_the_end` does: what goes wrong first."""
        failures = (self.do(step) for step in self.litmus.setup)
        return next((each for each in failures if each is not None), None) or (
            self.failure_of_the_end()
        )

    def failure_of_the_end(self) -> Failure | None:
        """Let everybody exit, ksmd look twice and the device go: what goes wrong, or is left."""
        for step in self._closing():
            failure = self.do(step)
            if failure is not None:
                return failure
        left = [item for cache in self.machine.caches for item in cache.live()]
        names = ", ".join(self.machine.name_of(item) for item in left if not self._stale(item))
        return self._failure("leak", f"left in the end: {names}", (), None) if names else None

    def do(self, step: Step) -> Failure | None:
        """Do a step, and look whether all truths hold."""
        self.done.append(step)
        with self.machine.running(0, task_of(step)):
            RUNNING.context = context = Recording(self.machine, task_of(step), self.starved)
            context.fail_at = step.args.get("fail", 0)
            try:
                self.results.append(operation(self.system, step)())
            except (KernelStateError, AttributeError) as error:
                return self._raised(error, step)
            assert not (context.held or context.atomic or context.rcu), f"{step} leaves a lock held"
        return self._untrue(step)

    def _untrue(self, step: Step) -> Failure | None:
        for _, mm in self.system.processes():
            assert tree_matches_list(mm), f"after {step} list and tree of an mm differ"
        self._check_exclusive(step)
        failures = (self._raised(error, step) for error in broken_truths(self.system))
        found = next((each for each in failures if not self.tolerated(each, self)), None)
        return found or self._miscounted(step)

    def _miscounted(self, step: Step) -> Failure | None:
        """Locked memory that is counted or marked otherwise than it is."""
        for _, mm in self.system.processes():
            pages = sum(map(vma_pages, locked_vmas(mm)))
            if mm.locked_vm != pages:
                message = f"locked_vm is {mm.locked_vm}, {pages} pages are locked"
                return self._failure("miscounted", message, (), mm, str(step))
        for page in self.system.kernel.page_cachep.live():
            if page.mlocked and not self._is_locked(page):
                message = "PG_mlocked of what nobody locks"
                return self._failure("miscounted", message, (), page, str(step))
        return None

    def _check_exclusive(self, step: Step) -> None:
        """From v5.19 on: what an entry may write to is its alone, and mapped once."""
        kernel = self.system.kernel
        if "anon_exclusive" not in kernel.Page.fields:
            return
        for _, mm in self.system.processes():
            for _, entry in entries_of(mm):
                if isinstance(entry, Pte) and not entry.special:
                    page = kernel.pfn_to_page(entry.pfn)
                    assert page.anon_exclusive or not entry.write, f"a shared page after {step}"
                    once = kernel.page_mapcount(page) == 1 and not kernel.PageKsm(page)
                    assert once or not page.anon_exclusive, f"no exclusive page after {step}"

    def _is_locked(self, page: Any) -> bool:
        return any(
            isinstance(entry, Pte) and entry.pfn == self.system.kernel.page_to_pfn(page)
            for _, mm in self.system.processes()
            for vma in locked_vmas(mm)
            for address, entry in entries_of(mm)
            if vma.vm_start <= address < vma.vm_end
        )

    def _raised(self, error: KernelStateError | AttributeError, step: Step) -> Failure:
        codes = (frame.f_code for frame, _ in walk_tb(error.__traceback__))
        kind = error.kind if isinstance(error, KernelStateError) else "oops"
        subject = getattr(error, "subject", None)
        return self._failure(kind, str(error), kernel_functions(codes), subject, str(step))

    def _failure(
        self, kind: str, message: str, functions: tuple[str, ...], subject: Any, step: str = "end"
    ) -> Failure:
        return Failure(kind, message, functions, step, subject, frozenset(self.starved))

    def _closing(self) -> Iterator[Step]:
        for name in [name for name, _ in self.system.processes()]:
            yield Step("exit", name, {}, NOWHERE)
        if self.litmus.config.get("CONFIG_KSM", True):
            yield Step("set", None, {"knob": "run", "value": 1}, NOWHERE)
            yield Step("scan", KSMD, {"k": 2}, NOWHERE)
        if self.system.kernel.CONFIG_SWAP:  # a page nobody maps may stay in the swap cache
            yield Step("swapoff", None, {}, NOWHERE)

    def _stale(self, item: Any) -> bool:
        """A stable_node without rmap_items: get_ksm_page removes it when a search meets it."""
        return "hlist" in item.fields and "kpfn" in item.fields and list_empty(item.hlist)
