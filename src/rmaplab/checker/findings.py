"""What a walk finds wrong: each cause once, where it was first met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rmaplab.checker.frames import kernel_frames
from rmaplab.checker.lock_order import BLOCKING, lock_of
from rmaplab.checker.tries import Node
from rmaplab.machine.faults import KernelStateError

#: What makes two findings one: the kind, the functions of kernel code, the struct concerned.
Cause = tuple[str, ...]


WAITING = BLOCKING | {"lock_page", "wait_on_page_locked"}


@dataclass(frozen=True)
class Finding:
    """A wrong state: the columns of the steps that lead there, and what is wrong."""

    fault: KernelStateError
    path: tuple[int, ...]
    #: Flows whose next action belongs to the finding: both sides of a race, all of a deadlock.
    pending: tuple[int, ...] = ()
    at_end: bool = False

    @property
    def is_race(self) -> bool:
        """Whether the kernel goes on after it."""
        return self.fault.kind == "data-race"


def cause_of(fault: KernelStateError, nodes: tuple[Node, ...]) -> Cause:
    """The cause of a fault, as whoever sorts the kernel's reports tells one bug from another.

    A BUG_ON by its line, a race by its two functions, the rest by the function and its caller, as
    helpers have many callers. Of a wrong end, where no flow is concerned, the struct.
    """
    subject = fault.subject
    what = f"{type(subject).__name__}.{fault.field}" if subject is not None else ""
    if not nodes:
        return fault.kind, what or fault.message
    if fault.kind == "bug-on":
        return fault.kind, *(line_of(node) for node in nodes)
    if fault.kind in ("use-after-free", "double-free", "data-race"):
        what = type(subject).__name__  # whichever field is met first
    if fault.kind == "double-free":
        return fault.kind, what  # which of the two frees is the second one is chance
    depth = 1 if fault.kind == "data-race" else 2
    return fault.kind, what, *sorted(_functions(node, depth) for node in nodes)


def essential(nodes: list[Node]) -> list[Node]:
    """Of flows that all wait: those that wait for each other, without whoever queues behind them.

    All of them where the lock is of nobody who waits.
    """
    left = nodes
    while True:
        wanted = {lock for node in left if (lock := _waited(node)) is not None}
        holders = [node for node in left if wanted.intersection(node.held)]
        if len(holders) == len(left):
            return left or nodes
        left = holders


def _waited(node: Node) -> Any:
    action = node.action
    return lock_of(action) if action is not None and action.name in WAITING else None


def _functions(node: Node, depth: int) -> str:
    """The innermost functions; a call that has ended is in none."""
    frames = kernel_frames(node.stack)[:depth]
    return " < ".join(frame.function for frame in frames) or f"{node.column}: call {node.call}"


def side_of_race(node: Node) -> tuple[str, str]:
    """What of a flow's next action tells the cause of a race: the struct, and the function."""
    action = node.action
    return type(action.ref if action is not None else None).__name__, _functions(node, 1)


def line_of(node: Node) -> str:
    """The line of kernel code in which a flow is."""
    frames = kernel_frames(node.stack)
    return frames[0].source if frames else ""
