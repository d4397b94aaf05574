"""The command as a process: start, pipes, signals, workers that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

#: Ten processes on ten CPUs: it does not end.
TEN = Path(__file__).parents[1] / "data" / "ten-processes.litmus"
LONG = (str(TEN), "--kernel", "v2.6.38", "--max-states", "99999999")

KILLED = """
import os, signal
from rmaplab.history import V2_6_38

class Killed(V2_6_38):
    def dup_mm(self, *args):
        os.kill(os.getpid(), signal.SIGKILL)
"""


def started(*words: str, **how: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "rmaplab.cli", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, **how)


class TestAsAProcess:
    def test_help_imports_neither_the_parser_nor_greenlets(self) -> None:
        code = (
            "import sys; from rmaplab.cli import main; main(['--help'], standalone_mode=False);"
            "heavy = {'lark', 'greenlet', 'multiprocessing', 'rmaplab.kernel', 'rmaplab.checker'};"
            "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
        )

        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

        assert (done.returncode, done.stderr) == (0, "")
        assert "Commands:" in done.stdout

    def test_a_closed_pipe_is_no_traceback(self) -> None:
        reading, writing = os.pipe()
        os.close(reading)

        done = subprocess.run(
            [sys.executable, "-m", "rmaplab.cli", "kernels"],
            stdout=writing, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

        os.close(writing)
        assert (done.returncode, done.stderr) == (141, "")

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
    def test_a_full_disk_is_one_line(self) -> None:
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "rmaplab.cli", "kernels"],
                stdout=full, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip

        assert done.returncode == 2
        assert done.stderr == "rmaplab: [Errno 28] No space left on device\n"

    @pytest.mark.parametrize("jobs", ["1", "2"])
    def test_ctrl_c_prints_what_is_known(self, jobs: str, tmp_path: Path) -> None:
        sign = tmp_path / "begun"
        patch = tmp_path / "mypatch.py"
        patch.write_text(
            "import pathlib\n"
            "from rmaplab.history import V2_6_38\n"
            "class Telling(V2_6_38):\n"
            "    def dup_mm(self, mm):\n"
            f"        pathlib.Path({str(sign)!r}).touch()\n"
            "        return super().dup_mm(mm)\n"
        )
        words = ("root-drops-itself", *LONG, "--kernel", f"{patch}:Telling", "--jobs", jobs)
        process = started("check", *words)
        wait_for(sign, process)
        time.sleep(1)

        process.send_signal(signal.SIGINT)

        out, err = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "of 4 checks done" in err
        assert "Traceback" not in err
        if jobs == "1":  # of two processes both may still be at it
            assert "root-drops-itself" in out

    def test_a_killed_process_is_undetermined_and_the_others_go_on(self, tmp_path: Path) -> None:
        (tmp_path / "mypatch.py").write_text(KILLED)
        kernel = f"{tmp_path / 'mypatch.py'}:Killed"
        words = ("root-drops-itself", "cow-both-write", "scan-against-exit", "--kernel", kernel)

        out, err = started("check", *words, "--jobs", "2", "--format", "json").communicate(
            timeout=60
        )

        verdicts = {each["litmus"]: each["verdict"] for each in json.loads(out)["results"]}
        assert err == ""
        assert verdicts == {
            "root-drops-itself": "clean",
            "cow-both-write": "undetermined",
            "scan-against-exit": "bug-on",
        }


def wait_for(sign: Path, process: subprocess.Popen[str]) -> None:
    for _ in range(300):
        if sign.exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    assert process.poll() is None, process.communicate()
