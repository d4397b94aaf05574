"""What a walk finds wrong: each cause once, where it was first met."""

from __future__ import annotations

from dataclasses import dataclass

from rmaplab.checker.frames import kernel_frames
from rmaplab.checker.tries import Node
from rmaplab.machine.faults import KernelStateError

#: What makes two findings one: the kind, and the lines of kernel code or the struct concerned.
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
    """The cause of a fault: its kind and the lines of the flows concerned.

    Of a wrong end, with no flow concerned, the struct and the message's subject.
    """
    if not nodes:
        subject = fault.subject
        return fault.kind, type(subject).__name__ if subject is not None else fault.message
    return fault.kind, *sorted(line_of(node) for node in nodes)


def line_of(node: Node) -> str:
    """The line of kernel code in which a flow is."""
    frames = kernel_frames(node.stack)
    return frames[0].source if frames else ""
