"""KSM's knobs: read, written, noted and put back, in a directory that only looks like sysfs."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import rmaplab
from rmaplab.live.knobs import Knobs, restore, save

FILES = {
    "run": "0\n",
    "pages_to_scan": "100\n",
    "sleep_millisecs": "20\n",
    "max_page_sharing": "256\n",
    "smart_scan": "1\n",
    "advisor_mode": "[none] scan-time\n",
    "pages_shared": "7\n",
}


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    directory = tmp_path / "ksm"
    directory.mkdir()
    for name, text in FILES.items():
        (directory / name).write_text(text)
    return directory


def test_of_several_words_the_chosen_one_is_read(sysfs: Path) -> None:
    assert Knobs(sysfs).read("advisor_mode") == "none"


def test_a_counter_that_an_older_kernel_does_not_have_is_zero(sysfs: Path) -> None:
    counters = Knobs(sysfs).counters()

    assert (counters["pages_shared"], counters["stable_node_dups"]) == (7, 0)


def test_a_knob_that_is_not_there_is_an_invalid_argument(sysfs: Path) -> None:
    assert Knobs(sysfs).write("max_kernel_pages", 5) == -errno.EINVAL


def test_what_the_kernel_refuses_is_its_error(sysfs: Path) -> None:
    (sysfs / "run").unlink()
    (sysfs / "run").symlink_to("/dev/full")

    assert Knobs(sysfs).write("run", 1) == -errno.ENOSPC


def test_restore_puts_back_every_knob_and_other_file(sysfs: Path, tmp_path: Path) -> None:
    knobs, state, other = Knobs(sysfs), tmp_path / "state", tmp_path / "other"
    other.write_text("0\n")
    before = {name: knobs.read(name) for name in FILES}
    save(knobs, state, [other])
    knobs.begin({"max_page_sharing": 2})
    knobs.write("sleep_millisecs", 60000)
    other.write_text("99")

    restore(state)

    assert {name: knobs.read(name) for name in FILES} == before
    assert other.read_text() == "0\n"


def test_what_was_restored_is_not_restored_again(sysfs: Path, tmp_path: Path) -> None:
    knobs, state = Knobs(sysfs), tmp_path / "state"
    save(knobs, state, [])
    restore(state)
    knobs.write("smart_scan", 0)

    restore(state)

    assert knobs.read("smart_scan") == "0"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_watchdog_restores_when_its_driver_is_killed(
    sysfs: Path, tmp_path: Path, number: int
) -> None:
    knobs, state = Knobs(sysfs), tmp_path / "state"
    save(knobs, state, [])
    knobs.write("smart_scan", 0)
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(state)],
        env={**os.environ, "PYTHONPATH": str(Path(rmaplab.__file__).parent.parent)},
        stdout=subprocess.PIPE,
    )
    assert driver.stdout is not None and driver.stdout.readline() == b"ready\n"

    driver.send_signal(number)
    driver.wait()

    assert eventually(lambda: state.read_text() == "")
    assert knobs.read("smart_scan") == "1"


DRIVER = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-m", "rmaplab.live.watchdog", sys.argv[1]],
                 stdin=subprocess.PIPE, start_new_session=True)
time.sleep(600)
"""


def eventually(holds: object) -> bool:
    """Whether it comes to hold within a generous time."""
    assert callable(holds)
    end = time.monotonic() + 60
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
