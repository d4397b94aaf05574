"""Many checks: each litmus on each kernel, on all cores, whatever happens to one of them."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import count
from multiprocessing import get_context
from multiprocessing.sharedctypes import RawArray
from typing import Any

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
#: Whether each check was begun, told by the workers.
_BEGUN: list[Any] = []


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
    _BEGUN[:] = [RawArray("b", len(checks))]
    yield from _on_workers(workers)


def _on_workers(workers: int) -> Iterator[tuple[int, Result]]:
    """Where a worker is killed, the others go too: each check begun gets a second chance, alone."""
    todo = _by_length()
    while todo:
        rest: list[int] = []
        yield from _round(workers, todo, rest)
        begun = [number for number in rest if _BEGUN[0][number]]
        todo = [number for number in rest if number not in begun]
        for number in begun or rest:  # nothing begun: no worker comes to life at all
            lost: list[int] = []
            yield from _round(1, [number], lost)
            yield from ((number, _lost(_CHECKS[number])) for number in lost)
        todo = todo if begun else []


def _round(workers: int, todo: Sequence[int], rest: list[int]) -> Iterator[tuple[int, Result]]:
    """Do checks until a worker is killed; `rest` gets those that are not done then."""
    context = get_context("fork")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_ignore_interrupt)
    try:
        futures = _submitted(pool, todo, rest)
        for future in as_completed(futures):
            try:
                result = future.result()
            except BrokenProcessPool:
                rest.append(futures[future])
            else:
                yield futures[future], result
    finally:
        for process in list((pool._processes or {}).values()):
            process.kill()
        pool.shutdown(cancel_futures=True)


def _submitted(
    pool: ProcessPoolExecutor, todo: Sequence[int], rest: list[int]
) -> dict[Future[Result], int]:
    futures: dict[Future[Result], int] = {}
    for number in todo:
        try:
            futures[pool.submit(_work, number)] = number
        except BrokenProcessPool:
            rest.append(number)
    return futures


def _by_length() -> list[int]:
    """Scenarios with many flows and steps first: they take longest."""

    def size(number: int) -> int:
        litmus = _CHECKS[number].litmus
        return -len(litmus.cpus) * 100 - sum(len(steps) for steps in litmus.cpus.values())

    return sorted(range(len(_CHECKS)), key=size)


def _ignore_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _work(number: int) -> Result:
    _BEGUN[0][number] = 1
    options, cover = _OPTIONS[0]
    return _run_or_recall(_CHECKS[number], options, None, cover)


def _lost(todo: Check) -> Result:
    """A worker was killed, for want of memory most likely."""
    reason = "the process that explored it was killed: is there enough memory?"
    outcome = Outcome(UNDETERMINED, False, 0, 0, 0.0, reason=reason)
    return Result(todo.litmus.name, todo.kernel.name, outcome, todo.expected)
