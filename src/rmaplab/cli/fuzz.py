"""`rmaplab fuzz`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from rmaplab.cli.common import EXIT_EXPECTED, EXIT_VIOLATION
from rmaplab.errors import InputError

if TYPE_CHECKING:
    from rmaplab.live.fuzz import Fuzzed


@click.command()
@click.option("--live", is_flag=True, help="Against the running kernel; needs root and KSM.")
@click.option("-k", "--kernel", help="The model's kernel; the newest release by default.")
@click.option("--examples", type=click.IntRange(1), default=100, show_default=True)
@click.option("--steps", type=click.IntRange(1), default=20, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("-o", "--output", default="found.litmus", show_default=True, metavar="LITMUS",
              help="Where a scenario goes that differs.")  # fmt: skip
@click.pass_context
def fuzz(
    ctx: click.Context,
    live: bool,
    kernel: str | None,
    examples: int,
    steps: int,
    seed: int,
    output: str,
) -> None:
    """Run random scenarios on the model and the running kernel, up to the first that differs.

    That is made as small as it goes, and saved. Exit status 1 if there is one.
    """
    if not live:
        raise InputError("there is one way to fuzz: write --live")
    try:
        from rmaplab.live.fuzz import fuzz as run_fuzz
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise InputError("fuzz needs hypothesis: pip install 'rmaplab[fuzz]'") from None
    from rmaplab.live.session import session
    from rmaplab.runner.choice import find_kernel, newest_release

    chosen = find_kernel(kernel or newest_release())
    with session() as knobs:
        fuzzed = run_fuzz(chosen, knobs, examples, steps, seed, _tell)
    _clear()
    _print(fuzzed, output)
    ctx.exit(EXIT_VIOLATION if fuzzed.found else EXIT_EXPECTED)


def _tell(fuzzed: Fuzzed) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{fuzzed.scenarios} scenarios", err=True, nl=False)


def _clear() -> None:
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", err=True, nl=False)


def _print(fuzzed: Fuzzed, output: str) -> None:
    from pathlib import Path

    from rmaplab.litmus.writer import write_text
    from rmaplab.live.compare import render_comparison

    if fuzzed.found is not None:
        litmus, comparison = fuzzed.found
        Path(output).write_text(write_text(litmus))
        click.echo(render_comparison(comparison))
    rate = fuzzed.scenarios / fuzzed.seconds if fuzzed.seconds else 0
    counts = f"{fuzzed.scenarios} scenarios, {fuzzed.steps} steps, {rate:.1f} scenarios/s"
    unsteady = f", {fuzzed.unsteady} differed once and not again" if fuzzed.unsteady else ""
    verdict = f"a difference, in {output}" if fuzzed.found else "no difference"
    click.echo(f"{counts}{unsteady}: {verdict}")
