"""`rmaplab live` and `rmaplab fuzz`: what is refused, with one line and exit status 2."""

from __future__ import annotations

import sys

import pytest
from command import refused

from rmaplab.live import session as module


def test_fuzz_asks_for_live() -> None:
    assert "write --live" in refused("fuzz")


def test_fuzz_says_how_to_get_hypothesis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "rmaplab.live.fuzz", raising=False)
    monkeypatch.setitem(sys.modules, "hypothesis", None)

    assert "pip install 'rmaplab[fuzz]'" in refused("fuzz", "--live")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cow-both-write",), "CPUs that run at a time"),
        (("endless-growth", "-o", "x.json"), "-o is for --record"),
        (("endless-growth", "--record"), "--record LITMUS -o CASE.json"),
        (("--record", "-o", "x.json"), "--record LITMUS -o CASE.json"),
        (("endless-growth", "--record", "-o", "x.json", "--slab"), "are not for --record"),
        (("endless-growth", "--kernel", "v9.9"), "--kernel v9.9"),
    ],
)
def test_what_live_cannot_do_is_refused(words: tuple[str, ...], said: str) -> None:
    assert said in refused("live", *words)


@pytest.mark.parametrize("words", [("live", "endless-growth"), ("fuzz", "--live")])
def test_a_machine_that_lacks_something_is_told(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "missing", lambda: ["root", "KSM"])

    assert refused(*words) == "rmaplab: a live run needs root, KSM\n"
