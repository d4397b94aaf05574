"""`rmaplab compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rmaplab.cli.common import EXIT_EXPECTED, EXIT_VIOLATION, KERNEL_HELP
from rmaplab.errors import InputError

if TYPE_CHECKING:
    from rmaplab.costs import Costs
    from rmaplab.runner.compare import Load

#: What is compared where nothing is named: before chains, with them, and with their growth bounded.
USUAL = ("v2.6.33", "v2.6.34", "v3.18", "v3.19", "v6.18")
FORMS = (".png", ".svg")


@click.command()
@click.argument("what", metavar="WORKLOAD|LITMUS", required=False)
@click.option("-k", "--kernel", "kernels", multiple=True, help=KERNEL_HELP)
@click.option("--children", type=click.IntRange(1), help="Of a workload: processes, or pipelines.")
@click.option("--pages", type=click.IntRange(1), help="Of a workload: pages of each process.")
@click.option("--strace", "log", metavar="LOG", help="Replay a log of strace -f instead.")
@click.option("--format", "form", type=click.Choice(["text", "json", "csv"]), default="text")
@click.option("-o", "--output", "output", metavar="FILE", help="Plots as well: .png or .svg")
@click.pass_context
def compare(
    ctx: click.Context,
    what: str | None,
    kernels: tuple[str, ...],
    children: int | None,
    pages: int | None,
    log: str | None,
    form: str,
    output: str | None,
) -> None:
    """What each kernel's design costs: objects, walks of the reverse map, locks, chains.

    On a workload (aim7, endless-fork, zygote, snapshot, shell; 100 children, 100 pages unless said
    otherwise), a litmus, or a log of strace.
    """
    from rmaplab.report.comparison import render_csv, render_json, render_table
    from rmaplab.runner.choice import find_kernel
    from rmaplab.runner.compare import measure, settled

    if output is not None and Path(output).suffix not in FORMS:
        raise InputError(f"-o {output}: write a FILE that ends in {' or '.join(FORMS)}")
    chosen = [find_kernel(name) for name in dict.fromkeys(kernels or USUAL)]
    load = settled(_load(what, log, children, pages), chosen[0].kernel)
    compared = [measure(load, kernel.kernel, kernel.name) for kernel in chosen]
    render = {"text": render_table, "json": render_json, "csv": render_csv}[form]
    click.echo(render(compared), nl=False)
    if output is not None:
        _plot(compared, output)
    ctx.exit(EXIT_VIOLATION if any(costs.stopped for costs in compared) else EXIT_EXPECTED)


def _load(what: str | None, log: str | None, children: int | None, pages: int | None) -> Load:
    from difflib import get_close_matches

    from rmaplab.runner.choice import find_litmus
    from rmaplab.runner.compare import load_of_litmus, load_of_strace
    from rmaplab.runner.workloads import WORKLOADS, find_workload

    if (what is None) == (log is None):
        raise InputError("name either a WORKLOAD, a LITMUS or --strace LOG")
    if what in WORKLOADS:
        workload = find_workload(what, children or 100, pages or 100)
        return load_of_litmus(workload.litmus, workload.walked)
    known = ", ".join(WORKLOADS)
    if children or pages:
        raise InputError(f"--children and --pages are for a workload: there are {known}")
    if log is not None:
        return load_of_strace(log)
    assert what is not None
    if get_close_matches(what, WORKLOADS):
        raise InputError(f"there is no workload `{what}`: there are {known}")
    return load_of_litmus(find_litmus(what))


def _plot(compared: Sequence[Costs], output: str) -> None:
    from rmaplab.report.plots import plot

    try:
        Path(output).write_bytes(plot(compared, Path(output).suffix.removeprefix(".")))
    except OSError as error:
        raise InputError(f"-o {output}: {error.strerror}") from error
