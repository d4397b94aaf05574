"""The options of every command that explores: one object for all of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from rmaplab.errors import InputError

OPTIONS = (
    click.option("--first", is_flag=True, help="End at the first violation of a check."),
    click.option("--full", is_flag=True, help="Walk without reduction."),
    click.option("--random", type=click.IntRange(1), metavar="N", help="N random executions."),
    click.option("--pct", type=click.IntRange(1), metavar="D", help="Their schedules are PCT's."),
    click.option("--seed", type=int, default=0, show_default=True, help="Of --random."),
    click.option("--max-states", type=click.IntRange(1), default=5_000_000, show_default=True),
    click.option("--max-seconds", type=click.FloatRange(0.0), default=600.0, show_default=True),
)


def exploring(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command these options; it gets them as `options`."""

    @wraps(command)
    def with_options(
        *args: Any,
        first: bool,
        full: bool,
        random: int | None,
        pct: int | None,
        seed: int,
        max_states: int,
        max_seconds: float,
        **others: Any,
    ) -> Any:
        from rmaplab.checker.options import Limits, Options, Sample

        if random is None and (pct is not None or seed):
            raise InputError("--pct and --seed are for --random N: say how many executions")
        sample = None if random is None else Sample(random, seed, pct or 0)
        options = Options(Limits(max_states, max_seconds), not full, first, sample)
        return command(*args, options=options, **others)

    for option in reversed(OPTIONS):
        with_options = option(with_options)
    return with_options
