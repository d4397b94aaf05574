"""Protocols of anybody's own: a class that says what is there, what runs, and what must hold."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any, ClassVar

from rmaplab.checker.check import SetupRecorder, check
from rmaplab.checker.exploration import Progress
from rmaplab.checker.frames import is_ours, oops
from rmaplab.checker.options import Options
from rmaplab.checker.program import Call, Flow, Scenario
from rmaplab.checker.verdict import CLEAN, VERDICTS, Outcome, Result, Violation
from rmaplab.errors import InputError
from rmaplab.machine.faults import KernelStateError
from rmaplab.machine.machine import KmemCache
from rmaplab.machine.struct import Struct
from rmaplab.machine.traced import TracedMachine

#: What every verdict rests on; docs/assumptions.md says more.
ASSUMPTIONS = (
    "memory is sequentially consistent, and nothing interrupts a CPU",
    "one access to a field, lock, count, list, tree or page table entry is one step",
)


class Protocol:
    """Derive from it, and `rmaplab protocol FILE.py` checks every interleaving of the class.

    `setup` makes what is there before; `cpus` names the methods that then run at once, each on a
    CPU of its own (`"insert; remove"` is one after the other); `check_end` is asked when all have
    finished. What any of them raises is a verdict; `expect` is the one that the class should have.
    Methods are kernel code: deterministic, and what they share lives in fields of structs.
    """

    cpus: ClassVar[tuple[str, ...]] = ()
    expect: ClassVar[str] = CLEAN
    _set_up = False

    def __init__(self, machine: TracedMachine) -> None:
        self.machine = machine

    def __setattr__(self, name: str, value: object) -> None:
        """Attributes are for the set-up: a walk that goes back cannot take them back."""
        if self._set_up:
            where = f"{type(self).__name__}.{name} is set while the CPUs run"
            raise KernelStateError("bug-on", f"{where}: what changes has to be a field of a struct")
        super().__setattr__(name, value)

    def setup(self) -> None:
        """Done in order, before anything else."""

    def check_end(self) -> None:
        """Raise KernelStateError unless all is well; as it is, for whatever is still allocated."""
        for cache in self.machine.caches:
            for item in cache.live():
                raise KernelStateError("leak", f"{item.name()} is left", item)

    def kmem_cache_create(
        self,
        name: str,
        struct: type[Struct],
        flags: int = 0,
        ctor: Callable[[Any], None] | None = None,
    ) -> KmemCache:
        """A slab cache, to allocate from and free to."""
        return self.machine.kmem_cache_create(name, struct, flags, ctor)

    def static(self, struct: type[Struct], name: str) -> Any:
        """A global variable."""
        return self.machine.static(struct, name)


def build(protocol: type[Protocol]) -> Scenario:
    """The protocol after its set-up; InputError where the class does not say what runs.

    KernelStateError where the set-up goes wrong, also where it raises anything else.
    """
    turns = _turns(protocol)
    machine = TracedMachine(len(turns))
    recorder = SetupRecorder()
    machine.observer = recorder
    made = protocol(machine)
    with machine.running(0, "setup"):
        _ask(made.setup)
        made._set_up = True
    machine.observer = None
    flows = tuple(
        Flow(cpu, tuple(Call(names[0], name, getattr(made, name)) for name in names))
        for cpu, names in enumerate(turns)
    )
    return Scenario(machine, flows, lambda: _ask(made.check_end), recorder.events)


def _turns(protocol: type[Protocol]) -> list[list[str]]:
    """The methods that each CPU calls."""
    name = protocol.__name__
    if not isinstance(protocol.cpus, tuple) or not protocol.cpus:
        raise InputError(f'{name}: say what runs at once, as in cpus = ("reader", "writer")')
    if protocol.expect not in VERDICTS:
        raise InputError(
            f"{name}: expect = {protocol.expect!r}: write one of {', '.join(VERDICTS)}"
        )
    turns = [[each.strip() for each in str(names).split(";")] for names in protocol.cpus]
    for called in (each for names in turns for each in names):
        if not callable(getattr(protocol, called, None)):
            own = ", ".join(key for key, item in vars(protocol).items() if callable(item))
            raise InputError(f"{name}: cpus names `{called}`, which is no method of it: {own}")
    return turns


def _ask(method: Callable[[], None]) -> None:
    """Call the user's code: what it raises is a verdict."""
    try:
        method()
    except KernelStateError:
        raise
    except Exception as error:
        if is_ours(error):
            raise
        raise oops(error) from error


def check_protocol(
    protocol: type[Protocol],
    options: Options | None = None,
    progress: Progress | None = None,
    cover: bool = False,
) -> Result:
    """Check a protocol, as checker.check does; the result has its name and its file's."""
    try:
        outcome = check(build(protocol), options, progress, cover)
    except KernelStateError as fault:
        violation = Violation(fault.kind, f"in the set-up: {fault.message}")
        outcome = Outcome(fault.kind, False, 0, 0, 0.0, (violation,))
    file = os.path.basename(inspect.getfile(protocol))
    return Result(protocol.__name__, file, outcome, protocol.expect, ASSUMPTIONS, is_protocol=True)
