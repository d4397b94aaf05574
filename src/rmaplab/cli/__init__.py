"""The command line: parse, call, print."""

from __future__ import annotations

import os
from typing import Any

import click

from rmaplab import __version__
from rmaplab.cli.check import check
from rmaplab.cli.common import EXIT_CLOSED_PIPE, EXIT_INPUT, EXIT_INTERRUPTED
from rmaplab.cli.compare import compare
from rmaplab.cli.fuzz import fuzz
from rmaplab.cli.kernels import kernels
from rmaplab.cli.live import live
from rmaplab.cli.protocol import protocol
from rmaplab.cli.record import record
from rmaplab.cli.replay import replay
from rmaplab.cli.run import run
from rmaplab.cli.show import show
from rmaplab.errors import InputError, LiveError


class Commands(click.Group):
    """Turns bad input into one line and exit status 2, and an interruption into 130."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (InputError, LiveError) as error:
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


for command in (check, run, compare, live, fuzz, record, replay, show, kernels, protocol):
    main.add_command(command)
