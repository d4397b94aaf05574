"""The options of every command that explores: one object for all of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from rmaplab.errors import InputError

if TYPE_CHECKING:
    from rmaplab.checker.options import Options

#: The names of checker.options.Reduction, which is imported only where something is explored.
REDUCTIONS = ("partial-order", "last-access", "unstored", "symmetry")

OPTIONS = (
    click.option("--first", is_flag=True, help="End at the first violation of a check."),
    click.option("--full", is_flag=True, help="Walk without reduction."),
    click.option(
        "--without",
        type=click.Choice(REDUCTIONS),
        multiple=True,
        help="Walk without that reduction. May be repeated.",
    ),
    click.option("--random", type=click.IntRange(1), metavar="N", help="N random executions."),
    click.option("--pct", type=click.IntRange(1), metavar="D", help="Their schedules are PCT's."),
    click.option("--seed", type=int, default=0, show_default=True, help="Of --random."),
    click.option("--max-states", type=click.IntRange(1), default=5_000_000, show_default=True),
    click.option("--max-seconds", type=click.FloatRange(0.0), default=600.0, show_default=True),
    click.option(
        "--max-memory", type=click.IntRange(1), default=4096, show_default=True, help="MiB."
    ),
    click.option("--exact", is_flag=True, help="Keep whole states: no fingerprints."),
    click.option("--cores", type=click.IntRange(1, 2), help="Of each long walk."),
    click.option(
        "--checkpoint",
        metavar="FILE",
        help="Keep a long walk in this file; go on from it.",
    ),
)


def on_cores(options: Options, jobs: int, checks: int) -> Options:
    """With the cores that each walk may use beside the others, unless it was said."""
    available = os.cpu_count() or 1
    left = min(2, max(1, available // min(jobs or available, checks)))
    return replace(options, native=replace(options.native, cores=options.native.cores or left))


def exploring(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command these options; it gets them as `options`."""

    @wraps(command)
    def with_options(
        *args: Any,
        first: bool,
        full: bool,
        without: tuple[str, ...],
        random: int | None,
        pct: int | None,
        seed: int,
        max_states: int,
        max_seconds: float,
        max_memory: int,
        exact: bool,
        cores: int | None,
        checkpoint: str | None,
        **others: Any,
    ) -> Any:
        from rmaplab.checker.options import Limits, Native, Options, Reduction, Sample

        if random is None and (pct is not None or seed):
            raise InputError("--pct and --seed are for --random N: say how many executions")
        sample = None if random is None else Sample(random, seed, pct or 0)
        native = Native(exact=exact, cores=cores or 0, checkpoint=checkpoint or "")
        limits = Limits(max_states, max_seconds, max_memory)
        left_out = REDUCTIONS if full else without
        reductions = frozenset(each for each in Reduction if each.value not in left_out)
        options = Options(limits, reductions, first, sample, native)
        return command(*args, options=options, **others)

    for option in reversed(OPTIONS):
        with_options = option(with_options)
    return with_options
