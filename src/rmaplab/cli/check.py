"""`rmaplab check`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from rmaplab.cli.common import KERNEL_HELP, read_config, refuse_of_several
from rmaplab.cli.exploring import exploring, on_cores
from rmaplab.cli.printing import DOCUMENTS, print_results, status_of
from rmaplab.errors import InputError

if TYPE_CHECKING:
    from rmaplab.checker.options import Options
    from rmaplab.checker.verdict import Result
    from rmaplab.runner.checks import Check


#: What to write where something is of one check.
ONE = "name one LITMUS and one --kernel"


@click.command()
@click.argument("litmus", nargs=-1)
@click.option("-k", "--kernel", "kernels", multiple=True, help=KERNEL_HELP)
@click.option("-c", "--config", "switches", multiple=True, help="CONFIG_KSM=n, CONFIG_MIGRATION=n")
@click.option("--format", "form", type=click.Choice(["text", *DOCUMENTS]), default="text")
@click.option("--save-trace", "trace", metavar="FILE", help="Write the failure for `replay`.")
@click.option("--diagrams", is_flag=True, help="Show each litmus's first failure as a diagram.")
@click.option("--violation", "number", type=click.IntRange(1), help="Which cause to tell in full.")
@click.option("--coverage", is_flag=True, help="Tell which lines of each kernel were reached.")
@exploring
@click.option("-j", "--jobs", type=click.IntRange(0, 1024), default=0, help="Default: one a core.")
@click.pass_context
def check(
    ctx: click.Context,
    litmus: tuple[str, ...],
    kernels: tuple[str, ...],
    switches: tuple[str, ...],
    form: str,
    trace: str | None,
    diagrams: bool,
    number: int | None,
    coverage: bool,
    options: Options,
    jobs: int,
) -> None:
    """Check every interleaving of LITMUS files (or shipped ones, by name) on kernels.

    Without LITMUS: the shipped collection. Without kernels: those that it names.
    """
    checks = _plan(litmus, kernels, read_config(switches))
    checkpoint = options.native.checkpoint
    refuse_of_several(len(checks), ONE, save_trace=trace, violation=number, checkpoint=checkpoint)
    cover = coverage or (len(checks) == 1 and form == "text")
    results = _run(checks, on_cores(options, jobs, len(checks)), jobs, cover)
    if trace is not None:
        _save(trace, checks[0], results, number)
    print_results(results, len(checks), form, diagrams, number)
    if coverage and form == "text":
        _print_coverage(checks, results)
    ctx.exit(status_of(results, len(checks)))


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


def _run(checks: Sequence[Check], options: Options, jobs: int, cover: bool) -> list[Result]:
    """The results in the order of the checks, of those done before anybody pressed Ctrl-C."""
    from rmaplab.report.progress import Progress
    from rmaplab.runner.checks import run_checks

    found: dict[int, Result] = {}
    with Progress() as line:

        def told(todo: Check) -> Any:
            return lambda *numbers: line.update(todo.litmus.name, todo.kernel.name, *numbers)

        try:
            for number, result in run_checks(checks, options, jobs, told, cover):
                found[number] = result
                if len(checks) > 1:
                    line.count(len(found), len(checks))
        except KeyboardInterrupt:
            pass
    return [found[number] for number in sorted(found)]


def _save(path: str, todo: Check, results: Sequence[Result], number: int | None) -> None:
    from rmaplab.runner.saved import save

    violations = [each for result in results for each in result.outcome.violations]
    chosen = violations[(number or 1) - 1 :][:1]
    for violation in chosen:
        try:
            save(path, todo.litmus, todo.kernel.name, violation)
        except OSError as error:
            raise InputError(f"--save-trace {path}: {error.strerror}") from error
    if not chosen:
        click.echo(f"nothing is wrong: {path} is not written", err=True)


def _print_coverage(checks: Sequence[Check], results: Sequence[Result]) -> None:
    """What all checks of each kernel reached together."""
    from rmaplab.checker.coverage import merged
    from rmaplab.report.coverage import render_coverage
    from rmaplab.runner.choice import functions_of

    for kernel in dict.fromkeys(todo.kernel for todo in checks):
        own = [result for result in results if result.kernel == kernel.name]
        reached = (each for result in own for each in result.outcome.coverage)
        both = merged((*functions_of(kernel.kernel), *reached))
        click.echo("\n" + render_coverage(kernel.name, own, both), nl=False)
