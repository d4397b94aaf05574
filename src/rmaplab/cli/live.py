"""`rmaplab live`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rmaplab.cli.common import EXIT_EXPECTED, EXIT_VIOLATION
from rmaplab.errors import InputError

if TYPE_CHECKING:
    from rmaplab.litmus.model import Litmus


@click.command()
@click.argument("names", nargs=-1, metavar="[LITMUS...]")
@click.option("-k", "--kernel", help="The model's kernel; the newest release by default.")
@click.option("--record", "recorded", is_flag=True, help="Make a case of what the kernel shows.")
@click.option("-o", "--output", metavar="CASE.json", help="Where the case goes; with --record.")
@click.option("--slab", is_flag=True, help="Count anon_vmas and chains as well, in many runs.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@click.pass_context
def live(
    ctx: click.Context,
    names: tuple[str, ...],
    kernel: str | None,
    recorded: bool,
    output: str | None,
    slab: bool,
    form: str,
) -> None:
    """Let real processes do the steps on the running Linux, and hold the model against it.

    Without LITMUS: all shipped ones that can run live. It needs root and KSM, and puts all knobs
    back. Exit status 1 if they differ.
    """
    if recorded:
        if kernel is not None or slab or form != "text":
            raise InputError("--kernel, --slab, --format are not for --record: leave them out")
        if len(names) != 1 or output is None:
            raise InputError("to record: --record LITMUS -o CASE.json")
        ctx.exit(_record(names[0], output))
    if output is not None:
        raise InputError("-o is for --record: leave it out")
    ctx.exit(_compare(names, kernel, slab, form))


def _compare(names: tuple[str, ...], kernel: str | None, slab: bool, form: str) -> int:
    import json

    from rmaplab.live.compare import compare, comparison_document, render_comparison
    from rmaplab.live.session import session
    from rmaplab.live.slab import CACHES, SLABINFO, is_readable
    from rmaplab.runner.choice import find_kernel, newest_release

    chosen = find_kernel(kernel or newest_release())
    if slab and not is_readable():
        raise InputError(f"{SLABINFO} has no {' and '.join(CACHES)}: leave --slab out")
    collection = _chosen(names)
    compared = []
    with session() as knobs:
        for litmus in collection:
            compared.append(compare(litmus, chosen, knobs, slab))
            if form == "text":
                click.echo("\n" * (len(compared) > 1) + render_comparison(compared[-1]), nl=False)
    if form == "json":
        click.echo(json.dumps([comparison_document(each) for each in compared]))
    return EXIT_EXPECTED if all(each.agrees for each in compared) else EXIT_VIOLATION


def _chosen(names: tuple[str, ...]) -> list[Litmus]:
    """Those that are named; InputError for one that cannot run live. Without names, all that can.

    Those of the shipped ones that cannot are told on standard error, with the reason.
    """
    from rmaplab.litmus.shipped import shipped
    from rmaplab.live.run import check_live
    from rmaplab.runner.choice import find_litmus

    chosen = []
    for litmus in [find_litmus(name) for name in names] or shipped():
        try:
            check_live(litmus)
            chosen.append(litmus)
        except InputError as error:
            if names:
                raise
            click.echo(f"left out: {litmus.name}: {error.message}", err=True)
    return chosen


def _record(name: str, output: str) -> int:
    from pathlib import Path

    from rmaplab.litmus.case_writer import write_case
    from rmaplab.live.record import record
    from rmaplab.live.session import session
    from rmaplab.runner.choice import find_litmus

    litmus = find_litmus(name)
    with session() as knobs:
        case = record(litmus, knobs)
    Path(output).write_text(write_case(case))
    return EXIT_EXPECTED
