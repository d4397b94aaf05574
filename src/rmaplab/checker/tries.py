"""Local states: what a flow has been told since its current call began.

Nothing of Python's frames is inspected: only the responses identify a local state, because Python
keeps hidden temporaries. Kernel code runs once per distinct question: from a greenlet parked there,
or by calling again with the recorded responses.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import Any

from greenlet import greenlet

from rmaplab.checker.coverage import Lines
from rmaplab.checker.frames import Stack, is_ours, oops, stack_of, stack_of_error
from rmaplab.checker.program import Call, Flow
from rmaplab.machine.cells import Action, key_of
from rmaplab.machine.context import RUNNING, Context
from rmaplab.machine.faults import KernelStateError
from rmaplab.machine.handles import BitLock
from rmaplab.machine.traced import TracedMachine
from rmaplab.machine.traced_locks import TracedSpinLock, is_exclusive

#: Greenlets kept parked at most; each holds a stack.
PARKED = 20_000


class _Ended:
    """What a greenlet gives when its call is over."""

    __slots__ = ("fault", "result", "stack")

    def __init__(self, result: object, fault: KernelStateError | None, stack: Stack) -> None:
        self.result = result
        self.fault = fault
        self.stack = stack


class _Parked:
    """A greenlet waiting for the response to its node's action."""

    __slots__ = ("context", "greenlet")

    def __init__(self, context: Context, body: greenlet) -> None:
        self.context = context
        self.greenlet = body


class Node:
    """A local state of a flow, and the action that it does next.

    `future_reads` and `future_writes` are masks of all cells that the flow may yet touch,
    as far as is known; `bound` is a mask of the objects that it accesses after this action,
    whatever comes. `turns_back`: a loop begins anew after its action, and may have changed
    nothing. `in_section`: its CPU is in an RCU read-side section.
    `locks` are those held that nobody else can release; `before` says, by the cell of such a lock,
    what the flow may touch before it takes it, if it ever does.
    """

    __slots__ = (
        "action",
        "before",
        "bound",
        "call",
        "children",
        "column",
        "fault",
        "finished",
        "future_reads",
        "future_writes",
        "held",
        "in_section",
        "locks",
        "number",
        "parent",
        "parked",
        "predecessors",
        "response",
        "stack",
        "turns_back",
    )

    def __init__(self, column: int, number: int, call: int) -> None:
        self.column = column
        self.number = number
        self.call = call
        self.action: Action | None = None
        self.children: dict[Any, Node] = {}
        self.parent: Node | None = None
        self.response: Any = None
        self.parked: _Parked | None = None
        self.fault: KernelStateError | None = None
        self.finished = False
        self.turns_back = False
        self.held: tuple[Any, ...] = ()  # the locks, in the order taken
        self.locks: tuple[TracedSpinLock, ...] = ()
        self.before: dict[int, tuple[int, int]] = {}
        self.stack: Stack = ()
        self.predecessors: list[Node] = []
        self.future_reads = 0
        self.future_writes = 0
        self.bound = -1
        self.in_section = False


class Tries:
    """The local states of all flows, discovered on demand."""

    def __init__(
        self, machine: TracedMachine, flows: tuple[Flow, ...], lines: Lines | None = None
    ) -> None:
        self.machine = machine
        self._trace = lines.trace if lines is not None else None
        self.flows = flows
        self.nodes: list[list[Node]] = [[] for _ in flows]
        self._roots: dict[tuple[int, int], Node] = {}
        self._parked: deque[Node] = deque()
        #: The flows of which a local state turns back.
        self.looping: set[int] = set()
        #: Local states with a new action or successor since somebody emptied this.
        self.fresh: list[Node] = []

    def root(self, column: int, call: int) -> Node:
        """The local state in which a flow begins its n-th call."""
        found = self._roots.get((column, call))
        if found is not None:
            return found
        if call == len(self.flows[column].calls):
            node = self._new(column, call)
            node.finished = True
        else:
            parked, given = self._start(column, call)
            if isinstance(given, _Ended) and given.fault is None:
                # It did nothing to shared state: going on with it would never end.
                node = self.root(column, max(call + 1, self._after(column, call, given.result)))
            else:
                node = self._new(column, call)
                self._fill(node, parked, given)
        self._roots[column, call] = node
        return node

    def child(self, node: Node, response: Any) -> Node:
        """The local state after the node's action was answered with `response`."""
        key = key_of(response)
        found = node.children.get(key)
        if found is None:
            found = node.children[key] = self._discover(node, response)
            found.predecessors.append(node)
            self.fresh.append(node)
            if found.parent is None and not found.finished and found.call <= node.call:
                node.turns_back |= not _made_progress(node)
                if node.turns_back:
                    self.looping.add(node.column)
        return found

    def _after(self, column: int, call: int, result: object) -> int:
        """Which call comes after one that ended."""
        done = self.flows[column].calls[call]
        if done.repeat and result is True:
            return call
        return call + 1 + (done.skip if result is False else 0)

    def _new(self, column: int, call: int) -> Node:
        nodes = self.nodes[column]
        node = Node(column, len(nodes), call)
        nodes.append(node)
        self.fresh.append(node)
        return node

    def _discover(self, node: Node, response: Any) -> Node:
        parked = node.parked if node.parked is not None else self._replay(node)
        node.parked = None
        given = self._resume(parked, response)
        if isinstance(given, _Ended) and given.fault is None:
            return self.root(node.column, self._after(node.column, node.call, given.result))
        child = self._new(node.column, node.call)
        child.parent, child.response = node, response
        self._fill(child, parked, given)
        return child

    def _fill(self, node: Node, parked: _Parked, given: Any) -> None:
        node.held = tuple(parked.context.held)
        if isinstance(given, _Ended):
            node.fault, node.stack = given.fault, given.stack
            return
        node.action = given
        node.stack = stack_of(parked.greenlet.gr_frame)
        node.in_section = parked.context.rcu > 0
        node.locks = tuple(lock for lock in node.held if is_exclusive(lock))
        node.parked = parked
        self._parked.append(node)
        if len(self._parked) > PARKED:
            self._parked.popleft().parked = None

    def _start(self, column: int, call: int) -> tuple[_Parked, Any]:
        flow = self.flows[column]
        chosen = flow.calls[call]
        context = Context(self.machine, flow.cpu, chosen.task)
        context.fail_at = chosen.fail
        parked = _Parked(context, greenlet(_body(chosen)))
        return parked, self._resume(parked)

    def _resume(self, parked: _Parked, *response: Any) -> Any:
        RUNNING.context = parked.context
        self.machine.exploring = True
        if self._trace is not None:
            sys.settrace(self._trace)
        try:
            return parked.greenlet.switch(*response)
        finally:
            self.machine.exploring = False
            if self._trace is not None:
                sys.settrace(None)

    def _replay(self, node: Node) -> _Parked:
        """A greenlet brought to a node anew."""
        path = []
        step: Node | None = node
        while step is not None and step.parent is not None:
            path.append(step)
            step = step.parent
        parked, given = self._start(node.column, node.call)
        for step in reversed(path):
            given = self._resume(parked, step.response)
        assert given is node.action, "kernel code asked another question when replayed"
        return parked


def _made_progress(node: Node) -> bool:
    """Whether the call allocated or freed memory up to here: no state comes back after that."""
    step: Node | None = node
    while step is not None:
        if step.action is not None and step.action.name in ("alloc", "free"):
            return True
        step = step.parent
    return False


def _let_all_go(context: Context) -> None:
    """Complain if a call returns with a lock; one in a bit may be another's to release."""
    if context.rcu:
        raise KernelStateError("bad-unlock", "the call returns in an RCU read-side section")
    for lock in context.held:
        if not isinstance(lock, BitLock):
            message = f"the call returns with {lock.label()} held"
            raise KernelStateError("bad-unlock", message, lock.owner, lock.field)


def _body(call: Call) -> Any:
    def run() -> _Ended:
        try:
            result = call.run()
            _let_all_go(RUNNING.context)
            return _Ended(result, None, ())
        except KernelStateError as error:
            stack = stack_of_error(error)
            return _Ended(None, error.with_traceback(None), stack)
        except Exception as error:  # kernel code that raises: an oops of the modelled kernel
            if is_ours(error):
                raise
            return _Ended(None, oops(error), stack_of_error(error))

    return run
