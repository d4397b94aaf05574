"""`rmaplab show`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rmaplab.cli.common import KERNEL_HELP, read_config
from rmaplab.errors import InputError

if TYPE_CHECKING:
    from rmaplab.checker.film import Film

#: The kernel that is shown where none is named.
USUAL = "v2.6.38"


@click.command()
@click.argument("what", metavar="LITMUS|TRACE")
@click.option("-k", "--kernel", "kernels", multiple=True, help=f"{KERNEL_HELP} Two: side by side.")
@click.option("-c", "--config", "switches", multiple=True, help="CONFIG_KSM=n, CONFIG_MIGRATION=n")
@click.option("-o", "--output", "output", metavar="FILE", help=".html, or a moment: .svg .png .dot")
@click.option("--step", type=click.IntRange(0), help="The moment after this step; the last one.")
def show(
    what: str,
    kernels: tuple[str, ...],
    switches: tuple[str, ...],
    output: str | None,
    step: int | None,
) -> None:
    """Look at a violation's trace, one that `check --save-trace` wrote, or a run in order.

    Without -o: the moment as text.
    """
    from rmaplab.report.drawing.forms import FORMS

    form = Path(output).suffix if output else ".txt"
    if form not in FORMS:
        raise InputError(f"-o {output}: write a FILE that ends in {', '.join(FORMS)}")
    films = _films(what, kernels, switches)
    if len(films) > 1 and form != ".html":
        raise InputError("two kernels side by side are a page: write -o FILE.html")
    steps = len(films[0].shots)
    if step is not None and step > steps:
        raise InputError(f"--step {step}: there are {steps}")
    content = FORMS[form](films, steps if step is None else step)
    if output is None:
        click.echo(content, nl=False)
        return
    try:
        Path(output).write_bytes(content if isinstance(content, bytes) else content.encode())
    except OSError as error:
        raise InputError(f"-o {output}: {error.strerror}") from error


def _films(what: str, kernels: Sequence[str], switches: Sequence[str]) -> list[Film]:
    from rmaplab.machine.faults import KernelStateError
    from rmaplab.runner.saved import is_trace

    if len(kernels) > 2:
        raise InputError("two kernels stand side by side, no more: leave out --kernel")
    try:
        of = _of_trace if is_trace(what) else _of_litmus
        return of(what, kernels, switches)
    except KernelStateError as fault:
        message = f"{what}: {fault.kind} in the set-up, of which there are no steps: {fault}"
        raise InputError(message) from None


def _of_litmus(what: str, kernels: Sequence[str], switches: Sequence[str]) -> list[Film]:
    from dataclasses import replace

    from rmaplab.runner.choice import find_kernel, find_litmus
    from rmaplab.runner.scenario import check_end, check_steps
    from rmaplab.runner.showing import film_of

    chosen = [find_kernel(name) for name in kernels or [USUAL]]
    litmus = find_litmus(what)
    litmus = replace(litmus, config={**litmus.config, **read_config(switches)})
    check_steps(litmus)
    check_end(litmus)
    return [film_of(litmus, kernel) for kernel in chosen]


def _of_trace(what: str, kernels: Sequence[str], switches: Sequence[str]) -> list[Film]:
    from rmaplab.runner.choice import find_kernel
    from rmaplab.runner.saved import load
    from rmaplab.runner.showing import film_of_trace

    if switches:
        raise InputError("--config is for a LITMUS: a trace has its own, leave it out")
    trace = load(what)
    return [film_of_trace(trace, find_kernel(name)) for name in kernels or [trace.kernel]]
