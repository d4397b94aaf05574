"""The vocabulary of the text reports: call chains, places, kinds of action."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from rmaplab.checker.verdict import Access, Frame, Reference, TraceStep, Violation

#: What separates the functions of a call chain, outermost first.
CHAIN = " > "

_LOADS = frozenset({"load", "read", "READ_ONCE", "rcu_dereference"})
_READING = re.compile(
    r"atomic_(read|compare)|refcount_read|list_(empty|is_|first|last|next|for_each)|rb_(root|items)"
    r"|pte_(get|wait)|pgd_addresses|wait_on|page_map"
)
_LOCKING = re.compile(
    r"(?!.*(try|dec_and)).*(lock|lock_bit)$|(down|up)_(read|write)$|(un)?lock_page$"
)


def functions(call: str) -> tuple[str, ...]:
    """The functions of a call chain, outermost first."""
    return tuple(part for part in call.split(CHAIN) if part)


def innermost(call: str) -> str:
    """The function that did it."""
    return functions(call)[-1] if functions(call) else "?"


def place(obj: str, field: str) -> str:
    """What an action touched: `object.field`, or the object where there is no field."""
    return f"{obj}.{field}" if obj and field else obj or field


def in_a_line(step: TraceStep) -> str:
    """What a step did, and the values round it where they differ."""
    change = f" {step.before} -> {step.after}" if step.before != step.after else ""
    return f"{step.action}({place(step.object, step.field)}){change}"


def is_load(action: str) -> bool:
    """Whether the action is a plain load, which by itself decides nothing."""
    return action in _LOADS


def only_reads(action: str) -> bool:
    """Whether the action changes nothing."""
    return is_load(action) or bool(_READING.match(action))


def is_locking(action: str) -> bool:
    """Whether the action's name already says how the lock changes; a trylock's does not."""
    return bool(_LOCKING.match(action))


def plain_name(obj: str) -> str:
    """`anon_vma` of `anon_vma#1.2`: the struct's name, as an object is called after it."""
    return obj.partition("#")[0]


def culprit(violation: Violation) -> Access | None:
    """The access that is wrong: the one the trace ends in, or the first one told."""
    last = violation.trace[-1] if violation.trace else None
    for access in violation.accesses:
        if last and (access.cpu, access.object, access.field) == (
            last.cpu,
            last.object,
            last.field,
        ):
            return access
    return violation.accesses[0] if violation.accesses else None


def site(violation: Violation) -> Frame:
    """The function and the line in which it went wrong."""
    # A deadlock is where somebody waits, a BUG where it was raised: not where the trace got to.
    access = culprit(violation)
    if (
        access
        and access.stack
        and (not access.action or violation.kind in ("deadlock", "bug-on") or not violation.trace)
    ):
        return access.stack[0]
    if violation.trace:
        last = violation.trace[-1]
        return Frame(innermost(last.call), last.source)
    return Frame("?", "?")


def caller(step: TraceStep | Reference) -> str:
    """The innermost function, and who called it: a helper alone does not say whose reference."""
    chain = functions(step.call)
    return f"{chain[-1]} from {chain[-2]}" if len(chain) > 1 else innermost(step.call)


def clip(text: str, width: int) -> str:
    """The text, cut to a width."""
    return text if len(text) <= width else text[: max(width - 3, 0)] + "..."[: max(width, 0)]


def times(number: int) -> str:
    """once, twice, 3 times."""
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def plural(number: int, noun: str, nouns: str = "") -> str:
    """`1 load`, `1,200 loads`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {nouns or f'{noun}s'}"


def ranges(numbers: Sequence[int]) -> str:
    """Line numbers as people write them: `3, 7-9`."""
    runs = []
    # Neighbours share the difference between number and rank.
    for _, group in groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        runs.append(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}")
    return ", ".join(runs)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
