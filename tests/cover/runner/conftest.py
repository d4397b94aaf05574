"""Small logs of strace."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmaplab.runner.strace import Event, StraceLog, read_strace


@pytest.fixture
def log_of(tmp_path: Path):
    """A function from lines to the log that has them."""

    def write(*lines: str) -> StraceLog:
        path = tmp_path / "log"
        path.write_text("".join(f"{line}\n" for line in lines))
        return read_strace(str(path))

    return write


@pytest.fixture
def event_of(log_of):
    """A function from a line to its one event."""

    def read(line: str) -> Event:
        (event,) = log_of(line).events
        return event

    return read
