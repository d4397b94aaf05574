"""The kernel through time: each commit or patch is a subclass that overrides what it changed.

The chain of inheritance is the git log; a release is a name for the last commit in it.
"""

from __future__ import annotations

from rmaplab.history.reverts import REVERTS
from rmaplab.history.root_lock import RootLock
from rmaplab.history.seed_v2 import SeedV2
from rmaplab.history.v2_6_35 import V2_6_35
from rmaplab.history.v2_6_36 import V2_6_36
from rmaplab.history.v2_6_38 import V2_6_38
from rmaplab.kernel.kernel import Kernel

V2_6_34 = Kernel

#: The names that are no commit's, in the order of time.
RELEASES: dict[str, type[Kernel]] = {
    "v2.6.34": V2_6_34,
    "v2.6.35": V2_6_35,
    "root-lock": RootLock,
    "seed-v2": SeedV2,
    "v2.6.36": V2_6_36,
    "v2.6.38": V2_6_38,
}

#: The last kernel of the chain: all others are in it, but for the reverts.
LAST = V2_6_38


def _line() -> dict[str, type[Kernel]]:
    """The chain by names, the oldest first: each commit by its own, then as a release."""
    found: dict[str, type[Kernel]] = {}
    for kernel in reversed(LAST.__mro__):
        if kernel.__name__.startswith("Commit"):
            found[kernel.__name__.removeprefix("Commit")] = kernel
        found |= {name: release for name, release in RELEASES.items() if release is kernel}
    return found


#: What may be asked for on the command line, in the order of time.
KERNELS: dict[str, type[Kernel]] = {**REVERTS, **_line()}

#: Patches that were mailed but not merged as they were, and releases without one of their commits:
#: no range of the mainline has them.
ASIDE: frozenset[str] = frozenset({*REVERTS, "seed-v2"})

__all__ = [
    "ASIDE",
    "KERNELS",
    "LAST",
    "RELEASES",
    "V2_6_34",
    "V2_6_35",
    "V2_6_36",
    "V2_6_38",
    "Kernel",
    "RootLock",
    "SeedV2",
]
