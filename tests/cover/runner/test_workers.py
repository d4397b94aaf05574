"""Tasks on several processes: all are done, whatever happens to one of these."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from rmaplab.runner.workers import spread

RUNS = [[0, 1, 2], [3, 4], [5]]


def who(number: int) -> tuple[int, int]:
    return number, os.getpid()


def slowly(number: int) -> int:
    time.sleep(0.05)
    return os.getpid()


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_each_is_done_once(workers: int) -> None:
    done = list(spread(who, RUNS, workers))

    assert sorted(number for number, _ in done) == [0, 1, 2, 3, 4, 5]
    assert all(result is not None and result[0] == number for number, result in done)


def test_one_process_does_its_runs_in_their_order() -> None:
    assert [number for number, _ in spread(who, RUNS, 1)] == [0, 1, 2, 3, 4, 5]


def test_a_run_stays_with_its_process_as_long_as_there_are_others() -> None:
    done = dict(spread(slowly, [[0, 1], [2, 3]], 2))

    assert done[0] == done[1] != done[2] == done[3]


def test_one_with_nothing_left_takes_half_of_anothers() -> None:
    done = dict(spread(slowly, [[*range(12)]], 2))

    assert len(set(done.values())) == 2
    assert done[0] == done[1] != done[11]


@pytest.fixture
def deaths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEATHS", str(tmp_path))
    return tmp_path


def dying_once_at_3(number: int) -> int:
    died = Path(os.environ["DEATHS"], "once")
    if number == 3 and not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def dying_at_3(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_one_over_which_a_process_was_killed_is_done_again_in_the_end(deaths: Path) -> None:
    done = list(spread(dying_once_at_3, RUNS, 2))

    assert done[-1] == (3, 3)
    assert sorted(done) == [(number, number) for number in range(6)]


def test_one_that_kills_twice_has_no_result_and_the_others_have() -> None:
    done = list(spread(dying_at_3, RUNS, 2))

    assert done[-1] == (3, None)
    assert sorted(done[:-1]) == [(number, number) for number in (0, 1, 2, 4, 5)]


def test_what_a_task_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(spread(one_over, [[0]], 1))


def one_over(number: int) -> float:
    return 1 / number
