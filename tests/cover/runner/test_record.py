"""Recording: with tools that stand in for strace and perf, and with strace where it is there."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from command import refused, rmaplab

from rmaplab.history.v2_6_38 import V2_6_38
from rmaplab.runner.record import record
from rmaplab.runner.replay import replay

#: Both run the command after `--`, as the real ones do; perf prints what it was told to record.
STRACE = """#!/bin/sh
echo "$@" > "$8"
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""
PERF = """#!/bin/sh
if [ "$1" = script ]; then cat "$5"; echo "$TZ"; exit; fi
echo "$6" > "$8"
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""
#: The real one, without the right to record.
REFUSED_PERF = "#!/bin/sh\nexit 255\n"
#: What of a run leaves a trace.
RAN = ("sh", "-c", "touch ran; exit 7")


@pytest.fixture
def tools(tmp_path: Path, monkeypatch):
    """A function that puts tools on a PATH which has else only what a command needs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "touch", "cat"):
        (folder / name).symlink_to(shutil.which(name) or "")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.chdir(tmp_path)

    def put(**scripts: str) -> None:
        for name, text in scripts.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)

    return put


def test_the_exit_status_is_the_commands(tools) -> None:
    tools(strace=STRACE)

    assert rmaplab("record", "-o", "log", "--", *RAN).exit_code == 7
    assert Path("ran").exists()
    told = Path("log").read_text()
    assert told.startswith("-f -ttt -e trace=%memory,%process -e signal=none -o log -- sh -c")


def test_a_signal_is_told_as_a_shell_tells_it(tools) -> None:
    tools(strace=STRACE)

    assert record(["sh", "-c", "kill -TERM $$"], "log") == 128 + 15


def test_options_of_the_command_are_its_own(tools) -> None:
    tools(strace=STRACE)

    assert rmaplab("record", "-o", "log", "--", "sh", "-c", "exit $1", "-o", "5").exit_code == 5


def test_without_strace_nothing_runs(tools) -> None:
    assert "strace is not installed: apt-get install strace" in refused(
        "record", "-o", "log", "--", *RAN
    )
    assert not Path("ran").exists()
    assert not Path("log").exists()


def test_without_perf_no_faults_are_recorded_and_nothing_runs(tools) -> None:
    tools(strace=STRACE)

    said = refused("record", "-o", "log", "--faults", "faults", "--", *RAN)

    assert "perf is not installed: apt-get install linux-perf" in said
    assert not Path("ran").exists()


@pytest.mark.parametrize("paths", [("none/log", "faults"), ("log", "none/faults")])
def test_a_file_that_cannot_be_written_is_refused_before_anything_runs(tools, paths) -> None:
    tools(strace=STRACE, perf=PERF)
    log, faults = paths

    said = refused("record", "-o", log, "--faults", faults, "--", *RAN)

    assert "none/" in said
    assert "cannot be written (No such file or directory)" in said
    assert not Path("ran").exists()


def test_a_command_that_is_not_there_is_refused(tools) -> None:
    tools(strace=STRACE)

    assert "nonsense: no such command" in refused("record", "-o", "log", "--", "nonsense")


def test_perf_records_the_faults_and_prints_them_in_utc(tools) -> None:
    tools(strace=STRACE, perf=PERF)

    assert record(RAN, "log", "faults") == 7
    assert Path("faults").read_text() == (
        "exceptions:page_fault_user,exceptions:page_fault_kernel\nUTC\n"
    )


def test_perf_that_cannot_print_is_told(tools) -> None:
    tools(
        strace=STRACE, perf=PERF.replace("then cat", "then echo no such field >&2; exit 129; cat")
    )

    said = refused("record", "-o", "log", "--faults", "faults", "--", *RAN)

    assert "faults: perf script cannot print what was recorded: no such field" in said


def test_perf_that_may_not_record_is_told(tools) -> None:
    tools(strace=STRACE, perf=REFUSED_PERF)

    said = refused("record", "-o", "log", "--faults", "faults", "--", *RAN)

    assert "faults: perf recorded nothing: page fault events need root" in said


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_recorded_program_replays(tmp_path: Path) -> None:
    """Python forks a child: two tasks end, and the fork is there."""
    log = str(tmp_path / "log")
    program = "import os; os.fork() or os._exit(0); os.wait(); os._exit(3)"

    status = record([sys.executable, "-S", "-c", program], log)

    if status != 3 and os.path.getsize(log) == 0:
        pytest.skip("this machine does not let strace trace")
    assert status == 3
    result = replay(log, V2_6_38)
    assert result.violation is None
    assert (result.replayed["fork"], result.replayed["exit"], result.alive) == (1, 2, ())
