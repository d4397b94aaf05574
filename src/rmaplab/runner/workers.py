"""Work on all cores, whatever happens to a process that does it."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

#: Numbers of tasks, to be done in this order by one process that may remember what it did.
Run = deque[int]


def spread(
    work: Callable[[int], T], runs: Iterable[Iterable[int]], workers: int
) -> Iterator[tuple[int, T | None]]:
    """Do numbered tasks on forked processes: numbers and results as they come.

    Each process goes on with the run that it is at; one with nothing left takes half of another's.
    A task over which a process is killed is done again when all others are done; if that is
    killed, too, the result is None.
    """
    again: list[int] = []
    for number, result in _Crew(work, runs).results(workers):
        if result is None:
            again.append(number)
        else:
            yield number, result
    for number in again:
        yield from _Crew(work, [[number]]).results(1)


class _Post(NamedTuple):
    """What a process is at."""

    pool: ProcessPoolExecutor
    number: int
    run: Run


class _Crew(Generic[T]):
    """Processes, each with a pool of its own: where one is killed, the others go on."""

    def __init__(self, work: Callable[[int], T], runs: Iterable[Iterable[int]]) -> None:
        self.work = work
        self.runs = deque(deque(run) for run in runs)
        self.pools: list[ProcessPoolExecutor] = []
        self.posts: dict[Future[T], _Post] = {}

    def results(self, workers: int) -> Iterator[tuple[int, T | None]]:
        """Each result; None where the process is killed."""
        try:
            for _ in range(workers):
                self._go_on(self._pool(), deque())
            while self.posts:
                done, _ = wait(self.posts, return_when=FIRST_COMPLETED)
                yield from [self._end(self.posts.pop(future), future) for future in done]
        finally:
            for pool in self.pools:
                for process in list((pool._processes or {}).values()):
                    process.kill()
                pool.shutdown(cancel_futures=True)

    def _end(self, post: _Post, future: Future[T]) -> tuple[int, T | None]:
        pool = post.pool
        try:
            result = future.result()
        except BrokenProcessPool:
            pool, result = self._pool(), None
        self._go_on(pool, post.run)
        return post.number, result

    def _pool(self) -> ProcessPoolExecutor:
        pool = ProcessPoolExecutor(1, get_context("fork"), _ignore_interrupt)
        self.pools.append(pool)
        return pool

    def _go_on(self, pool: ProcessPoolExecutor, run: Run) -> None:
        run = run or self._another()
        if run:
            number = run.popleft()
            self.posts[pool.submit(self.work, number)] = _Post(pool, number, run)

    def _another(self) -> Run:
        """The next run, or half of the longest that somebody is at."""
        if self.runs:
            return self.runs.popleft()
        longest = max((post.run for post in self.posts.values()), key=len, default=deque())
        half = [longest.pop() for _ in range((len(longest) + 1) // 2)]
        return deque(reversed(half))


def _ignore_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
