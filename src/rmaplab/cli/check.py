"""`rmaplab check`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from rmaplab.cli.common import (
    EXIT_EXPECTED,
    EXIT_INTERRUPTED,
    EXIT_UNDETERMINED,
    EXIT_VIOLATION,
    KERNEL_HELP,
    read_config,
)

if TYPE_CHECKING:
    from rmaplab.checker.options import Options
    from rmaplab.checker.verdict import Result
    from rmaplab.runner.checks import Check

#: As `checker.options` names them, which is imported only where it is used.
REDUCTIONS = ("partial-order", "last-access", "unstored")


@click.command()
@click.argument("litmus", nargs=-1)
@click.option("-k", "--kernel", "kernels", multiple=True, help=KERNEL_HELP)
@click.option("-c", "--config", "switches", multiple=True, help="CONFIG_KSM=n, CONFIG_MIGRATION=n")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@click.option("--diagrams", is_flag=True, help="Show each litmus's first failure as a diagram.")
@click.option("--first", is_flag=True, help="End at the first violation of a check.")
@click.option("--full", is_flag=True, help="Walk without reduction.")
@click.option(
    "--without",
    type=click.Choice(REDUCTIONS),
    multiple=True,
    help="Walk without that reduction. May be repeated.",
)
@click.option("--max-states", type=click.IntRange(1), default=5_000_000, show_default=True)
@click.option("--max-seconds", type=click.FloatRange(0.0), default=600.0, show_default=True)
@click.option("-j", "--jobs", type=click.IntRange(0, 1024), default=0, help="Default: one a core.")
@click.pass_context
def check(
    ctx: click.Context,
    litmus: tuple[str, ...],
    kernels: tuple[str, ...],
    switches: tuple[str, ...],
    form: str,
    diagrams: bool,
    first: bool,
    full: bool,
    without: tuple[str, ...],
    max_states: int,
    max_seconds: float,
    jobs: int,
) -> None:
    """Check every interleaving of LITMUS files (or shipped ones, by name) on kernels.

    Without LITMUS: the shipped collection. Without kernels: those that it names.
    """
    from rmaplab.checker.options import Limits, Options, Reduction

    checks = _plan(litmus, kernels, read_config(switches))
    left_out = REDUCTIONS if full else without
    reductions = frozenset(each for each in Reduction if each.value not in left_out)
    options = Options(Limits(max_states, max_seconds), reductions, first)
    results, interrupted = _run(checks, options, jobs)
    _print(results, len(checks), form, diagrams)
    if interrupted:
        click.echo(f"interrupted: {len(results)} of {len(checks)} checks done", err=True)
        ctx.exit(EXIT_INTERRUPTED)
    ctx.exit(_status(results))


def _plan(names: Sequence[str], kernels: Sequence[str], config: dict[str, bool]) -> list[Check]:
    from dataclasses import replace

    from rmaplab.litmus.shipped import shipped
    from rmaplab.runner.checks import plan
    from rmaplab.runner.choice import find_all, find_kernel, matrix_kernels
    from rmaplab.runner.scenario import check_end, check_steps

    collection = find_all(names) if names else shipped()
    collection = [replace(each, config={**each.config, **config}) for each in collection]
    for each in collection:
        check_steps(each)
        check_end(each)
    chosen = [find_kernel(name) for name in dict.fromkeys(kernels)]
    return plan(collection, chosen or matrix_kernels(collection) or matrix_kernels(shipped()))


def _run(checks: Sequence[Check], options: Options, jobs: int) -> tuple[list[Result], bool]:
    """The results in the order of the checks, and whether Ctrl-C came in between."""
    from rmaplab.report.progress import Progress
    from rmaplab.runner.checks import run_checks

    found: dict[int, Result] = {}
    interrupted = False
    with Progress() as line:

        def told(todo: Check) -> Any:
            return lambda *numbers: line.update(todo.litmus.name, todo.kernel.name, *numbers)

        try:
            for number, result in run_checks(checks, options, jobs, told):
                found[number] = result
                if len(checks) > 1:
                    line.count(len(found), len(checks))
        except KeyboardInterrupt:
            interrupted = True
    return [found[number] for number in sorted(found)], interrupted


def _print(results: Sequence[Result], planned: int, form: str, diagrams: bool) -> None:
    from rmaplab.report.document import render_json
    from rmaplab.report.matrix import render_clean, render_matrix
    from rmaplab.report.violation import render_diagram, render_violation

    if form == "json":
        click.echo(render_json(results), nl=False)
        return
    if planned == 1:
        for result in results:
            failed = result.outcome.violation is not None
            click.echo(render_violation(result) if failed else render_clean(result), nl=False)
        return
    if diagrams:
        for result in _first_failures(results):
            click.echo(render_diagram(result) + "\n")
    for result in results:
        if not result.as_expected and result.outcome.violation is not None:
            click.echo(render_violation(result) + "\n")
    if results:
        click.echo(render_matrix(results), nl=False)


def _first_failures(results: Sequence[Result]) -> list[Result]:
    """Of each litmus and kind of failure, the one on the first kernel."""
    first: dict[tuple[str, str], Result] = {}
    for result in results:
        if result.outcome.violation is not None:
            first.setdefault((result.litmus, result.verdict), result)
    return list(first.values())


def _status(results: Sequence[Result]) -> int:
    from rmaplab.checker.verdict import UNDETERMINED

    if any(not result.as_expected and result.verdict != UNDETERMINED for result in results):
        return EXIT_VIOLATION
    return EXIT_UNDETERMINED if any(r.verdict == UNDETERMINED for r in results) else EXIT_EXPECTED
