"""The anon_vma root-reference protocol of 2.6.35, cut down to one page: the bench of checkers.

    python benchmarks/protocol.py S4 FIXED [--full] [--first] [--json]

The same protocol, step by step, as the models in benchmarks/peers; benchmarks/README.md says where
their steps differ.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from anon_vma import PTE_PRESENT, VARIANTS, Before

from rmaplab.checker.check import SetupRecorder, check
from rmaplab.checker.options import EVERY, NONE, Options
from rmaplab.checker.program import Call, Flow, Scenario
from rmaplab.checker.verdict import CLEAN, Outcome
from rmaplab.machine import atomic_inc
from rmaplab.machine.traced import TracedMachine

#: Of each scenario: who is forked from whom beforehand, who owns the page, what each CPU does.
SCENARIOS = {
    "S1": ("PC", ("exit P", "exit C", "ksmd")),
    "S2": ("PC", ("exit P", "exit C", "ksmd", "migrate")),
    "S3": ("PCG", ("exit P", "exit C", "exit G", "ksmd")),
    "S4": ("PCG", ("exit P", "exit C", "exit G", "ksmd", "migrate")),
    "S5": ("PC", ("fork P D; exit P; exit D", "exit C", "ksmd", "migrate")),
}


def build(scenario: str, variant: str) -> Scenario:
    """The protocol after its set-up, and what runs on it."""
    line, cpus = SCENARIOS[scenario]
    machine = TracedMachine(len(cpus))
    recorder = machine.observer = SetupRecorder()
    kernel = VARIANTS[variant](machine, line[-1])
    with machine.running(0, "setup"):
        _set_up(kernel, line)
    machine.observer = None
    flows = tuple(
        Flow(cpu, tuple(call for step in steps.split("; ") for call in _calls(kernel, step)))
        for cpu, steps in enumerate(cpus)
    )
    return Scenario(machine, flows, kernel.check_end, recorder.events)


def _set_up(kernel: Before, line: str) -> None:
    processes = [kernel.processes[name] for name in line]
    processes[0].mm_users = 1
    kernel.anon_vma_prepare(processes[0])
    for parent, child in pairwise(processes):
        kernel.anon_vma_fork(child, parent)
    kernel.page.mapping = kernel.owner.anon_vma
    kernel.page.pte = PTE_PRESENT
    atomic_inc(kernel.page.mapcount)


def _calls(kernel: Before, step: str) -> list[Call]:
    """The calls that a step is made of; a loop of calls forgets what its turns were told."""
    name, *operands = step.split()
    named = [kernel.processes[operand] for operand in operands]
    if name == "fork":
        parent, child = named
        return [Call(operands[0], "fork", lambda: kernel.anon_vma_fork(child, parent))]
    if name == "exit":
        process, task = named[0], operands[0]
        return [
            Call(task, "exit", lambda: kernel.exit_mm(process)),
            Call(task, "exit", lambda: kernel.unlink_first(process), repeat=True),
        ]
    body: Callable[[], Any] = getattr(kernel, name)
    return [Call(name, name, body)]


def document(scenario: str, variant: str, outcome: Outcome) -> dict[str, Any]:
    """What `--json` prints; a trace's length is its number of steps."""
    return {
        "scenario": scenario,
        "variant": variant,
        "verdict": outcome.verdict,
        "complete": outcome.complete,
        "states": outcome.states,
        "transitions": outcome.transitions,
        "seconds": round(outcome.seconds, 3),
        "violations": [
            {"kind": each.kind, "message": each.message, "length": len(each.trace)}
            for each in outcome.violations
        ],
    }


def main(arguments: list[str] | None = None) -> int:
    """Check one configuration; exit status 1 if it has a violation."""
    parser = argparse.ArgumentParser(description="Check the protocol with rmaplab.")
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("--full", action="store_true", help="every interleaving, no reduction")
    parser.add_argument("--first", action="store_true", help="stop at the first violation")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    options = Options(reductions=NONE if chosen.full else EVERY, first=chosen.first)
    outcome = check(build(chosen.scenario, chosen.variant), options)
    found = document(chosen.scenario, chosen.variant, outcome)
    if chosen.json:
        print(json.dumps(found))
    else:
        print("{verdict}, {states} states, {transitions} transitions".format(**found))
        for each in found["violations"]:
            print("  {kind} after {length} steps: {message}".format(**each))
    return 0 if outcome.verdict == CLEAN else 1


if __name__ == "__main__":
    sys.exit(main())
