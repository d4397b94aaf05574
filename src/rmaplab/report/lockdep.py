"""Locks taken in a cycle, as lockdep tells it: whoever closes the cycle, and the chain so far."""

from __future__ import annotations

from collections.abc import Sequence

from rmaplab.checker.verdict import Access, Dependency, Frame, Violation
from rmaplab.report.words import aligned, plural

#: Where the second column of the table begins.
CPU1 = 31


def locks_held(access: Access) -> list[str]:
    """`1 lock held by ksmd/CPU1:` and the locks, each with where it was taken."""
    who = f"{access.task}/CPU{access.cpu}"
    if not access.locks:
        return [f"no locks held by {who}."]
    sites = [*access.taken_at, *[Frame("", "")] * len(access.locks)]
    held = [
        f" #{number}: {_at(lock, site)}"
        for number, (lock, site) in enumerate(zip(access.locks, sites, strict=False))
    ]
    return [f"{plural(len(held), 'lock')} held by {who}:", *held]


def cycle(violation: Violation) -> list[list[str]]:
    """The blocks between the heading and the table."""
    closing = violation.dependencies[0]
    return [_trying(closing), *_chain(violation.dependencies)]


def scenario(violation: Violation) -> list[str]:
    """The table of the two CPUs that would wait for each other, as lockdep draws it."""
    closing, *chain = violation.dependencies
    before = chain[-1]
    alike = closing.held == closing.wanted
    source, target, parent = (
        (closing.wanted_lock, closing.held_lock, before.held_lock)
        if alike
        else (closing.wanted, closing.held, before.held)
    )
    chain_of: list[str] = []
    if len(chain) > 1:
        classes = " --> ".join(each.wanted for each in violation.dependencies)
        chain_of = ["Chain exists of:", f"  {classes}", ""]
    return [
        "other info that might help us debug this:",
        "",
        *chain_of,
        " Possible unsafe locking scenario:",
        "",
        _row("       CPU0", "CPU1"),
        _row("       ----", "----"),
        _row(f"  lock({target});"),
        _row("", f"lock({parent});"),
        _row("", f"lock({target});"),
        _row(f"  lock({source});"),
        "",
        " *** DEADLOCK ***",
    ]


def recursion(access: Access) -> list[str]:
    """A task that waits for a lock of its own."""
    wanted = f"{access.object}.{access.field}"
    sites = dict(zip(access.locks, access.taken_at, strict=False))
    return [
        f"{access.task}/CPU{access.cpu} is trying to acquire lock:",
        f" {_at(wanted, *access.stack[:1])}",
        "",
        "but task is already holding lock:",
        f" {_at(wanted, sites.get(wanted, Frame('', '')))}",
    ]


def _trying(closing: Dependency) -> list[str]:
    return [
        f"{closing.task}/CPU{closing.cpu} is trying to acquire lock:",
        f" {_at(_named(closing.wanted_lock, closing.wanted), *closing.stack[:1])}",
        "",
        "but task is already holding lock:",
        f" {_at(_named(closing.held_lock, closing.held), *closing.held_stack[:1])}",
        "",
        "which lock already depends on the new lock.",
    ]


def _chain(dependencies: Sequence[Dependency]) -> list[list[str]]:
    """Each dependency with the stack of the lock taken, the last one first."""
    closing, *chain = dependencies
    blocks = [["the existing dependency chain (in reverse order) is:"]]
    for number, each in [*reversed([*enumerate(chain, 1)]), (0, closing)]:
        blocks.append(
            [
                f"-> #{number} {_named(each.wanted_lock, each.wanted)}, {each.action} by "
                f"{each.task}/CPU{each.cpu} holding {', '.join(each.locks)}:",
                *_stack(each.stack),
            ]
        )
    return blocks


def _named(lock: str, name: str) -> str:
    return f"{lock} ({name})" if lock != name else lock


def _at(what: str, frame: Frame = Frame("", "")) -> str:  # noqa: B008 - a constant
    return f"{what}, at: {frame.function} {frame.source}" if frame.function else what


def _row(left: str, right: str = "") -> str:
    return (left.ljust(CPU1) + right).rstrip()


def _stack(stack: Sequence[Frame]) -> list[str]:
    rows = [(frame.function, frame.source) for frame in stack]
    return [f"       {row}" for row in aligned(rows)] if rows else []
