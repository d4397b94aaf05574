"""The command line: parse, call, print."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from rmaplab import __version__
from rmaplab.errors import InputError

if TYPE_CHECKING:
    from rmaplab.checker.verdict import Result
    from rmaplab.runner.checks import Check
    from rmaplab.runner.choice import NamedKernel

EXIT_EXPECTED, EXIT_VIOLATION, EXIT_INPUT, EXIT_UNDETERMINED, EXIT_INTERRUPTED = 0, 1, 2, 3, 130
EXIT_CLOSED_PIPE = 141  # 128 + SIGPIPE, as of a program that the signal ends

KERNEL_HELP = "A release, a commit, root-lock, seed-v2, or FILE.py:Class. May be repeated."


class Commands(click.Group):
    """Turns bad input into one line and exit status 2, and an interruption into 130."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            click.echo(f"rmaplab: {error}", err=True)
            ctx.exit(EXIT_INPUT)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(EXIT_INTERRUPTED)
        except SystemExit as error:  # never a pass: only a user's kernel calls it in here
            click.echo(f"rmaplab: the kernel's code calls sys.exit({error.code})", err=True)
            ctx.exit(EXIT_INPUT)
        except OSError as error:
            ctx.exit(_unwritten(error))


def _unwritten(error: OSError) -> int:
    """Exit status when the output cannot be written; what is left in the buffer goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if isinstance(error, BrokenPipeError):
        return EXIT_CLOSED_PIPE
    click.echo(f"rmaplab: {error}", err=True)
    return EXIT_INPUT


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """A laboratory for the anonymous reverse map of Linux."""


def _config(switches: Sequence[str]) -> dict[str, bool]:
    """CONFIG_KSM=n and the like."""
    config = {}
    for switch in switches:
        name, _, value = switch.partition("=")
        if name not in ("CONFIG_KSM", "CONFIG_MIGRATION") or value not in ("y", "n"):
            known = "CONFIG_KSM=y|n or CONFIG_MIGRATION=y|n"
            raise InputError(f"--config {switch}: write {known}")
        config[name] = value == "y"
    return config


@main.command()
@click.argument("litmus", nargs=-1)
@click.option("-k", "--kernel", "kernels", multiple=True, help=KERNEL_HELP)
@click.option("-c", "--config", "switches", multiple=True, help="CONFIG_KSM=n, CONFIG_MIGRATION=n")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@click.option("--diagrams", is_flag=True, help="Show each litmus's first failure as a diagram.")
@click.option("--full", is_flag=True, help="Walk without reduction.")
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
    full: bool,
    max_states: int,
    max_seconds: float,
    jobs: int,
) -> None:
    """Check every interleaving of LITMUS files (or shipped ones, by name) on kernels.

    Without LITMUS: the shipped collection. Without kernels: those that it names.
    """
    from rmaplab.checker.walker import Limits

    checks = _plan(litmus, kernels, _config(switches))
    results, interrupted = _run(checks, Limits(max_states, max_seconds), not full, jobs)
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


def _run(
    checks: Sequence[Check], limits: Any, reduce: bool, jobs: int
) -> tuple[list[Result], bool]:
    """The results in the order of the checks, and whether Ctrl-C came in between."""
    from rmaplab.report.progress import Progress
    from rmaplab.runner.checks import run_checks

    found: dict[int, Result] = {}
    interrupted = False
    with Progress() as line:

        def told(todo: Check) -> Any:
            return lambda *numbers: line.update(todo.litmus.name, todo.kernel.name, *numbers)

        try:
            for number, result in run_checks(checks, limits, reduce, jobs, told):
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


@main.command()
@click.argument("litmus", required=False)
@click.option("-k", "--kernel", "kernel", default="v2.6.38", show_default=True, help=KERNEL_HELP)
@click.option("-c", "--config", "switches", multiple=True, help="CONFIG_KSM=n, CONFIG_MIGRATION=n")
@click.option("--verify", "verified", is_flag=True, help="Hold it against the case's observations.")
@click.option("--strace", "log", metavar="LOG", help="Replay a log of strace -f instead.")
@click.option("--no-touch", is_flag=True, help="With --strace: do not touch mapped pages.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@click.pass_context
def run(
    ctx: click.Context,
    litmus: str | None,
    kernel: str,
    switches: tuple[str, ...],
    verified: bool,
    log: str | None,
    no_touch: bool,
    form: str,
) -> None:
    """Run a LITMUS (or JSON case) in order, and show what is mapped where after each step."""
    from rmaplab.runner.choice import find_kernel

    chosen = find_kernel(kernel)
    if (litmus is None) == (log is None):
        raise InputError("name either a LITMUS or --strace LOG")
    if log is not None and (switches or verified):
        raise InputError("--config and --verify are not for --strace LOG: leave them out")
    if log is None and no_touch:
        raise InputError("--no-touch is for --strace LOG: leave it out")
    if log is not None:
        ctx.exit(_replay(log, chosen, not no_touch, form))
    assert litmus is not None
    ctx.exit(_run_in_order(litmus, chosen, _config(switches), verified, form))


def _run_in_order(
    name: str, chosen: NamedKernel, config: dict[str, bool], verified: bool, form: str
) -> int:
    import json
    from dataclasses import replace

    from rmaplab.runner import texts
    from rmaplab.runner.choice import find_litmus
    from rmaplab.runner.run import run, verify

    litmus = find_litmus(name)
    litmus = replace(litmus, config={**litmus.config, **config})
    if verified and not litmus.observations:
        raise InputError(f"{name} has no observations to verify: run a case in the JSON form")
    result = run(litmus, chosen.kernel, chosen.name)
    difference = verify(result, litmus) if verified else None
    if form == "json":
        click.echo(json.dumps(texts.run_document(result, difference)))
    else:
        click.echo(texts.render_run(result, difference), nl=False)
    return EXIT_VIOLATION if result.violation or difference else EXIT_EXPECTED


def _replay(log: str, chosen: NamedKernel, touch: bool, form: str) -> int:
    import json

    from rmaplab.runner.replay import replay
    from rmaplab.runner.texts import render_replay, replay_document

    result = replay(log, chosen.kernel, touch, name=chosen.name)
    if form == "json":
        click.echo(json.dumps(replay_document(result)))
    else:
        click.echo(render_replay(result), nl=False)
    return EXIT_VIOLATION if result.violation else EXIT_EXPECTED


@main.command()
def kernels() -> None:
    """List the kernels: the history that the model has, commit by commit."""
    from rmaplab.history import KERNELS
    from rmaplab.report.words import aligned

    first: dict[type, str] = {}
    rows = []
    for name, kernel in KERNELS.items():
        same = first.setdefault(kernel, name)
        subject = (kernel.__doc__ or "").strip().splitlines()[0].removeprefix(name).strip(" ,.")
        rows.append((name, subject if same == name else f"= {same}"))
    click.echo("\n".join(aligned(rows)))


if __name__ == "__main__":
    main()
