"""The full walk counted as a checker counts that knows no histories.

Two local states that go on alike are one, a flow has a last step of its own, and where freed memory
is kept does not matter.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rmaplab.checker.program import Call, Scenario
from rmaplab.checker.tables import Tables, WidthExceededError
from rmaplab.machine import Struct, atomic, atomic_inc


class Ended(Struct):
    flows = atomic(0)


def with_last_steps(scenario: Scenario) -> Scenario:
    """Each flow counts itself when it has ended."""
    ended: Any = scenario.machine.static(Ended, "ended")
    last = Call("", "end", lambda: atomic_inc(ended.flows))
    flows = tuple(replace(flow, calls=(*flow.calls, last)) for flow in scenario.flows)
    return replace(scenario, flows=flows)


def count_states(scenario: Scenario) -> int:
    """How many states a full walk has, then."""
    scenario = with_last_steps(scenario)
    scenario.machine.freeze()
    tables = Tables(scenario)
    states = reached(tables)
    caches = tuple(f"{cache.name}:CPU" for cache in scenario.machine.caches)
    kept = [cell.position for cell in tables.varying if not cell.label.startswith(caches)]
    alike = [classes(nodes) for nodes in tables.tries.nodes]
    return len(
        {
            (
                *(alike[column][ord(state[column])] for column in range(tables.columns)),
                *(state[position] for position in kept),
            )
            for state in states
        }
    )


def reached(tables: Tables) -> set[str]:
    """All states, depth first and without any of the walker's code."""
    while True:
        try:
            todo = [tables.start()]
            found = set(todo)
            while todo:
                state = todo.pop()
                for node in tables.runnable(state):
                    stepped = tables.step(state, node.column)
                    if stepped is None:
                        continue
                    after, fault = stepped
                    assert fault is None
                    if after not in found:
                        found.add(after)
                        todo.append(after)
            return found
        except WidthExceededError:
            continue


def classes(nodes: list[Any]) -> list[int]:
    """Of each local state its class: same action, and same classes after the same responses."""
    names = [node.action.number if node.action is not None else -1 for node in nodes]
    while True:
        known: dict[Any, int] = {}
        finer = [
            known.setdefault((names[node.number], _after(node, names)), len(known))
            for node in nodes
        ]
        if len(known) == len(set(names)):
            return finer
        names = finer


def _after(node: Any, names: list[int]) -> tuple[Any, ...]:
    return tuple(
        sorted((repr(response), names[child.number]) for response, child in node.children.items())
    )
