"""The first lines of a report, under the class names that syzbot and the kernel use."""

from __future__ import annotations

from collections.abc import Callable

from rmaplab.checker.verdict import Access, Violation
from rmaplab.report.words import culprit, direction, place, site

_IN_FUNCTION = {
    "use-after-free": "BUG: KASAN: slab-use-after-free in {}",
    "double-free": "BUG: KASAN: double-free in {}",
    "refcount-underflow": "refcount_t: underflow; use-after-free in {}",
    "deadlock": "INFO: task hung in {}",
    "sleep-in-atomic": "BUG: sleeping function called from invalid context in {}",
    "missed-mapping": "BUG: rmap: mapping missed in {}",
    "wrong-data": "BUG: rmap: wrong data in {}",
}
_FIXED = {
    "leak": "BUG: memory leak",
    "growth": "BUG: slab growth over the bound",
    "bad-unlock": "WARNING: bad unlock balance detected!",
    "lock-order": "WARNING: possible circular locking dependency detected",
}


def heading(violation: Violation) -> list[str]:
    """The title, and where its class has one, the line that goes with it."""
    return [title(violation), *_SECOND.get(violation.kind, _nothing)(violation)]


def title(violation: Violation) -> str:
    """One line that names the class and the function, as syzbot would title the bug."""
    kind = violation.kind
    if kind == "data-race":
        return "BUG: KCSAN: data-race in " + " / ".join(_racing(violation))
    if kind == "bug-on":
        return f"kernel BUG at {site(violation).source}!"
    if kind in _FIXED:
        return _FIXED[kind]
    return _IN_FUNCTION.get(kind, f"BUG: {kind} in {{}}").format(site(violation).function)


def leaked(violation: Violation) -> list[str]:
    """The objects that nobody freed, in the order in which they were allocated."""
    freed = {event.object for event in violation.life if event.what == "freed"}
    born = [event.object for event in violation.life if event.what == "allocated"]
    left = [obj for obj in born if obj not in freed]
    left = left or [entry.object for entry in violation.ledger if entry.final > 0]
    return list(dict.fromkeys(left))


def _racing(violation: Violation) -> list[str]:
    """KCSAN sorts the two, so that one race has one title."""
    names = [access.stack[0].function for access in violation.accesses if access.stack]
    return sorted(names) or [site(violation).function]


def _access_line(violation: Violation) -> list[str]:
    access = culprit(violation)
    return [described(access)] if access else []


def described(access: Access) -> str:
    """`Write of anon_vma#1.lock by task ksmd on CPU1`."""
    what = place(access.object, access.field)
    return f"{direction(access.action)} of {what} by task {access.task} on CPU{access.cpu}"


def _freed_line(violation: Violation) -> list[str]:
    access = culprit(violation)
    return [f"Free of {access.object} by task {access.task} on CPU{access.cpu}"] if access else []


def _leak_lines(violation: Violation) -> list[str]:
    return [f"unreferenced object {obj}" for obj in leaked(violation)]


def _nothing(violation: Violation) -> list[str]:
    return []


_SECOND: dict[str, Callable[[Violation], list[str]]] = {
    "use-after-free": _access_line,
    "double-free": _freed_line,
    "leak": _leak_lines,
}
