"""The first lines of a report, under the class names that syzbot and the kernel use."""

from __future__ import annotations

from collections.abc import Callable

from rmaplab.checker.verdict import Access, Violation
from rmaplab.report.words import culprit, place, plain_name, site

NULL = "NULL pointer dereference"
_IN_FUNCTION = {
    "use-after-free": "BUG: KASAN: slab-use-after-free in {}",
    "double-free": "BUG: KASAN: double-free in {}",
    "deadlock": "INFO: task hung in {}",
}
_FIXED = {
    "leak": "BUG: memory leak",
    "growth": "BUG: slab growth over the bound",
    "lock-order": "WARNING: possible circular locking dependency detected",
    "refcount-underflow": "refcount_t: underflow; use-after-free.",
}
_OUR_OWN = {
    "missed-mapping": "BUG: rmap: mapping missed",
    "wrong-data": "BUG: rmap: wrong data",
}


def heading(violation: Violation) -> list[str]:
    """The title, and where its class has one, the line that goes with it."""
    return [title(violation), *_SECOND.get(violation.kind, _nothing)(violation)]


def title(violation: Violation) -> str:
    """One line that names the class and, where the kernel's does, the function or the line."""
    kind = violation.kind
    if kind in _TITLES:
        return _TITLES[kind](violation)
    if kind in _FIXED:
        return _FIXED[kind]
    if kind in _OUR_OWN:  # of a state at the end no function is to blame
        where = f" in {site(violation).function}" if violation.accesses else ""
        return _OUR_OWN[kind] + where
    return _IN_FUNCTION.get(kind, f"BUG: {kind} in {{}}").format(site(violation).function)


def is_recursion(violation: Violation) -> bool:
    """Whether a task waits for a lock of its own."""
    return violation.kind == "deadlock" and any(
        place(access.object, access.field) in access.locks for access in violation.accesses
    )


def is_return(violation: Violation) -> bool:
    """Whether a lock is still held at the end of a call."""
    return violation.kind == "bad-unlock" and "the call returns" in violation.message


def leaked(violation: Violation) -> list[str]:
    """The objects that nobody freed, in the order in which they were allocated."""
    freed = {event.object for event in violation.life if event.what == "freed"}
    born = [event.object for event in violation.life if event.what == "allocated"]
    left = [obj for obj in born if obj not in freed]
    left = left or [entry.object for entry in violation.ledger if entry.final > 0]
    return list(dict.fromkeys(left))


def described(access: Access) -> str:
    """`Write of anon_vma#1.lock by task ksmd on CPU1`, as KASAN begins."""
    effect = "Read" if access.effect == "read" else "Write"
    what = place(access.object, access.field)
    return f"{effect} of {what} by task {access.task} on CPU{access.cpu}"


def unreferenced(obj: str) -> str:
    """`unreferenced object anon_vma#1 (struct anon_vma)`, as kmemleak begins."""
    return f"unreferenced object {obj} (struct {plain_name(obj)})"


def _race(violation: Violation) -> str:
    """KCSAN sorts the two, so that one race has one title."""
    names = [access.stack[0].function for access in violation.accesses if access.stack]
    functions = sorted(names) or [site(violation).function]
    return "BUG: KCSAN: data-race in " + " / ".join(functions)


def _bug(violation: Violation) -> str:
    if NULL in violation.message or "NoneType" in violation.message:
        return f"BUG: unable to handle kernel {NULL} in {site(violation).function}"
    return f"kernel BUG at {site(violation).source}!"


def _sleep(violation: Violation) -> str:
    return f"BUG: sleeping function called from invalid context at {site(violation).source}"


def _hang(violation: Violation) -> str:
    if is_recursion(violation):
        return "WARNING: possible recursive locking detected"
    return _IN_FUNCTION["deadlock"].format(site(violation).function)


def _unlock(violation: Violation) -> str:
    if is_return(violation):
        return "WARNING: lock held when returning to user space!"
    return "WARNING: bad unlock balance detected!"


_TITLES: dict[str, Callable[[Violation], str]] = {
    "data-race": _race,
    "bug-on": _bug,
    "sleep-in-atomic": _sleep,
    "deadlock": _hang,
    "bad-unlock": _unlock,
}


# The line that goes with a title


def _access_line(violation: Violation) -> list[str]:
    access = culprit(violation)
    return [described(access)] if access else []


def _freed_line(violation: Violation) -> list[str]:
    access = culprit(violation)
    return [f"Free of {access.object} by task {access.task} on CPU{access.cpu}"] if access else []


def _leak_lines(violation: Violation) -> list[str]:
    return [unreferenced(obj) for obj in leaked(violation)]


def _refcount_line(violation: Violation) -> list[str]:
    access, where = culprit(violation), site(violation)
    if access is None:
        return []
    return [f"WARNING: CPU: {access.cpu} Comm: {access.task} at {where.source} {where.function}"]


def _unlock_lines(violation: Violation) -> list[str]:
    access, where = culprit(violation), site(violation)
    if access is None:
        return []
    who = f"{access.task}/CPU{access.cpu}"
    if is_return(violation):
        return [f"{who} is leaving the kernel with locks still held!"]
    lock = place(access.object, access.field) or "rcu_read_lock"
    return [f"{who} is trying to release lock ({lock}) at:", f" {where.function} {where.source}"]


def _nothing(violation: Violation) -> list[str]:
    return []


_SECOND: dict[str, Callable[[Violation], list[str]]] = {
    "use-after-free": _access_line,
    "double-free": _freed_line,
    "leak": _leak_lines,
    "refcount-underflow": _refcount_line,
    "bad-unlock": _unlock_lines,
}
