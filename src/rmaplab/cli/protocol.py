"""`rmaplab protocol`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from rmaplab.cli.check import _print as print_results
from rmaplab.cli.check import _status as status_of
from rmaplab.cli.common import EXIT_INTERRUPTED
from rmaplab.errors import InputError

if TYPE_CHECKING:
    from rmaplab.checker.options import Options
    from rmaplab.checker.protocol import Protocol
    from rmaplab.checker.verdict import Result


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE.py[:CLASS]...")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@click.option("--diagrams", is_flag=True, help="Show each protocol's first failure as a diagram.")
@click.option("--first", is_flag=True, help="End at the first violation of a protocol.")
@click.option("--full", is_flag=True, help="Walk without reduction.")
@click.option("--max-states", type=click.IntRange(1), default=5_000_000, show_default=True)
@click.option("--max-seconds", type=click.FloatRange(0.0), default=600.0, show_default=True)
@click.pass_context
def protocol(
    ctx: click.Context,
    files: tuple[str, ...],
    form: str,
    diagrams: bool,
    first: bool,
    full: bool,
    max_states: int,
    max_seconds: float,
) -> None:
    """Check every interleaving of the protocols that Python files define.

    A protocol is a class derived from rmaplab.protocol.Protocol; without CLASS, each of the file.
    """
    from rmaplab.checker.options import Limits, Options

    protocols = [each for name in dict.fromkeys(files) for each in _find(name)]
    options = Options(Limits(max_states, max_seconds), not full, first)
    results = _check(protocols, options)
    print_results(results, len(protocols), form, diagrams)
    if len(results) < len(protocols):
        click.echo(f"interrupted: {len(results)} of {len(protocols)} checks done", err=True)
        ctx.exit(EXIT_INTERRUPTED)
    ctx.exit(status_of(results))


def _find(name: str) -> list[type[Protocol]]:
    """The protocols of a file, in its order, or the one that is named."""
    from pathlib import Path

    from rmaplab.checker.protocol import Protocol
    from rmaplab.userfile import run_file

    path, _, wanted = name.partition(".py:")
    file = Path(f"{path}.py" if wanted else name)
    try:
        module = run_file(file)
    except (LookupError, ImportError, OSError) as error:
        raise InputError(str(error.args[0])) from error
    found = [
        item
        for item in vars(module).values()
        if isinstance(item, type)
        and issubclass(item, Protocol)
        and item.__module__ == module.__name__
    ]
    chosen = [item for item in found if wanted in ("", item.__name__)]
    if not chosen:
        names = ", ".join(item.__name__ for item in found)
        there = f"it has {names}" if found else "derive a class from rmaplab.protocol.Protocol"
        raise InputError(f"{file} has no protocol{f' `{wanted}`' if wanted else ''}: {there}")
    return chosen


def _check(protocols: Sequence[type[Protocol]], options: Options) -> list[Result]:
    """The results of those done before anybody pressed Ctrl-C."""
    from rmaplab.checker.protocol import check_protocol
    from rmaplab.report.progress import Progress

    results: list[Result] = []
    with Progress() as line:
        try:
            for each in protocols:
                name = each.__name__
                results.append(
                    check_protocol(
                        each,
                        options,
                        lambda *numbers, name=name: line.update(name, "", *numbers),
                        cover=len(protocols) == 1,
                    )
                )
        except KeyboardInterrupt:
            pass
    return results
