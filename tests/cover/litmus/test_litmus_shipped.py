"""The shipped collection, and what importing the package costs."""

from __future__ import annotations

import subprocess
import sys

from rmaplab.litmus.operations import OPERATIONS, WITHOUT_PROCESS, usage
from rmaplab.litmus.shipped import shipped


def test_the_collection_is_sorted_and_without_twins() -> None:
    names = [litmus.name for litmus in shipped()]

    assert names == sorted(set(names))


def test_every_shipped_litmus_knows_its_file() -> None:
    for litmus in shipped():
        assert litmus.path.endswith(".litmus")


def test_the_grammar_library_is_loaded_only_to_read() -> None:
    program = "import sys, rmaplab.litmus.shipped; sys.exit('lark' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_usage_tells_every_operand() -> None:
    assert usage("mremap") == "PROCESS: mremap PAGE [COUNT] [NEW_COUNT] [to PAGE] [dontunmap]"
    assert usage("set") == "set KNOB VALUE"
    assert usage("madvise") == "PROCESS: madvise PAGE [COUNT] ADVICE"
    assert WITHOUT_PROCESS.issubset(OPERATIONS)
