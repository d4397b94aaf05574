"""What the commands print of results, and the exit status that goes with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from rmaplab.cli.common import EXIT_EXPECTED, EXIT_INTERRUPTED, EXIT_UNDETERMINED, EXIT_VIOLATION
from rmaplab.errors import InputError

if TYPE_CHECKING:
    from rmaplab.checker.verdict import Result

#: Documents for programs: for anybody's, for kernel CI, for other CI, for code hosts.
DOCUMENTS = ("json", "ktap", "junit", "sarif")


def print_results(
    results: Sequence[Result], planned: int, form: str, diagrams: bool, number: int | None
) -> None:
    """One of `planned` checks in full, of several the matrix; or a document for programs.

    `number` says which violation of the one check; InputError if it has not so many.
    """
    from rmaplab.report.matrix import render_clean, render_matrix
    from rmaplab.report.violation import render_diagram, render_violation

    if form in DOCUMENTS:
        click.echo(_document(results, form), nl=False)
        return
    if planned == 1:
        for result in results:
            found = len(result.outcome.violations)
            if number is not None and number > found:
                raise InputError(f"--violation {number}: there are {found}")
            text = render_violation(result, number=number or 1) if found else render_clean(result)
            click.echo(text, nl=False)
        return
    if diagrams:
        for result in _first_failures(results):
            click.echo(render_diagram(result) + "\n")
    for result in results:
        if not result.as_expected and result.outcome.violation is not None:
            click.echo(render_violation(result) + "\n")
    if results:
        click.echo(render_matrix(results), nl=False)


def _document(results: Sequence[Result], form: str) -> str:
    """All results for programs: one document, nothing else on standard output."""
    from rmaplab.report.document import render_json
    from rmaplab.report.junit import render_junit
    from rmaplab.report.ktap import render_ktap
    from rmaplab.report.sarif import render_sarif

    renderers = {
        "json": render_json, "ktap": render_ktap, "junit": render_junit, "sarif": render_sarif
    }  # fmt: skip
    return renderers[form](results)


def _first_failures(results: Sequence[Result]) -> list[Result]:
    """Of each litmus and kind of failure, the one on the first kernel."""
    first: dict[tuple[str, str], Result] = {}
    for result in results:
        if result.outcome.violation is not None:
            first.setdefault((result.litmus, result.verdict), result)
    return list(first.values())


def status_of(results: Sequence[Result], planned: int) -> int:
    """The exit status: whether all that was planned is done, and as expected."""
    from rmaplab.checker.verdict import UNDETERMINED

    done = sum(not result.outcome.is_interrupted for result in results)
    if done < planned:
        click.echo(f"interrupted: {done} of {planned} checks done", err=True)
        return EXIT_INTERRUPTED
    if any(not result.as_expected and result.verdict != UNDETERMINED for result in results):
        return EXIT_VIOLATION
    return EXIT_UNDETERMINED if any(r.verdict == UNDETERMINED for r in results) else EXIT_EXPECTED
