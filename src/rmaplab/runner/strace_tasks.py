"""Who lives in a strace log, and the order of events: a fork before all that its child does."""

from __future__ import annotations

from rmaplab.runner.strace_calls import Event, Exec, Exit, Fork


class Tasks:
    """The tasks of a log.

    The first events of a child can come before the call that made it returns. While such a call is
    under way, the events of an unknown task are held; its Fork lets them go.
    """

    def __init__(self) -> None:
        self.alive: set[int] = set()
        self.gone: set[int] = set()  # has had its Exit; strace may have more to say of it
        self.forking: set[int] = set()  # has a call under way that makes tasks
        self.held: dict[int, list[Event]] = {}
        self.leader: dict[int, int] = {}  # of each thread
        self.threads: dict[int, set[int]] = {}  # of each leader that has any, itself not among them

    def meet(self, pid: int) -> None:
        """The log names this task; it may be for the first time."""
        if pid in self.alive or pid in self.gone:
            return
        self.alive.add(pid)
        if self.forking:
            self.held[pid] = []

    def put(self, event: Event) -> list[Event]:
        """The events that may be told now that this one is known."""
        if isinstance(event, Fork):
            return self._fork(event)
        if isinstance(event, Exec):
            return [*self._end_others(event.pid), *self._tell(event)]
        if isinstance(event, Exit):
            self.alive.discard(event.pid)
            self.gone.add(event.pid)
        return self._tell(event)

    def end_process(self, pid: int) -> list[Event]:
        """The task ends, and every thread of its process with it."""
        return [*self._end_others(pid), *self.put(Exit(pid))]

    def bury(self, pid: int) -> list[Event]:
        """Strace has told the end of the task and will not name it again."""
        ready = [] if pid in self.gone else self.put(Exit(pid))
        self.gone.discard(pid)
        self._join(pid, None)
        return ready

    def settle(self, pid: int) -> list[Event]:
        """A call that makes tasks is over. After the last, nobody held is a child."""
        self.forking.discard(pid)
        return [] if self.forking else self.release()

    def release(self) -> list[Event]:
        """Everything held."""
        queues = {id(queue): queue for queue in self.held.values()}
        self.held.clear()
        return [event for queue in queues.values() for event in queue]

    def _end_others(self, pid: int) -> list[Event]:
        """Every other thread of the task's process ends."""
        leader = self.leader.get(pid, pid)
        others = {leader, *self.threads.get(leader, ())} & self.alive
        return [event for one in sorted(others - {pid}) for event in self.put(Exit(one))]

    def _join(self, pid: int, leader: int | None) -> None:
        """The task is a thread of that process, or of none."""
        before = self.leader.pop(pid, None)
        if before is not None:
            self.threads[before].discard(pid)
            if not self.threads[before]:
                del self.threads[before]
        if leader is not None:
            self.leader[pid] = leader
            self.threads.setdefault(leader, set()).add(pid)

    def _tell(self, event: Event) -> list[Event]:
        queue = self.held.get(event.pid)
        if queue is None:
            return [event]
        queue.append(event)
        return []

    def _fork(self, event: Fork) -> list[Event]:
        child = event.child
        if child not in self.held:
            self.gone.discard(child)
            self.alive.add(child)
        self._join(child, self.leader.get(event.pid, event.pid) if event.vm_shared else None)
        told = [event, *self._claim(child, self.held.get(event.pid))]
        queue = self.held.get(event.pid)
        if queue is None:
            return told
        queue += told
        return []

    def _claim(self, child: int, queue: list[Event] | None) -> list[Event]:
        """What the child and its own children did so far; from now on they go with `queue`."""
        early = self.held.get(child, [])
        for pid in [child, *(pid for pid, held in self.held.items() if held is early)]:
            self.held.pop(pid, None)
            if queue is not None:
                self.held[pid] = queue
        return early
