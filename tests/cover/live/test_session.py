"""The right to use KSM: taken, refused, given back; on a directory that only looks like sysfs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rmaplab.errors import InputError
from rmaplab.live import session as module
from rmaplab.live.knobs import KSM, Knobs
from rmaplab.live.session import missing, session

FILES = {"run": 0, "smart_scan": 1, "max_page_sharing": 256, "pages_shared": 0, "pages_sharing": 0}

needs_ksm = pytest.mark.skipif(not KSM.is_dir(), reason="the watchdog needs a kernel with KSM")


@pytest.fixture
def knobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Knobs:
    """Knobs of nobody else, on a machine that lacks nothing."""
    monkeypatch.setattr(module, "missing", list)
    for name, value in FILES.items():
        (tmp_path / name).write_text(f"{value}\n")
    return Knobs(tmp_path)


@needs_ksm
def test_knobs_are_put_back_when_the_run_raises(knobs: Knobs, tmp_path: Path) -> None:
    cpus = os.sched_getaffinity(0)
    with pytest.raises(ZeroDivisionError), session(tmp_path / "lock", knobs):
        knobs.begin({"max_page_sharing": 2})
        assert knobs.read("smart_scan") == "0" and len(os.sched_getaffinity(0)) == 1
        raise ZeroDivisionError

    assert (knobs.read("smart_scan"), knobs.read("max_page_sharing")) == ("1", "256")
    assert os.sched_getaffinity(0) == cpus
    assert (tmp_path / "lock").read_text() == ""


@needs_ksm
def test_what_a_killed_run_left_is_put_back_before_the_next(knobs: Knobs, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text(
        '{"ksm": "%s", "knobs": {"smart_scan": "1"}, "files": {}}' % knobs.directory  # noqa: UP031
    )
    knobs.write("smart_scan", 0)
    knobs.write("run", 1)

    with session(lock, knobs):
        assert knobs.read("smart_scan") == "1"


@pytest.mark.parametrize("counter", ["run", "pages_sharing"])
def test_a_ksm_in_use_is_refused_and_left_alone(knobs: Knobs, tmp_path: Path, counter: str) -> None:
    knobs.write(counter, 1)

    with pytest.raises(InputError, match="in use by somebody else"), session(tmp_path / "l", knobs):
        pass

    assert knobs.read(counter) == "1"


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "KSM", tmp_path / "none")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert missing()[:2] == ["root", f"KSM ({tmp_path / 'none'}: CONFIG_KSM)"]
    with pytest.raises(InputError, match="a live run needs root, KSM"), session(tmp_path / "lock"):
        pass
