"""What a verdict rests on in one check, and whether a clean one says anything."""

from __future__ import annotations

from rmaplab.checker import protocol
from rmaplab.checker.verdict import CLEAN, VIOLATIONS, Outcome
from rmaplab.litmus.model import Litmus, Step
from rmaplab.runner.scenario import config_of, every_step

#: What every verdict on a kernel rests on; docs/assumptions.md says more.
ALWAYS = (
    *protocol.ASSUMPTIONS,
    "one lock guards all page table entries of an address space",
)

#: What has to happen before a verdict of that kind can be.
NEEDED = {
    "use-after-free": "no object is ever freed",
    "double-free": "no object is ever freed",
    "leak": "no object is ever allocated or freed",
    "refcount-underflow": "no reference is ever dropped",
    "deadlock": "nobody ever waits for a lock",
    "lock-order": "no lock is ever taken while another is held",
    "bad-unlock": "no lock is ever taken",
    "data-race": "no two CPUs touch a common field that is not marked",
    "missed-mapping": "no page table entry ever changes",
    "wrong-data": "no page table entry ever changes",
    "sleep-in-atomic": "no spinlock is ever held, and no RCU read-side section entered",
}


def assumptions_of(litmus: Litmus) -> tuple[str, ...]:
    """What the verdict on a litmus rests on, the set-up, failures and switches included."""
    said = [*ALWAYS]
    if litmus.setup:
        said.append(f"the set-up, {len(litmus.setup)} steps, runs in order before all else")
    failing = [step for step in every_step(litmus) if step.args.get("fail")]
    but = f", but {', '.join(map(_failing, failing))}" if failing else ""
    said.append(f"every allocation succeeds{but}")
    said += [f"the kernel goes on after a {kind}" for kind in litmus.allow]
    said += [f"{name}={'y' if on else 'n'}" for name, on in sorted(config_of(litmus).items())]
    return tuple(said)


def _failing(step: Step) -> str:
    who = f"{step.process}: " if step.process else ""
    return f"allocation {step.args['fail']} of `{who}{step.op}`"


def warnings_of(litmus: Litmus, outcome: Outcome) -> tuple[str, ...]:
    """Why a clean verdict says nothing: what the litmus is about never happened.

    It is about the kinds that it expects of any kernel; if it expects none, about any kind.
    """
    seen = outcome.witness
    if outcome.verdict != CLEAN or seen is None:
        return ()
    said = [] if seen.met else ["no two CPUs touch a common field: their order cannot matter"]
    about = [each.verdict for each in litmus.expect if each.verdict in VIOLATIONS]
    for kind in dict.fromkeys(about):
        if kind not in seen.possible and kind in NEEDED:
            said.append(f"{NEEDED[kind]}: a {kind} could not happen")
    if not about and not set(NEEDED) & set(seen.possible):
        said.append("nothing is allocated, freed, counted, locked or mapped: no verdict could fail")
    return tuple(said)
