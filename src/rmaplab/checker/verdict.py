"""What a check says: the verdict, and everything a report tells about it.

This is the only thing that passes from the checker to the reports.
"""

from __future__ import annotations

from dataclasses import dataclass, field

CLEAN = "clean"
UNDETERMINED = "undetermined"

#: The reason why a walk is not complete that Ctrl-C ended.
INTERRUPTED = "interrupted"

#: Every verdict that names a wrong state of the modelled kernel.
VIOLATIONS = (
    "use-after-free",
    "double-free",
    "refcount-underflow",
    "leak",
    "deadlock",
    "bad-unlock",
    "data-race",
    "lock-order",
    "missed-mapping",
    "wrong-data",
    "bug-on",
    "sleep-in-atomic",
    "growth",
)
VERDICTS = (CLEAN, *VIOLATIONS, UNDETERMINED)


@dataclass(frozen=True)
class Frame:
    """One line of a call stack: kernel function, and file:line of its source."""

    function: str
    source: str


@dataclass(frozen=True)
class TraceStep:
    """One action of one CPU on shared state, as the trace shows it."""

    cpu: int
    task: str
    call: str
    action: str
    object: str
    field: str
    before: str
    after: str
    source: str


@dataclass(frozen=True)
class Access:
    """One side of a violation: who touched what, holding which locks, from where.

    `action` is empty where the code itself went wrong. `effect` is read, write or read-write;
    `marked` means that a race is meant. `taken_at` has for each lock where it was taken, as far as
    is known.
    """

    cpu: int
    task: str
    action: str
    object: str
    field: str
    locks: tuple[str, ...]
    stack: tuple[Frame, ...]
    effect: str = ""
    marked: bool = False
    taken_at: tuple[Frame, ...] = ()


@dataclass(frozen=True)
class LifeEvent:
    """The allocation or the freeing of the object that a violation is about."""

    what: str  # "allocated" or "freed"
    object: str
    cpu: int
    task: str
    stack: tuple[Frame, ...]


@dataclass(frozen=True)
class Reference:
    """A change of one reference count: by whom, from where, and the values."""

    cpu: int
    task: str
    call: str
    source: str
    before: int
    after: int


@dataclass(frozen=True)
class LedgerEntry:
    """Who took and who dropped the references on one count of one object."""

    object: str
    field: str
    taken: tuple[Reference, ...]
    dropped: tuple[Reference, ...]
    final: int


@dataclass(frozen=True)
class Dependency:
    """A lock taken while another was held: both classes, both locks, and where each was taken.

    `locks` are all that were held.
    """

    held: str
    wanted: str
    held_lock: str
    wanted_lock: str
    held_stack: tuple[Frame, ...]
    action: str
    cpu: int
    task: str
    locks: tuple[str, ...]
    stack: tuple[Frame, ...]


@dataclass(frozen=True)
class Violation:
    """A wrong state of the modelled kernel, with all that explains it.

    A `lock-order` has no trace: its `dependencies` form a cycle, the first one closes it, and no
    run need have them all.
    """

    kind: str
    message: str
    trace: tuple[TraceStep, ...] = ()
    accesses: tuple[Access, ...] = ()
    life: tuple[LifeEvent, ...] = ()
    ledger: tuple[LedgerEntry, ...] = ()
    dependencies: tuple[Dependency, ...] = ()


@dataclass(frozen=True)
class Coverage:
    """Which lines of one kernel function the walk reached, and which never."""

    function: str
    file: str
    reached: tuple[int, ...]
    missed: tuple[int, ...]


@dataclass(frozen=True)
class Witness:
    """The kinds that something in the walk could have shown, and whether the CPUs ever met.

    `met` is whether two that run at once touch a common cell; with one CPU it is true.
    """

    possible: tuple[str, ...] = ()
    met: bool = True


@dataclass(frozen=True)
class Outcome:
    """What exploring one scenario on one kernel gave: each cause of a violation once."""

    verdict: str
    complete: bool
    states: int
    transitions: int
    seconds: float
    violations: tuple[Violation, ...] = ()
    reason: str = ""  # why the walk is not complete
    omission: float = 0.0  # how probable it is, at most, that a state was taken for another one
    coverage: tuple[Coverage, ...] = ()
    executions: int = 0  # of a sample; of a walk over every interleaving none
    same_as: str = ""  # the kernel on which it was explored, if another one
    witness: Witness | None = None

    @property
    def violation(self) -> Violation | None:
        """The nearest one."""
        return self.violations[0] if self.violations else None

    @property
    def is_interrupted(self) -> bool:
        """Whether Ctrl-C ended it."""
        return self.reason == INTERRUPTED


@dataclass(frozen=True)
class Result:
    """One cell of the matrix: a litmus on a kernel, and what was expected.

    Of a protocol of the user's own `litmus` is its name, and `kernel` its file.
    """

    litmus: str
    kernel: str
    outcome: Outcome
    expected: str | None
    assumptions: tuple[str, ...] = field(default=())
    #: Why the verdict, though clean, may say nothing.
    warnings: tuple[str, ...] = field(default=())
    is_protocol: bool = False

    @property
    def title(self) -> str:
        """What was checked."""
        return f"{self.litmus} {'of' if self.is_protocol else 'on'} {self.kernel}"

    @property
    def verdict(self) -> str:
        """The verdict itself."""
        return self.outcome.verdict

    @property
    def as_expected(self) -> bool:
        """Whether the verdict is the expected one; with nothing expected, whether it is clean."""
        return self.verdict == (self.expected if self.expected is not None else CLEAN)
