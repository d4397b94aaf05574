"""`rmaplab run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rmaplab.cli.common import EXIT_EXPECTED, EXIT_VIOLATION, KERNEL_HELP, read_config
from rmaplab.errors import InputError

if TYPE_CHECKING:
    from rmaplab.runner.choice import NamedKernel


@click.command()
@click.argument("litmus", required=False)
@click.option("-k", "--kernel", "kernel", default="v2.6.38", show_default=True, help=KERNEL_HELP)
@click.option("-c", "--config", "switches", multiple=True, help="CONFIG_KSM=n, CONFIG_MIGRATION=n")
@click.option("--verify", "verified", is_flag=True, help="Hold it against the case's observations.")
@click.option("--strace", "log", metavar="LOG", help="Replay a log of strace -f instead.")
@click.option(
    "--touch",
    metavar="all|none|FRACTION",
    help="With --strace: what of a new mapping is written.  [default: its first 64 pages]",
)
@click.option(
    "--faults", metavar="FAULTS", help="With --strace: page faults that perf recorded, instead."
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@click.pass_context
def run(
    ctx: click.Context,
    litmus: str | None,
    kernel: str,
    switches: tuple[str, ...],
    verified: bool,
    log: str | None,
    touch: str | None,
    faults: str | None,
    form: str,
) -> None:
    """Run a LITMUS (or JSON case) in order, and show what is mapped where after each step."""
    from rmaplab.runner.choice import find_kernel

    chosen = find_kernel(kernel)
    if (litmus is None) == (log is None):
        raise InputError("name either a LITMUS or --strace LOG")
    if log is not None and (switches or verified):
        raise InputError("--config and --verify are not for --strace LOG: leave them out")
    if log is None and (touch is not None or faults):
        raise InputError("--touch and --faults are for --strace LOG: leave them out")
    if touch is not None and faults:
        raise InputError("--touch estimates what --faults has recorded: leave one of them out")
    if log is not None:
        ctx.exit(_replay(log, chosen, touch, faults, form))
    assert litmus is not None
    ctx.exit(_run_in_order(litmus, chosen, read_config(switches), verified, form))


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


def _replay(log: str, chosen: NamedKernel, touch: str | None, faults: str | None, form: str) -> int:
    import json

    from rmaplab.runner.faults import read_faults
    from rmaplab.runner.replay import replay
    from rmaplab.runner.texts import render_replay, replay_document
    from rmaplab.runner.touch import FIRST_PAGES, read_touch

    estimate = read_touch(touch) if touch is not None else FIRST_PAGES
    recorded = read_faults(faults) if faults else None
    result = replay(log, chosen.kernel, estimate, recorded, chosen.name)
    if form == "json":
        click.echo(json.dumps(replay_document(result)))
    else:
        click.echo(render_replay(result), nl=False)
    return EXIT_VIOLATION if result.violation else EXIT_EXPECTED
