"""`rmaplab replay`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rmaplab.cli.common import EXIT_EXPECTED, EXIT_VIOLATION

if TYPE_CHECKING:
    from rmaplab.checker.follow import Followed
    from rmaplab.runner.saved import SavedTrace


@click.command()
@click.argument("trace", metavar="FILE")
@click.option("-k", "--kernel", "kernel", help="Another kernel than the one it was recorded on.")
@click.pass_context
def replay(ctx: click.Context, trace: str, kernel: str | None) -> None:
    """Take the steps of a trace again that `check --save-trace FILE` wrote.

    Exit status 0 if they lead to the same verdict; 1 with the first difference if not.
    """
    from rmaplab.machine.faults import KernelStateError
    from rmaplab.runner import saved
    from rmaplab.runner.choice import find_kernel

    recorded = saved.load(trace)
    chosen = find_kernel(kernel or recorded.kernel)
    try:
        followed = saved.replay(recorded, chosen.kernel)
    except KernelStateError as fault:
        click.echo(f"{recorded.litmus.name} on {chosen.name}: {fault.kind} in the set-up: {fault}")
        ctx.exit(EXIT_VIOLATION)
    click.echo(_told(recorded, chosen.name, followed), nl=False)
    ctx.exit(EXIT_EXPECTED if _is_same(recorded, followed) else EXIT_VIOLATION)


def _is_same(recorded: SavedTrace, followed: Followed) -> bool:
    """Whether it ended as recorded; what is only about to happen is no fault yet."""
    if followed.difference is not None:
        return False
    return bool(recorded.pending) or (
        followed.fault is not None and followed.fault.kind == recorded.verdict
    )


def _told(recorded: SavedTrace, kernel: str, followed: Followed) -> str:
    from rmaplab.report.replayed import render_other, render_same

    name, difference, value = recorded.litmus.name, followed.difference, followed.other_value
    if _is_same(recorded, followed):
        return render_same(name, kernel, recorded.verdict, len(followed.steps))
    head = f"{name}, recorded on {recorded.kernel}: {recorded.verdict}\n"
    if difference is None:
        end = followed.fault.kind if followed.fault is not None else "nothing is wrong"
        rows = [(recorded.kernel, value.recorded), (kernel, value.here)] if value else []
        return head + render_other(f"{kernel}: the same steps, but {end} at their end", (), rows)
    where = f"{kernel}: differs first at step {difference.number} ({difference.why})"
    rows = [(recorded.kernel, difference.recorded), (kernel, difference.here)]
    text = render_other(where, followed.steps, rows)
    if value is not None:
        earlier = f"{kernel}: the first other value is left by step {value.number}"
        rows = [(recorded.kernel, value.recorded), (kernel, value.here)]
        text += render_other(earlier, (), rows)
    return head + text
