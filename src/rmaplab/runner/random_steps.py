"""Random system calls of a few processes over a few pages, as the steps of a litmus.

The only module that needs hypothesis, which is not among what rmaplab always needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from rmaplab.errors import Place
from rmaplab.litmus.model import Litmus, Step
from rmaplab.litmus.operations import ADVICE, KSMD, OPERATIONS, WITHOUT_PROCESS

PAGES = 12
MOST_PROCESSES = 5
PLACES = (0, 1, 2, 3, 4, 5, 6, 7, 0, 2, 3, 4, 8, 10)
NOWHERE = Place("", 0, 0)
NAMES = tuple(f"P{number}" for number in range(1, 100))
OF_KSM = ("mergeable", "unmergeable", "scan", "unmerge_all", "set")
DONTUNMAP = "dontunmap"
OF_SWAP = ("swap_out", "swap_in", "swapoff", "swapon")
#: What a process has in the beginning, of which some pages are written then.
BEGINNINGS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "mapping": ("mmap", {"at": 0, "n": 8, "prot": "rw"}),
    "heap": ("brk", {"n": 8}),
    "stack": ("mmap", {"at": 5, "n": 3, "growsdown": True, "prot": "rw"}),
}


@dataclass(frozen=True)
class Mix:
    """What is drawn.

    `weights` says how often each operation is, or advice, or mremap with `dontunmap`; `nothing` is
    no step, and what a failing sequence shrinks to. `least` and `most` count steps. `fails` are the
    allocations that may fail, `knobs` up to six settings of KSM.
    """

    weights: Mapping[str, int]
    least: int
    most: int
    fails: Sequence[int] = (0,)
    knobs: Sequence[tuple[str, int]] = (("run", 0), ("run", 1), ("run", 2))
    beginnings: Sequence[str] = tuple(BEGINNINGS)
    config: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Drawn:
    """What is drawn for a step, before it is known which processes there are.

    `again` is to do it to the pages, and by the process, of the step before.
    """

    what: str
    who: int
    at: int
    n: int
    content: int
    prot: str
    to: int | None
    new_n: int
    fail: int
    again: bool


def drawn_steps(mix: Mix) -> st.SearchStrategy[list[Drawn]]:
    """Steps as they are drawn."""
    whats = [what for what, weight in mix.weights.items() for _ in range(weight)]
    drawn = st.builds(
        Drawn,
        what=st.sampled_from(whats),
        who=st.integers(0, MOST_PROCESSES - 1),
        at=st.sampled_from(PLACES),
        n=st.sampled_from((1, 1, 2, 2, 3, 4, 5, 6)),
        content=st.integers(0, 2),
        prot=st.sampled_from(("rw", "rw", "rw", "r", "none")),
        to=st.sampled_from((None, *PLACES)),
        new_n=st.sampled_from((1, 1, 2, 2, 3, 4)),
        fail=st.sampled_from(tuple(mix.fails)),
        again=st.sampled_from((False, False, True)),
    )
    return st.lists(drawn, min_size=mix.least, max_size=mix.most)


def litmus_of(drawn: Sequence[Drawn], beginnings: Sequence[str], mix: Mix) -> Litmus:
    """A scenario of one flow: what is drawn, done by processes that are there then."""
    writer = _Writer(beginnings, mix)
    steps = tuple(writer.steps(drawn))
    return Litmus("found", processes=writer.processes, config=mix.config, setup=steps)


class _Writer:
    """Makes steps of what is drawn: each is done by a process that is there then."""

    def __init__(self, beginnings: Sequence[str], mix: Mix) -> None:
        self.beginnings = beginnings
        self.mix = mix
        self.names = iter(NAMES)
        self.processes = tuple(next(self.names) for _ in beginnings)
        self.running = list(self.processes)

    def steps(self, drawn: Sequence[Drawn]) -> Iterator[Step]:
        for name, beginning in zip(self.processes, self.beginnings, strict=True):
            op, args = BEGINNINGS[beginning]
            yield Step(op, name, args, NOWHERE)
            yield Step("write", name, {"at": 2, "n": 4, "c": 1}, NOWHERE)
        before = None
        for one in drawn:
            if one.again and before is not None:
                one = replace(one, who=before.who, at=before.at, n=before.n)
            before = one
            step = self._step(one)
            if step is not None:
                yield step

    def _step(self, one: Drawn) -> Step | None:
        what, op = one.what, _operation(one.what)
        if what == "nothing":
            return None
        if not self.mix.config.get("CONFIG_KSM", True) and what in OF_KSM:
            return None
        if not self.mix.config.get("CONFIG_SWAP", True) and what in OF_SWAP:
            return None
        who = self.running[one.who % len(self.running)]
        if op == "exit" and len(self.running) == 1:
            return None
        if op == "fork" and len(self.running) >= MOST_PROCESSES:
            return None
        args = self._args(one, op)
        if one.fail:
            args["fail"] = one.fail
        if op == "fork":
            args["child"] = next(self.names)
            if not one.fail:  # else nobody knows whether there is a child
                self.running.append(args["child"])
        if op == "exit":
            self.running.remove(who)
        process = KSMD if op == "scan" else None if op in WITHOUT_PROCESS else who
        return Step(op, process, args, NOWHERE)

    def _args(self, one: Drawn, op: str) -> dict[str, Any]:
        n = one.at if op == "brk" else min(one.n, PAGES - one.at)
        stack = one.content == 2 and "stack" in self.mix.beginnings
        knob, value = self.mix.knobs[(one.content + 3 * one.n) % len(self.mix.knobs)]
        known = {
            "at": one.at, "n": n, "c": one.content, "prot": one.prot, "off": 8 * one.content,
            "v": one.content, "write": bool(one.content), "advice": one.what, "k": 1 + one.n % 3,
            "growsdown": stack or None, "to": one.to, "new_n": one.new_n,
            "dontunmap": one.what == DONTUNMAP or None, "on": bool(one.content), "knob": knob,
            "value": value,
        }  # fmt: skip
        wanted = [operand.name for operand in OPERATIONS[op]]
        return {name: known[name] for name in wanted if known.get(name) is not None}


def _operation(what: str) -> str:
    """The operation that is drawn under this name."""
    if what == DONTUNMAP:
        return "mremap"
    return "madvise" if what in ADVICE else what
