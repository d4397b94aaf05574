"""Making each allocation of a call fail in turn, and the places in the kernel where that was."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from traceback import walk_stack
from typing import Any, NamedTuple

import rmaplab
from rmaplab.history import KERNELS
from rmaplab.litmus.reader import read_text
from rmaplab.machine import Machine, list_empty
from rmaplab.machine.context import RUNNING, Context
from rmaplab.machine.direct import DirectMachine
from rmaplab.runner.scenario import config_of, operation, run_step, task_of
from rmaplab.runner.system import System

PACKAGE = Path(rmaplab.__file__).parent
#: What can be made to fail; all else fails because of these.
PRIMITIVES = frozenset({"kmem_cache_alloc", "pte_alloc_map"})
MOST = 100  # allocations of a call

Call = Callable[[System], Any]


class Starving(Context):
    """A flow of control with one allocation that fails, or all from there on.

    It notes the calls that are under way then: file, line, and the name of what is called.
    """

    __slots__ = ("calls", "lasting")

    def __init__(self, machine: Machine, task: str, number: int, lasting: bool) -> None:
        super().__init__(machine, 0, task)
        self.fail_at = number
        self.lasting = lasting
        self.calls: set[tuple[str, int, str]] = set()

    def should_fail(self) -> bool:
        failing = super().should_fail() or (self.lasting and self.allocations > self.fail_at)
        if failing:
            self.calls.update(_calls_under_way())
        return failing

    def will_fail(self) -> bool:
        return super().will_fail() or (self.lasting and self.allocations + 1 > self.fail_at)


class Starved(NamedTuple):
    """A call that ran out of memory: on which system, and where; `again` is the call."""

    system: System
    calls: set[tuple[str, int, str]]
    again: Callable[[], Any]


def starved(
    kernel: str, steps: str, call: Call | None = None, lasting: bool = False
) -> Iterator[Starved]:
    """A call whose first allocation fails, on a fresh system; whose second fails; and so on.

    With `lasting` all that come after it fail too. Without a call it is the last of the steps.
    It ends where there is no allocation to fail.
    """
    for number in range(1, MOST):
        system, task, again = _before(kernel, steps, call)
        with system.machine.running(0, task):
            RUNNING.context = context = Starving(system.machine, task, number, lasting)
            again()
            assert not (context.held or context.atomic or context.rcu), "a lock is left held"
        if not context.calls:
            return
        yield Starved(system, context.calls, again)
    raise AssertionError("it allocates without end")


def _before(kernel: str, text: str, call: Call | None) -> tuple[System, str, Callable[[], Any]]:
    litmus = read_text(f"litmus t\nprocesses A\nsetup\n{text}\n")
    machine = DirectMachine()
    with machine.running(0, "boot"):
        system = System(KERNELS[kernel], machine, litmus.processes, config_of(litmus))
    for step in litmus.setup:
        if step.op == "fork":
            system.declare(step.args["child"])
    steps = litmus.setup if call else litmus.setup[:-1]
    assert [run_step(system, step) for step in steps] == [0] * len(steps)
    if call:
        return system, "A", lambda: call(system)
    return system, task_of(litmus.setup[-1]), operation(system, litmus.setup[-1])


def left(system: System) -> list[str]:
    """What is still allocated when everybody has gone and ksmd has looked twice.

    A stable_node without rmap_items does not count: a search that meets it removes it.
    """
    with system.machine.running(0, "A"):
        for name in [name for name, _ in system.processes()]:
            system.exit(name)
        system.scan(2)
    return [
        system.machine.name_of(item)
        for cache in system.machine.caches
        for item in cache.live()
        if not (cache is system.kernel.stable_node_cache and list_empty(item.hlist))
    ]


# Where


class Site(NamedTuple):
    """A call of a function, or of a primitive, in a function of the kernel."""

    file: str
    function: str
    line: int
    called: str


def sites() -> set[Site]:
    """The calls from which an allocation can be reached, as far as names of functions tell."""
    reaching = _reaching()
    return {
        Site(file, function.name, call.lineno, _called(call))
        for file, tree in _trees().items()
        for function in _functions(tree)
        for call in _calls(function)
        if _called(call) in reaching
    }


@cache
def _trees() -> dict[str, ast.Module]:
    paths = [path for room in ("kernel", "history") for path in (PACKAGE / room).rglob("*.py")]
    return {str(path.relative_to(PACKAGE)): ast.parse(path.read_text()) for path in paths}


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _reaching() -> set[str]:
    called: dict[str, set[str]] = {}
    for tree in _trees().values():
        for function in _functions(tree):
            called.setdefault(function.name, set()).update(map(_called, _calls(function)))
    reaching = set(PRIMITIVES)
    while more := {name for name, names in called.items() if names & reaching} - reaching:
        reaching |= more
    return reaching


def _calls_under_way() -> Iterator[tuple[str, int, str]]:
    called = ""
    for frame, line in walk_stack(None):
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(PACKAGE):
            yield str(path.relative_to(PACKAGE)), line, called
        called = frame.f_code.co_name
