"""Compiled code is made beside the walk, and nothing small ever loads it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def python(code: str, **environment: str) -> str:
    """What a fresh Python prints."""
    path = os.pathsep.join(sys.path)
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_a_small_check_loads_neither_numba_nor_numpy() -> None:
    code = """
import sys
from rmaplab.cli import main
try:
    main(["check", "root-drops-itself", "-k", "v2.6.38", "--full"])
except SystemExit as ended:
    print(ended.code, sorted({"numba", "numpy", "llvmlite"} & set(sys.modules)))
"""
    assert python(code).splitlines()[-1] == "0 []"


def test_code_is_compiled_by_another_process(tmp_path: Path) -> None:
    code = """
import sys, time
from rmaplab.checker.native.ready import COMPILER, stamp
answers = [COMPILER.ready()]
while not answers[-1] and not COMPILER.missing:
    time.sleep(0.05)
    answers.append(COMPILER.ready())
print(answers[0], answers[-1], "numba" in sys.modules, stamp().parent)
"""
    assert python(code, NUMBA_CACHE_DIR=str(tmp_path)) == f"False True False {tmp_path}\n"
    assert list(tmp_path.glob("*/compiled.expand-*.nbc"))


def test_where_nothing_can_be_written_code_is_kept_for_one_run(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    code = "from rmaplab.checker.native.ready import folder; print(folder())"

    used = Path(python(code, NUMBA_CACHE_DIR=str(blocked / "cache")).strip())

    assert used.name.startswith("rmaplab-")
    assert not used.exists()


def test_a_compiler_that_fails_is_told(tmp_path: Path) -> None:
    code = """
import time
from rmaplab.checker.native import ready
compiler = ready.Compiler()
ready.sys.executable = "/bin/false"
while not compiler.ready() and not compiler.missing:
    time.sleep(0.01)
print(compiler.missing)
"""
    assert python(code, NUMBA_CACHE_DIR=str(tmp_path)) == "numba failed\n"
