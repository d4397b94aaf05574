"""The progress line: only on a terminal, not too often, and gone in the end."""

from __future__ import annotations

import io

import pytest

from rmaplab.report.progress import Progress


class Screen(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self):
        return True


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")


def update(progress, states=1000, litmus="one"):
    progress.update(litmus, "v3.8", states, 5000, 12, 34)


def test_nothing_is_written_to_a_file():
    stream = io.StringIO()
    with Progress(stream) as progress:
        update(progress)

    assert stream.getvalue() == ""


def test_the_line_tells_where_the_walk_is():
    screen, clock = Screen(), Clock()
    progress = Progress(screen, clock)
    update(progress)
    clock.now += 2
    update(progress, 9000)

    first, second = screen.getvalue().split("\r")[1:]
    assert first == "one on v3.8: 1,000 states, 5,000 transitions, 12 queued, depth 34\x1b[K"
    assert (
        second
    ) == "one on v3.8: 9,000 states (4,500/s), 5,000 transitions, 12 queued, depth 34\x1b[K"


def test_a_long_walk_tells_its_memory_and_how_far_it_may_be():
    screen = Screen()
    Progress(screen).update("one", "v3.8", 1000, 5000, 12, 34, 300 << 20, 4000)

    line = (
        "one on v3.8: 1,000 of about 4,000 states, 5,000 transitions, 12 queued, depth 34, 300 MiB"
    )
    assert screen.getvalue() == f"\r{line}\x1b[K"


def test_at_most_five_lines_a_second():
    screen, clock = Screen(), Clock()
    progress = Progress(screen, clock)
    for _ in range(101):
        update(progress)
        clock.now += 0.01

    assert 5 <= screen.getvalue().count("\r") <= 6


def test_the_rate_starts_anew_with_each_check():
    screen, clock = Screen(), Clock()
    progress = Progress(screen, clock)
    update(progress)
    clock.now += 1
    update(progress, 10, litmus="two")

    assert "two on v3.8: 10 states, " in screen.getvalue()


def test_the_line_is_cut_to_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    screen = Screen()
    update(Progress(screen))

    assert screen.getvalue() == "\rone on v3.8: 1,0...\x1b[K"


def test_leaving_takes_the_line_away_also_on_an_error():
    screen = Screen()
    with pytest.raises(KeyboardInterrupt), Progress(screen) as progress:
        update(progress)
        raise KeyboardInterrupt

    assert screen.getvalue().endswith("\r\x1b[K")


def test_nothing_drawn_is_nothing_to_take_away():
    screen = Screen()
    Progress(screen).done()

    assert screen.getvalue() == ""
