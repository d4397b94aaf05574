"""`rmaplab kernels`."""

from __future__ import annotations

import click


@click.command()
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
