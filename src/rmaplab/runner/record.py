"""Records a program for a replay: its calls with strace, its page faults with perf."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rmaplab.errors import InputError, Place

STRACE = ("strace", "-f", "-ttt", "-e", "trace=%memory,%process", "-e", "signal=none", "-o")
#: perf knows no CLOCK_REALTIME here, but tells the time of day (`tod`) of another clock.
PERF = (
    "perf", "record", "-q", "-k", "CLOCK_MONOTONIC",
    "-e", "exceptions:page_fault_user,exceptions:page_fault_kernel", "-o",
)  # fmt: skip
PRINT = ("perf", "script", "-F", "comm,tid,tod,event,trace", "-i")
#: Debian's packages.
PACKAGES = {"strace": "strace", "perf": "linux-perf"}


def record(command: Sequence[str], log: str, faults: str | None = None) -> int:
    """Run a command under strace, and under perf if there is a file for its `faults`.

    Its exit status, 128 + N after signal N. InputError, before anything runs, where a tool or the
    command is not installed or a file cannot be written; after it, where perf could not record.
    """
    _need("strace")
    if faults is not None:
        _need("perf")
    if shutil.which(command[0]) is None:
        raise InputError(f"{command[0]}: no such command")
    for path in filter(None, (log, faults)):
        _writable(path)
    traced = [*STRACE, log, "--", *command]
    return _run(traced) if faults is None else _with_faults(traced, faults)


def _with_faults(traced: Sequence[str], faults: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "perf.data"
        status = _run([*PERF, str(data), "--", *traced])
        if not data.exists() or data.stat().st_size == 0:
            message = "perf recorded nothing: page fault events need root, or CAP_PERFMON"
            raise InputError(message, Place(faults))
        _print(data, faults)
        return status


def _print(data: Path, faults: str) -> None:
    """What perf recorded, with the time of day in UTC: that is how `read_faults` reads it."""
    words, utc = [*PRINT, str(data)], {**os.environ, "TZ": "UTC"}
    with open(faults, "w", encoding="utf-8") as file:
        done = subprocess.run(
            words, stdout=file, stderr=subprocess.PIPE, env=utc, text=True, check=False
        )
    if done.returncode:
        last = (done.stderr.splitlines() or ["no reason given"])[-1]
        raise InputError(f"perf script cannot print what was recorded: {last}", Place(faults))


def _run(words: Sequence[str]) -> int:
    """Strace and perf end as the command does: by the same signal, too."""
    status = subprocess.run(words, check=False).returncode
    return status if status >= 0 else 128 - status


def _need(tool: str) -> None:
    if shutil.which(tool) is None:
        message = f"{tool} is not installed: apt-get install {PACKAGES[tool]}, or your system's own"
        raise InputError(message)


def _writable(path: str) -> None:
    try:
        with open(path, "w", encoding="utf-8"):
            pass
    except OSError as error:
        raise InputError(f"cannot be written ({error.strerror})", Place(path)) from error
