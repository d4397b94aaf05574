"""What a walk finds wrong: each cause once, where it was first met."""

from __future__ import annotations

from dataclasses import dataclass

from rmaplab.checker.frames import kernel_frames
from rmaplab.checker.tries import Node
from rmaplab.machine.faults import KernelStateError

#: What makes two findings one: the kind, the functions of kernel code, the struct concerned.
Cause = tuple[str, ...]


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
        return fault.kind, *(_place(node) for node in nodes)
    if fault.kind in ("use-after-free", "double-free", "data-race"):
        what = type(subject).__name__  # whichever field is met first
    if fault.kind == "double-free":
        return fault.kind, what  # which of the two frees is the second one is chance
    depth = 1 if fault.kind == "data-race" else 2
    return fault.kind, what, *sorted(_functions(node, depth) for node in nodes)


def _functions(node: Node, depth: int) -> str:
    return " < ".join(frame.function for frame in kernel_frames(node.stack)[:depth])


def _place(node: Node) -> str:
    frames = kernel_frames(node.stack)
    return frames[0].source if frames else ""
