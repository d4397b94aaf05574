"""From a litmus and a kernel to what the checker explores."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from rmaplab.checker.check import SetupRecorder
from rmaplab.checker.frames import is_ours, oops
from rmaplab.checker.program import Call, Flow, Scenario
from rmaplab.errors import InputError, Place
from rmaplab.kernel.compaction import Compaction
from rmaplab.kernel.fault import RETRY
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.migrate import FORCE_FROM_PASS, MIGRATE_PASSES
from rmaplab.litmus.model import Litmus, Step
from rmaplab.machine import KernelStateError, Machine
from rmaplab.machine.traced import TracedMachine
from rmaplab.runner.activities import CompactTurns
from rmaplab.runner.places import Access
from rmaplab.runner.system import System
from rmaplab.runner.truths import check_bound, check_truths

#: Who does a step that no process does.
DAEMONS = {
    "scan": "ksmd",
    "compact": "kcompactd",
    "migrate": "kmigrated",
    "reclaim": "kswapd",
    "swap_out": "kswapd",
    "walk": "kmigrated",
}

#: What `allow` can mean.
SURVIVABLE = ("use-after-free", "refcount-underflow")
SWITCHES = ("CONFIG_KSM", "CONFIG_MIGRATION", "CONFIG_SWAP")
#: Steps that need a swap device.
SWAPPING = ("swap_out", "swap_in", "swapoff", "swapon")
#: Knobs of KSM that a litmus begins with, as recorded cases do, unless it says otherwise.
DEFAULT_KNOBS = {"smart_scan": 0}


def build(litmus: Litmus, kernel: type[Kernel]) -> Scenario:
    """Run the set-up in order, and prepare the flows.

    Raises KernelStateError if the set-up itself goes wrong, InputError for a step that the model
    does not have.
    """
    check_steps(litmus)
    cpus = max([1, *(cpu + 1 for cpu in litmus.cpus)])
    machine = TracedMachine(cpus, frozenset(litmus.allow))
    recorder = SetupRecorder()
    machine.observer = recorder
    system = boot(litmus, kernel, machine)
    for step in litmus.setup:
        run_step(system, step)
        check_bound(system)
    machine.observer = None
    flows = [
        Flow(cpu, tuple(call for step in steps for call in calls_of(system, step)))
        for cpu, steps in sorted(litmus.cpus.items())
    ]
    closing = tuple(call for step in litmus.finally_ for call in calls_of(system, step))
    if closing or not flows:
        flows.append(Flow(0, closing, last=bool(flows)))
    return Scenario(machine, tuple(flows), lambda: check_truths(system), recorder.events)


def boot(litmus: Litmus, kernel: type[Kernel], machine: Machine) -> System:
    """The system that a litmus begins with. A knob that the kernel does not have is left out."""
    with machine.running(0, "boot"), oopses():
        system = System(kernel, machine, litmus.processes, config_of(litmus), litmus.bound)
        if litmus.pageblock is not None and isinstance(system.kernel, Compaction):
            system.kernel.pageblock_nr_pages = litmus.pageblock
        for knob, number in {**DEFAULT_KNOBS, **litmus.ksm}.items():
            system.set(knob, number)
    for step in every_step(litmus):
        if step.op == "fork":
            system.declare(step.args["child"])
        system.may_inherit_less |= (
            "growsdown" in step.args
            or step.op == "new_stack"
            or step.args.get("advice") == "wipeonfork"
        )
    return system


def every_step(litmus: Litmus) -> list[Step]:
    """All steps of a litmus, block after block."""
    blocks = [litmus.setup, *litmus.cpus.values(), litmus.finally_]
    return [step for block in blocks for step in block]


def config_of(litmus: Litmus) -> dict[str, bool]:
    """The switches of a litmus: one that swaps has a swap device, unless it says otherwise.

    Without a device there are fewer steps, so a scenario that swaps nothing has none.
    """
    swaps = any(step.op in SWAPPING for step in every_step(litmus))
    return {**({"CONFIG_SWAP": True} if swaps else {}), **litmus.config}


def check_steps(litmus: Litmus) -> None:
    """Raise InputError for a step or a switch that this version of the model does not have."""
    for switch in litmus.config:
        if switch not in SWITCHES:
            message = (
                f"{switch} is not modelled: write {', '.join(SWITCHES[:-1])} or {SWITCHES[-1]}"
            )
            raise InputError(message, Place(litmus.path))
    for violation in litmus.allow:
        if violation not in SURVIVABLE:
            message = f"no run goes on after {violation}: allow {' or '.join(SURVIVABLE)}"
            raise InputError(message, Place(litmus.path))
    for step in every_step(litmus):
        if step.op == "pin" and step not in litmus.setup:
            raise InputError("pages are pinned in the set-up: move `pin` there", step.place)
    _check_exits(litmus)
    _check_new_stacks(litmus)


def _acts(step: Step, process: str | None) -> bool:
    """Whether the process itself does the step."""
    return step.process == process is not None and step.op not in (*DAEMONS, "unpin")


def _check_exits(litmus: Litmus) -> None:
    """A process has one thread: it cannot go on elsewhere while it exits."""
    where = {
        (step.process, cpu)
        for cpu, steps in litmus.cpus.items()
        for step in steps
        if _acts(step, step.process)
    }
    for cpu, steps in litmus.cpus.items():
        for step in steps:
            others = [other for name, other in where if name == step.process and other != cpu]
            if step.op in ("exit", "exec") and others:
                message = f"{step.process} cannot {step.op} on CPU{cpu} and act on CPU{min(others)}"
                raise InputError(f"{message}: it has one thread, move its steps", step.place)


def _check_new_stacks(litmus: Litmus) -> None:
    """Who has built a stack is in the middle of exec."""
    steps = every_step(litmus)
    for number, step in enumerate(steps):
        if step.op != "new_stack":
            continue
        if number >= len(litmus.setup):
            raise InputError("a stack is built in the set-up: move `new_stack` there", step.place)
        own = (after.op for after in steps[number + 1 :] if _acts(after, step.process))
        if next(own, None) != "exec":
            message = f"{step.process} is in exec from here on: let its next step be `exec`"
            raise InputError(message, step.place)


def check_end(litmus: Litmus) -> None:
    """Raise InputError where the end declared cannot be: nothing is left, but who is `alive`."""
    steps = every_step(litmus)
    born = [*litmus.processes, *(step.args["child"] for step in steps if step.op == "fork")]
    gone = {step.process for step in steps if step.op == "exit"}
    for name in dict.fromkeys(born):
        if (name in litmus.alive) == (name in gone):
            if name in gone:
                message = f"{name} exits: leave it out of `end alive`"
            else:
                message = f"{name} never exits: let it, or write `end alive {name}`"
            raise InputError(message, Place(litmus.path))


def operation(system: System, step: Step) -> Callable[[], Any]:
    """The step as a function without operands."""
    method = getattr(system, step.op)
    operands = {key: item for key, item in step.args.items() if key != "fail"}
    if "p" in inspect.signature(method).parameters:
        operands["p"] = step.process
    return lambda: method(**operands)


def task_of(step: Step) -> str:
    """Who does a step."""
    return DAEMONS.get(step.op) or step.process or "kernel"


def run_step(system: System, step: Step, cpu: int = 0) -> int:
    """Do a step in order; its result, 0 or a negative error number."""
    with system.machine.running(cpu, task_of(step)) as context:
        context.fail_at = step.args.get("fail", 0)
        with oopses():
            return int(operation(system, step)())


@contextmanager
def oopses() -> Iterator[None]:
    """Kernel code that raises here is a `bug-on` with its place."""
    try:
        yield
    except (KernelStateError, InputError):
        raise
    except Exception as error:
        if is_ours(error):
            raise
        raise oops(error) from error


def calls_of(system: System, step: Step) -> list[Call]:
    """The calls that a step is made of, for the checker.

    A migration, reclaim or walk is of the frame that is there when the concurrent part begins, as
    compaction and reclaim look at frames, not at processes.
    """
    task, fail = task_of(step), step.args.get("fail", 0)
    if step.op == "scan":
        passes = step.args.get("k", 1)
        return [Call(task, "scan", system.scan_step, repeat=True, fail=fail)] * passes
    if step.op == "compact" and system.compacts():
        turns = system.machine.static(CompactTurns, "compact_control")
        return [Call(task, "compact", partial(system.compact_turn, turns), repeat=True, fail=fail)]
    if step.op in ("migrate", "reclaim", "swap_out", "walk"):
        return [
            call
            for number in range(step.args.get("n", 1))
            for call in _frame_calls(system, step, number)
        ]
    if step.op in ("write", "poke", "read", "fault", "swap_in"):
        return _access_calls(system, step, task, fail)
    return [Call(task, step.op, operation(system, step), fail=fail)]


def _access_calls(system: System, step: Step, task: str, fail: int) -> list[Call]:
    """The tries at each page: a fault is a kernel entry of its own, so each is a call."""
    operands = {key: item for key, item in step.args.items() if key != "fail"}
    accesses = system.accesses(step.op, **operands)
    return [
        Call(
            task,
            step.op,
            partial(_try_access, system, task, access),
            repeat=True,
            skip=len(accesses) - 1 - access.number,
            fail=fail,
        )
        for access in accesses
    ]


def _try_access(system: System, task: str, access: Access) -> bool | None:
    """True to try again, False after an error, which ends the step."""
    done = system.try_access(task, access)
    if done is RETRY:
        return True
    return False if done else None


def _frame_calls(system: System, step: Step, number: int) -> list[Call]:
    assert step.process is not None and isinstance(system.machine, TracedMachine)
    task, fail = task_of(step), step.args.get("fail", 0)
    with system.machine.observing():
        page = system.page_at(step.process, step.args["at"] + number)
    if step.op == "migrate":
        return _migration(system, page, task, fail)
    method = getattr(system, f"{step.op}_page")
    return [Call(task, step.op, lambda: method(page), fail=fail)]


def _migration(system: System, page: Any, task: str, fail: int) -> list[Call]:
    """migrate_pages() of one page, each of its passes a call, so that a pass forgets the others."""
    passes = [
        Call(
            task,
            "migrate",
            partial(system.migrate_pass, page, number >= FORCE_FROM_PASS),
            skip=MIGRATE_PASSES - number,
            fail=fail,
        )
        for number in range(MIGRATE_PASSES)
    ]
    isolate = Call(task, "isolate", partial(system.isolate, page), skip=MIGRATE_PASSES + 1)
    putback = Call(task, "putback", partial(system.putback, page))
    return [isolate, *passes, putback]
