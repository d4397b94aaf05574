"""`rmaplab record`."""

from __future__ import annotations

import click


@click.command()
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("-o", "--output", "log", required=True, metavar="LOG", help="Where its calls go.")
@click.option("--faults", metavar="FAULTS", help="Record its page faults, too, with perf.")
@click.pass_context
def record(ctx: click.Context, command: tuple[str, ...], log: str, faults: str | None) -> None:
    """Run `-- COMMAND...` under strace, for `rmaplab run --strace LOG`.

    The exit status is the command's, and 2 where strace is missing or LOG cannot be written.
    """
    from rmaplab.runner.record import record as run_recorded

    ctx.exit(run_recorded(command, log, faults))
