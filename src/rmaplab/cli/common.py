"""What the commands share: exit statuses, options."""

from __future__ import annotations

from collections.abc import Sequence

from rmaplab.errors import InputError

EXIT_EXPECTED, EXIT_VIOLATION, EXIT_INPUT, EXIT_UNDETERMINED, EXIT_INTERRUPTED = 0, 1, 2, 3, 130
EXIT_CLOSED_PIPE = 141  # 128 + SIGPIPE, as of a program that the signal ends

KERNEL_HELP = "A release, a commit, root-lock, seed-v2, or FILE.py:Class. May be repeated."


def read_config(switches: Sequence[str]) -> dict[str, bool]:
    """CONFIG_KSM=n and the like."""
    config = {}
    for switch in switches:
        name, _, value = switch.partition("=")
        if name not in ("CONFIG_KSM", "CONFIG_MIGRATION") or value not in ("y", "n"):
            known = "CONFIG_KSM=y|n or CONFIG_MIGRATION=y|n"
            raise InputError(f"--config {switch}: write {known}")
        config[name] = value == "y"
    return config


def refuse_of_several(checks: int, instead: str, **asked: object) -> None:
    """Raise InputError where an option is asked for that is of one check, and there are more."""
    for option, value in asked.items():
        if value and checks > 1:
            raise InputError(f"--{option.replace('_', '-')} is for one check: {instead}")
