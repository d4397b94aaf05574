"""Who runs: the CPU, the task, what it holds. One per flow of control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rmaplab.machine.faults import KernelStateError

if TYPE_CHECKING:
    from rmaplab.machine.machine import Machine


class Context:
    """One flow of control: a system call of a task on a CPU, or the set-up."""

    __slots__ = ("allocations", "atomic", "cpu", "fail_at", "held", "machine", "rcu", "task")

    def __init__(self, machine: Machine, cpu: int = 0, task: str = "") -> None:
        self.machine = machine
        self.cpu = cpu
        self.task = task
        self.held: list[Any] = []  # lock handles, in the order taken
        self.atomic = 0  # spinlocks held
        self.rcu = 0
        self.allocations = 0
        self.fail_at = 0  # let this allocation fail, counted from 1; 0 is none

    def should_fail(self) -> bool:
        """Count an allocation, and whether it is the one to fail."""
        self.allocations += 1
        return self.allocations == self.fail_at

    def will_fail(self) -> bool:
        """Whether the next allocation is the one to fail."""
        return self.allocations + 1 == self.fail_at

    def let_go(self, lock: Any) -> None:
        """Forget a lock, as a rule the one that was taken last."""
        held = self.held
        if held and held[-1] is lock:
            del held[-1]
        else:
            held.remove(lock)

    def might_sleep(self, what: str) -> None:
        """Complain if this may not sleep now: a spinlock or an RCU read-side section is held."""
        if self.atomic or self.rcu:
            depth = f"preempt_count: {self.atomic}, RCU nest depth: {self.rcu}, expected: 0, 0"
            raise KernelStateError("sleep-in-atomic", f"{what} may sleep; {depth}")


class _Running:
    """Holds the running context; a plain attribute is the fastest place for it."""

    __slots__ = ("context",)

    context: Context


RUNNING = _Running()


def current() -> Context:
    """The running context."""
    return RUNNING.context
