"""`make coverage`: a line that no test reaches says why, and one that says so is not reached."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("coverage")

SCRIPT = Path(__file__).parents[1] / "kernel_lines.py"
PROGRAM = """\
def f(x):
    if x:
        return 1{comment}
    return 2
f({argument})
"""


@pytest.mark.parametrize(
    ("comment", "argument", "code", "says"),
    [
        ("", 0, 1, ":3: not reached: return 1\n4 of 5 lines reached, 80.0 %\n"),
        ("  # unreached: x is never true", 0, 0, "4 of 5 lines reached, 80.0 %\n"),
        ("  # unreached: x is never true", 1, 1, ":3: reached, so take the comment away\n"),
        ("  # unreached:", 0, 1, ":3: not reached: return 1  # unreached:\n"),
    ],
)
def test_what_is_complained_of(
    tmp_path: Path, comment: str, argument: int, code: int, says: str
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM.format(comment=comment, argument=argument))
    environment = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    python = [sys.executable, "-m", "coverage", "run", "--include", "*/program.py", "program.py"]
    subprocess.run(python, cwd=tmp_path, env=environment, check=True)

    done = subprocess.run(
        [sys.executable, SCRIPT], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (code, "")
    assert says in done.stdout
