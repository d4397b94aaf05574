"""The command line within this process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from rmaplab.cli import main


def rmaplab(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def refused(*words: str) -> str:
    """What is said of bad input: one line, and nothing on standard output."""
    done = rmaplab(*words)
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert done.stderr.startswith("rmaplab: ")
    assert done.stderr.count("\n") == 1
    return done.stderr
