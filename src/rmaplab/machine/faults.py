"""Wrong states of the modelled kernel: each is a verdict, never the user's mistake or ours."""

from __future__ import annotations

from typing import Any


class KernelStateError(Exception):
    """The modelled kernel reached a wrong state; `kind` is one of the verdicts' names.

    `after` is the value that the wrong step leaves behind, where it leaves one.
    """

    def __init__(
        self, kind: str, message: str, subject: Any = None, field: str = "", after: Any = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.subject = subject
        self.field = field
        self.after = after


class BugOn(KernelStateError):
    """A BUG_ON() or VM_BUG_ON() of the kernel fired."""

    def __init__(self, message: str) -> None:
        super().__init__("bug-on", message)


def BUG_ON(condition: Any, message: str = "") -> None:
    """Stop the kernel if `condition` holds, as the kernel's BUG_ON."""
    if condition:
        raise BugOn(message or "BUG_ON")


def VM_BUG_ON(condition: Any, message: str = "") -> None:
    """BUG_ON of a kernel built with CONFIG_DEBUG_VM, which every kernel here is."""
    if condition:
        raise BugOn(message or "VM_BUG_ON")
