"""Many checks: each litmus on each kernel, on all cores, whatever happens to one of them."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

from rmaplab.checker.check import check
from rmaplab.checker.exploration import Progress
from rmaplab.checker.interrupt import INTERRUPT
from rmaplab.checker.options import Options
from rmaplab.checker.verdict import UNDETERMINED, Outcome, Result, Violation
from rmaplab.kernel.kernel import Kernel
from rmaplab.litmus.model import Litmus
from rmaplab.machine.faults import KernelStateError
from rmaplab.runner.choice import NamedKernel, expected
from rmaplab.runner.claims import assumptions_of, warnings_of
from rmaplab.runner.identity import identified
from rmaplab.runner.reuse import Done, Memory, watched
from rmaplab.runner.scenario import build
from rmaplab.runner.workers import spread

#: Looking for garbage after each check costs a third of the matrix's time.
COLLECT_EVERY = 10
_DONE = count(1)


@dataclass(frozen=True)
class Check:
    """One litmus on one kernel."""

    litmus: Litmus
    kernel: NamedKernel
    expected: str | None


#: What a worker is given by number: classes of the user's own file cannot be sent to it.
_CHECKS: list[Check] = []
_OPTIONS: list[tuple[Options, bool]] = []
#: What each worker did lately.
_MEMORY = Memory()


def plan(collection: Sequence[Litmus], kernels: Sequence[NamedKernel]) -> list[Check]:
    """All pairs; InputError where an expectation names no kernel."""
    return [
        Check(litmus, kernel, expected(litmus, kernel.name))
        for litmus in collection
        for kernel in kernels
    ]


def run_check(
    todo: Check,
    options: Options,
    progress: Progress | None = None,
    cover: bool = False,
) -> Result:
    """Do one check, as checker.check does."""
    return _result(todo, _outcome(todo, todo.kernel.kernel, options, progress, cover))


def _run_or_recall(todo: Check, options: Options, progress: Progress | None, cover: bool) -> Result:
    """The same, unless a check of the litmus on another kernel goes the same way."""
    outcome = _MEMORY.find(todo.litmus, todo.kernel.kernel)
    if outcome is None:
        kernel, answers = watched(todo.kernel.kernel)
        outcome = _outcome(todo, kernel, options, progress, cover)
        done = Done(todo.kernel.name, todo.kernel.kernel, answers, outcome)
        _MEMORY.note(todo.litmus, done)
    return _result(todo, outcome)


def _result(todo: Check, outcome: Outcome) -> Result:
    return Result(
        todo.litmus.name,
        todo.kernel.name,
        outcome,
        todo.expected,
        assumptions_of(todo.litmus),
        warnings_of(todo.litmus, outcome),
    )


def _outcome(
    todo: Check, kernel: type[Kernel], options: Options, progress: Progress | None, cover: bool
) -> Outcome:
    gc.disable()  # nothing that a walk allocates dies before it ends
    try:
        return _explore(todo, kernel, options, progress, cover)
    finally:
        gc.enable()
        if next(_DONE) % COLLECT_EVERY == 0:
            gc.collect()


def _explore(
    todo: Check, kernel: type[Kernel], options: Options, progress: Progress | None, cover: bool
) -> Outcome:
    try:
        scenario = build(todo.litmus, kernel)
    except KernelStateError as fault:
        return _setup_fault(todo, kernel, fault)
    options = identified(options, todo.litmus, todo.kernel.kernel)
    return check(scenario, options, progress, cover)


def _setup_fault(todo: Check, kernel: type[Kernel], fault: KernelStateError) -> Outcome:
    """The set-up itself goes wrong: check it as what one CPU does, to have the trace."""
    moved = replace(todo.litmus, setup=(), cpus={0: todo.litmus.setup}, finally_=())
    try:
        outcome = check(build(moved, kernel), Options(first=True))
    except KernelStateError:
        outcome = None
    if outcome is None or outcome.violation is None or outcome.violation.kind != fault.kind:
        violation = Violation(fault.kind, f"in the set-up: {fault.message}")
        return Outcome(fault.kind, False, 0, 0, 0.0, (violation,))
    message = f"in the set-up: {outcome.violation.message}"
    return replace(outcome, violations=(replace(outcome.violation, message=message),))


def run_checks(
    checks: Sequence[Check],
    options: Options,
    jobs: int = 0,
    progress: Callable[[Check], Progress] | None = None,
    cover: bool = False,
) -> Iterator[tuple[int, Result]]:
    """Do all checks on `jobs` processes (0: one a core): numbers and results as they come.

    With `cover` each says which lines of kernel functions it reached.
    Ctrl-C is raised as KeyboardInterrupt, after what is known of a check that it ended.
    """
    workers = min(jobs or os.cpu_count() or 1, len(checks))
    if workers <= 1:
        for number, todo in enumerate(checks):
            told = progress(todo) if progress is not None else None
            yield number, _run_or_recall(todo, options, told, cover)
            if INTERRUPT.asked:
                raise KeyboardInterrupt
        return
    _CHECKS[:] = checks
    _OPTIONS[:] = [(options, cover)]
    for number, result in spread(_work, _runs(), workers):
        yield number, result or _lost(checks[number])


def _runs() -> list[list[int]]:
    """The checks of each litmus; those with many flows and steps first: they take longest."""
    runs: dict[str, list[int]] = {}
    for number, todo in enumerate(_CHECKS):
        runs.setdefault(todo.litmus.name, []).append(number)

    def size(run: list[int]) -> int:
        cpus = _CHECKS[run[0]].litmus.cpus
        return -len(cpus) * 100 - sum(len(steps) for steps in cpus.values())

    return sorted(runs.values(), key=size)


def _work(number: int) -> Result:
    options, cover = _OPTIONS[0]
    return _run_or_recall(_CHECKS[number], options, None, cover)


def _lost(todo: Check) -> Result:
    """A worker was killed, for want of memory most likely."""
    reason = "the process that explored it was killed: is there enough memory?"
    outcome = Outcome(UNDETERMINED, False, 0, 0, 0.0, reason=reason)
    return Result(todo.litmus.name, todo.kernel.name, outcome, todo.expected)
