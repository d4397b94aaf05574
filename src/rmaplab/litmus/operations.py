"""What steps there are: the operands of each operation, in the order the text writes them.

The text reader, the case reader and the writer all follow this one table. In `Step.args` defaults
are filled in; an operand without a default is there only if it was given. `cs` stands in the
place of `c` when pages get different contents, and `n` is then their number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rmaplab.litmus.wording import shown, unknown

KSMD = "ksmd"
KEYWORDS = (
    "litmus", "processes", "config", "ksm", "bound", "pageblock", "allow", "setup", "finally",
    "end", "expect", "repeat", "done", "fail",
)  # fmt: skip
CPUS = tuple(f"CPU{number}" for number in range(16))
KNOBS = (
    "run", "pages_to_scan", "sleep_millisecs", "max_page_sharing", "merge_across_nodes",
    "use_zero_pages", "smart_scan", "stable_node_chains_prune_millisecs", "max_kernel_pages",
)  # fmt: skip
#: What `bound` can limit: objects of slab caches, under the names of their structs.
BOUNDED = ("anon_vma", "anon_vma_chain", "vm_area_struct", "mm_struct")
ADVICE = (
    "mergeable", "unmergeable", "dontneed", "free", "dontfork", "dofork", "wipeonfork", "cold",
    "pageout",
)  # fmt: skip

WORD_FORM = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
LITMUS_NAME_FORM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


@dataclass(frozen=True)
class Number:
    """A whole number from `low` to `high`."""

    label: str
    low: int
    high: int

    def complaint(self, value: object) -> str | None:
        """What is wrong with the value, if anything."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        if whole and self.low <= value <= self.high:  # type: ignore[operator]
            return None
        return f"{shown(value)} is no {self.label}: write a whole number, {self.low} to {self.high}"


@dataclass(frozen=True)
class Choice:
    """One of some words."""

    what: str
    words: tuple[str, ...]

    @property
    def label(self) -> str:
        """The words, as a usage line shows them."""
        return "|".join(self.words) if len(self.words) <= 3 else self.what.upper()

    def complaint(self, value: object) -> str | None:
        """What is wrong with the value, if anything."""
        return None if value in self.words else unknown(self.what, value, self.words)


@dataclass(frozen=True)
class ProcessName:
    """The name of a process: none that would read as something else."""

    label: str = "CHILD"

    def complaint(self, value: object) -> str | None:
        """What is wrong with the value, if anything."""
        if not isinstance(value, str) or not WORD_FORM.fullmatch(value):
            return f"{shown(value)} is no name of a process: write a letter, then letters or digits"
        if value in (KSMD, *KEYWORDS, *CPUS):
            return f"`{value}` means something else: give the process another name"
        return None


@dataclass(frozen=True)
class Truth:
    """Yes or no: a word that is there (a flag), or `on` / `off`."""

    label: str = "on|off"

    def complaint(self, value: object) -> str | None:
        """What is wrong with the value, if anything."""
        if isinstance(value, int) and value in (0, 1):
            return None
        return f"{shown(value)} is neither yes nor no: write true or false"


Kind = Number | Choice | ProcessName | Truth


@dataclass(frozen=True)
class Operand:
    """One operand: its key in `Step.args`, what it may be, and the sign or word before it."""

    name: str
    kind: Kind
    mark: str = ""
    optional: bool = False
    default: int | str | bool | None = None
    several: bool = False

    @property
    def is_flag(self) -> bool:
        """Whether the operand is a mere word, given or not."""
        return isinstance(self.kind, Truth) and self.optional

    def __str__(self) -> str:
        what = "" if self.is_flag else self.kind.label + "..." * self.several
        written = marked(self.mark, what)
        return f"[{written}]" if self.optional else written


def marked(mark: str, value: object) -> str:
    """An operand's value after its mark, as the text has it."""
    return f"{mark}{value}" if mark == "@" else f"{mark} {value}".strip()


PAGE = Number("PAGE", 0, 2**36)
COUNT = Number("COUNT", 1, 2**20)
CONTENT = Number("CONTENT", 0, 2**64 - 1)
PROTECTION = Choice("protection", ("none", "r", "rw"))
KNOB = Choice("knob", KNOBS)
KNOB_VALUE = Number("VALUE", 0, 2**32 - 1)


def _flag(name: str, default: bool | None = None) -> Operand:
    return Operand(name, Truth(), mark=name, optional=True, default=default)


_AT = Operand("at", PAGE)
_PAGES = (_AT, Operand("n", COUNT, optional=True, default=1))

OPERATIONS: Mapping[str, tuple[Operand, ...]] = {
    "mmap": (
        *_PAGES,
        _flag("growsdown"),
        Operand("prot", PROTECTION, optional=True, default="rw"),
    ),
    "brk": (Operand("n", Number("COUNT", 0, 2**20)),),
    "write": (*_PAGES, Operand("c", CONTENT, mark="=", several=True), _flag("low")),
    "poke": (
        *_PAGES,
        Operand("off", Number("OFFSET", 0, 4095), mark="@"),
        Operand("v", Number("BYTE", 0, 255), mark="="),
    ),
    "read": _PAGES,
    "fault": (*_PAGES, _flag("write", default=False)),
    "fork": (Operand("child", ProcessName()),),
    "exit": (),
    "new_stack": (*_PAGES, Operand("c", CONTENT, mark="=", several=True)),
    "exec": (),
    "munmap": _PAGES,
    "mprotect": (*_PAGES, Operand("prot", PROTECTION)),
    "mlock": _PAGES,
    "munlock": _PAGES,
    "madvise": (*_PAGES, Operand("advice", Choice("advice", ADVICE))),
    "mremap": (
        *_PAGES,
        Operand("new_n", Number("NEW_COUNT", 1, 2**20), optional=True),
        Operand("to", PAGE, mark="to", optional=True),
        _flag("dontunmap"),
    ),
    "prctl_merge": (Operand("on", Truth()),),
    "mem_write": (
        *_PAGES,
        Operand("c", CONTENT, mark="="),
        Operand("step", COUNT, mark="step", optional=True),
    ),
    "swap_out": _PAGES,
    "swap_in": _PAGES,
    "migrate": _PAGES,
    "reclaim": _PAGES,
    "walk": _PAGES,
    "pin": _PAGES,
    "unpin": _PAGES,
    "scan": (Operand("k", Number("PASSES", 1, 2**20), optional=True, default=1),),
    "unmerge_all": (),
    "set": (Operand("knob", KNOB), Operand("value", KNOB_VALUE)),
    "ballast": (),
    "compact": (),
    "swapoff": (),
    "swapon": (),
}
WITHOUT_PROCESS = frozenset(
    {"scan", "unmerge_all", "set", "ballast", "compact", "swapoff", "swapon"}
)


def usage(operation: str) -> str:
    """How a step with this operation is written."""
    who = f"{KSMD}:" if operation == "scan" else "" if operation in WITHOUT_PROCESS else "PROCESS:"
    words = [who, operation, *map(str, OPERATIONS[operation])]
    return " ".join(word for word in words if word)


def misplaced_process(operation: str, process: str | None) -> str | None:
    """What is wrong with who is to do this, apart from whether that process exists."""
    if operation == "scan" and process in (None, KSMD):
        return None
    if operation in WITHOUT_PROCESS:
        return process and f"`{operation}` is not done by a process: write `{usage(operation)}`"
    if process is None:
        return f"`{operation}` needs a process: write `{usage(operation)}`"
    return f"`{KSMD}` only scans: write `{usage('scan')}`" if process == KSMD else None


def doer(operation: str, process: str | None) -> str | None:
    """Who does this: every scan is ksmd's, whether the user wrote so or not."""
    return KSMD if operation == "scan" else process


def contents(values: Sequence[int]) -> dict[str, Any]:
    """The operands that stand for these contents of pages, one each."""
    return {"c": values[0]} if len(values) == 1 else {"n": len(values), "cs": tuple(values)}
