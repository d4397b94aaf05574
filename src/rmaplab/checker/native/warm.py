"""Compile all of `compiled` and keep it on disk: `python -m rmaplab.checker.native.warm`."""

from __future__ import annotations

import fcntl

from rmaplab.checker.exploration import never
from rmaplab.checker.native.ready import folder, stamp
from rmaplab.checker.options import Limits, Native
from rmaplab.checker.program import Call, Flow, Scenario
from rmaplab.checker.tables import Tables
from rmaplab.machine import Struct, spin_lock, spin_unlock
from rmaplab.machine.struct import spinlock
from rmaplab.machine.traced import TracedMachine


class Lockable(Struct):
    """What the smallest scenario is about."""

    lock = spinlock()


def smallest() -> Scenario:
    """Two CPUs that take a lock."""
    machine = TracedMachine(cpus=2)
    item = machine.static(Lockable, "item")

    def take_and_release() -> None:
        spin_lock(item.lock)
        spin_unlock(item.lock)

    calls = (Call("task", "call", take_and_release),)
    machine.freeze()
    return Scenario(machine, (Flow(0, calls), Flow(1, calls)), lambda: None)


def main() -> None:
    """Walk the smallest scenario, unless another process is doing so."""
    with (folder() / "compiling").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp().exists():
            return
        from rmaplab.checker.native.search import NativeSearch

        search = NativeSearch(Tables(smallest()), Native(), Limits(), None, never)
        search.run()
        layout = search.rules.layout
        for half in search.halves:
            half.make_room(10_000)
            half.repack(layout, layout)
        stamp().touch()


if __name__ == "__main__":
    main()
