"""Which processes there are at a step: those from the start, then the children of forks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from rmaplab.errors import InputError
from rmaplab.litmus.model import Step
from rmaplab.litmus.operations import KSMD, ProcessName
from rmaplab.litmus.wording import unknown


class Roster:
    """The processes heard of so far, and those of them that run."""

    def __init__(self, known: Iterable[str], running: Iterable[str]) -> None:
        self.known = dict.fromkeys(known)  # a set that keeps its order
        self.running = dict.fromkeys(running)

    def follow(self, step: Step) -> str | None:
        """Takes note of the step; returns what is wrong with its processes, if anything."""
        if step.process not in (None, KSMD) and step.process not in self.known:
            return unknown("process", step.process, self.known)
        if step.op == "exit" and step.process:
            self.running.pop(step.process, None)
        if step.op == "fork":
            return self._fork(step.args["child"], "fail" in step.args)
        return None

    def _fork(self, child: str, may_fail: bool) -> str | None:
        if child in self.running:
            return f"there is a process `{child}` already: give the child another name"
        self.known[child] = None
        if not may_fail:
            self.running[child] = None
        return None


def new_name_complaint(name: str, names: Collection[str]) -> str | None:
    """What is wrong with declaring this name after the others, if anything."""
    if name in names:
        return f"process `{name}` stands here already: write each name once"
    return ProcessName().complaint(name)


def check_processes(
    processes: Sequence[str],
    setup: Sequence[Step],
    cpus: Mapping[int, Sequence[Step]],
    finally_: Sequence[Step],
) -> Roster:
    """Raises InputError at the first step whose process, or child, cannot be; returns the end."""
    roster = Roster(processes, processes)
    _follow_all(roster, setup)
    if cpus:
        roster = _follow_cpus(roster, cpus)
    _follow_all(roster, finally_)
    return roster


def _follow_all(roster: Roster, steps: Iterable[Step]) -> None:
    for step in steps:
        complaint = roster.follow(step)
        if complaint:
            raise InputError(complaint, step.place)


def _follow_cpus(before: Roster, cpus: Mapping[int, Sequence[Step]]) -> Roster:
    """Each block may name the others' children; a name is free again only where its exit is."""
    children = {cpu: [s.args["child"] for s in cpus[cpu] if s.op == "fork"] for cpu in cpus}
    ends = []
    for cpu, steps in cpus.items():
        others = [name for other in cpus if other != cpu for name in children[other]]
        roster = Roster([*before.known, *others], [*before.running, *others])
        _follow_all(roster, steps)
        ends.append(roster)
    known = [name for end in ends for name in end.known]
    return Roster(known, [name for name in known if all(name in end.running for end in ends)])
