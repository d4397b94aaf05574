"""The running kernel itself: needs root and KSM, and takes its turn at them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import rmaplab
from rmaplab.errors import LiveError
from rmaplab.history import V2_6_38, V6_18
from rmaplab.litmus.reader import read_file, read_text
from rmaplab.live.fuzz import difference
from rmaplab.live.knobs import SAVED, Knobs
from rmaplab.live.process import PROGRAM
from rmaplab.live.run import run_live
from rmaplab.live.session import missing, session
from rmaplab.live.system import LiveSystem
from rmaplab.runner.run import run, verify

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"live runs need {', '.join(missing())}")

CASES = sorted((Path(__file__).parents[2] / "cases").glob("*.json"))
TWO = next(path for path in CASES if path.stem == "ksm_two_processes")


def settings() -> dict[str, str]:
    knobs = Knobs()
    return {name: knobs.read(name) for name in ("run", *SAVED) if knobs.has(name)}


def of_live_runs() -> list[int]:
    """The processes of live runs that there are."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if PROGRAM.encode() in words:
            found.append(int(path.parent.name))
    return found


def command(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "rmaplab.cli", *words],
        env={**os.environ, "PYTHONPATH": str(Path(rmaplab.__file__).parent.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_recorded_case_holds_on_this_kernel(path: Path) -> None:
    litmus = read_file(path)
    with session() as knobs:
        result = run_live(litmus, knobs)

    assert verify(result, litmus) is None


def test_growing_over_locked_pages_differs_by_frames_at_most() -> None:
    steps = "A: mmap 0 8\n    A: mlock 0 3\n    A: mremap 2 1 2 to 0"
    litmus = read_text(f"litmus a\nprocesses A\nsetup\n    {steps}")
    with session() as knobs:
        seen = run_live(litmus, knobs).observations

    model = run(litmus, V6_18, real=True)
    found = verify(model, replace(litmus, observations=tuple(seen)))

    assert found is None or found.field == "changed"
    assert difference(model, replace(litmus, observations=tuple(seen))) is None


def test_recording_a_case_again_gives_the_case(tmp_path: Path) -> None:
    output = tmp_path / "case.json"
    done = command("live", "--record", str(TWO), "-o", str(output))
    done.wait()
    old, new = json.loads(TWO.read_text()), json.loads(output.read_text())

    assert done.returncode == 0
    for field in ("name", "roots", "steps", "unstable", "expect"):
        assert new[field] == old[field]
    assert read_file(output).setup == tuple(
        replace(step, place=read.place)
        for step, read in zip(read_file(TWO).setup, read_file(output).setup, strict=True)
    )


def test_every_kind_of_page_is_seen_as_the_model_sees_it() -> None:
    litmus = read_text("""litmus x
    processes A B
    setup
        A: mmap 0 8
        A: read 0 2
        A: write 1 4 = 7
        A: poke 2 @100 = 9
        B: mmap 1 4
        B: write 1 4 = 7
        A: fork C
        C: mprotect 3 none
        A: madvise 0 8 mergeable
        B: madvise 1 4 mergeable
        ksmd: scan 2
        C: munmap 4
        A: mlock 6
        A: mremap 0 2 to 20
        C: read 3
        B: mprotect 0 2 r
        B: fault 1 write
        B: fault 2 write
        A: exit
        unmerge_all
    """)
    with session() as knobs:
        shown = run_live(litmus, knobs).observations

    assert verify(run(litmus, V2_6_38), replace(litmus, observations=tuple(shown))) is None


@pytest.mark.parametrize("advice", ["madvise 0 free", "madvise 0 cold", "mlock 0"])
def test_no_batch_keeps_a_last_owner_from_its_page(advice: str) -> None:
    litmus = read_text(f"""litmus x
    setup
        A: mmap 0 2
        A: write 0 2 = 1
        A: fork B
        B: exit
        A: {advice}
        A: write 0 = 2
    """)
    with session() as knobs:
        shown = run_live(litmus, knobs).observations

    assert shown[-1]["changed"] == {}


def test_a_process_that_dies_ends_the_run_and_all_is_put_back() -> None:
    with session() as knobs:
        before = settings()
    with pytest.raises(LiveError), session() as knobs, LiveSystem(("A", "B"), knobs) as system:
        knobs.begin({"max_page_sharing": 3})
        os.kill(system.family.members["A"].pid, signal.SIGKILL)
        pids = [process.pid for process in system.family.members.values()]
        system.mmap("A", 0)

    assert not set(pids) & set(of_live_runs())
    with session() as knobs:
        assert settings() == before


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 130), (signal.SIGINT, 130)])
def test_an_interrupted_run_leaves_nothing(tmp_path: Path, number: int, status: int) -> None:
    long = tmp_path / "long.litmus"
    long.write_text("litmus long\nsetup\nksmd: scan 1000000\n")
    done = command("live", "--record", str(long), "-o", str(tmp_path / "case.json"))
    while Knobs().read("sleep_millisecs") not in ("60000", "60001"):
        assert done.poll() is None
        time.sleep(0.01)
    done.send_signal(number)

    assert done.wait() == status
    with session():
        noted = settings()
    assert noted["sleep_millisecs"] not in ("60000", "60001") and noted["run"] == "0"
    assert not (tmp_path / "case.json").exists()


def test_the_exit_status_says_whether_they_agree() -> None:
    agreeing = command("live", "--kernel", "v2.6.38", str(TWO))
    assert agreeing.communicate()[0].endswith(b"9 steps agree\n") and agreeing.returncode == 0
    differing = command("live", "-k", "v2.6.38", str(TWO.with_name("ksm_break_by_write.json")))
    assert b"\n>>" in differing.communicate()[0] and differing.returncode == 1
