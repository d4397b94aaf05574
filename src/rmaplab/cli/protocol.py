"""`rmaplab protocol`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from rmaplab.cli.common import refuse_of_several
from rmaplab.cli.exploring import exploring, on_cores
from rmaplab.cli.printing import DOCUMENTS, print_results, status_of
from rmaplab.errors import InputError

if TYPE_CHECKING:
    from rmaplab.checker.options import Options
    from rmaplab.checker.protocol import Protocol
    from rmaplab.checker.verdict import Result


#: What to write where something is of one check.
CLASS = "name one FILE.py:CLASS"


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE.py[:CLASS]...")
@click.option("--format", "form", type=click.Choice(["text", *DOCUMENTS]), default="text")
@click.option("--diagrams", is_flag=True, help="Show each protocol's first failure as a diagram.")
@click.option("--violation", "number", type=click.IntRange(1), help="Which cause to tell in full.")
@exploring
@click.pass_context
def protocol(
    ctx: click.Context,
    files: tuple[str, ...],
    form: str,
    diagrams: bool,
    number: int | None,
    options: Options,
) -> None:
    """Check every interleaving of the protocols that Python files define.

    A protocol is a class derived from rmaplab.protocol.Protocol; without CLASS, each of the file.
    """
    protocols = [each for name in dict.fromkeys(files) for each in _find(name)]
    refuse_of_several(len(protocols), CLASS, violation=number, checkpoint=options.native.checkpoint)
    results = _check(protocols, on_cores(options, 1, 1))
    print_results(results, len(protocols), form, diagrams, number)
    ctx.exit(status_of(results, len(protocols)))


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
    from rmaplab.checker.interrupt import INTERRUPT
    from rmaplab.checker.protocol import check_protocol
    from rmaplab.report.progress import Progress
    from rmaplab.runner.identity import identified

    results: list[Result] = []
    with Progress() as line:
        try:
            for each in protocols:
                name = each.__name__
                results.append(
                    check_protocol(
                        each,
                        identified(options, None, each),
                        lambda *numbers, name=name: line.update(name, "", *numbers),
                        cover=len(protocols) == 1,
                    )
                )
                if INTERRUPT.asked:
                    break
        except KeyboardInterrupt:
            pass
    return results
