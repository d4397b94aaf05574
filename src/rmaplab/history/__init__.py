"""The kernel through time: each commit or patch is a subclass that overrides what it changed.

The chain of inheritance is the git log; a release is a name for the last commit in it.
"""

from __future__ import annotations

from rmaplab.history.reverts import REVERTS
from rmaplab.history.root_lock import RootLock
from rmaplab.history.seed_v2 import SeedV2
from rmaplab.history.v2_6_33 import V2_6_33
from rmaplab.history.v2_6_35 import V2_6_35
from rmaplab.history.v2_6_36 import V2_6_36
from rmaplab.history.v2_6_38_pages import Commitfed067da46ad
from rmaplab.history.v2_6_39_pages import Commit198214a7ee50
from rmaplab.history.v3_0 import Commitdd34739c03f2
from rmaplab.history.v3_1 import Commit486cf46f3f9b
from rmaplab.history.v3_3 import Commit948f017b0993
from rmaplab.history.v3_7 import Commit38a76013ad80
from rmaplab.history.v3_8 import Commitb6b19f25f6fd
from rmaplab.history.v3_9_ksm import Commit4146d2d673e8
from rmaplab.history.v3_18 import Commit624483f3ea82, Commitc4ea95d7cd08, Commitef0855d334e1
from rmaplab.history.v3_19 import Commit3fe89b3e2a7b, Commitb800c91a0517
from rmaplab.history.v4_2_vmas import Commit36f881883c57
from rmaplab.history.v4_4_ksm import Commitf2e5ff85ed5f
from rmaplab.history.v4_5_pages import Commit854e9ed09ded
from rmaplab.history.v4_6_ksm import Commit7496fea9a6bf
from rmaplab.history.v4_9_pages import Commit19be0eaffa3a
from rmaplab.history.v4_11_ksm import Commite86c59b1b12d
from rmaplab.history.v4_12_pages import Commit93e06c7a6453
from rmaplab.history.v4_13_ksm import Commit2c653d0ee2ae
from rmaplab.history.v4_14_vmas import Commitd2cd9ede6e19
from rmaplab.history.v4_17_vmas import Commita4ff8e8620d3
from rmaplab.history.v5_1_pages import Commit52d1e606ee73
from rmaplab.history.v5_4_pages import Commit1a4e58cce84e
from rmaplab.history.v5_7_vmas import Commite346b3813067
from rmaplab.history.v5_9_pages import Commit70e806e4e645
from rmaplab.history.v5_12 import Commitee8ab1903e3d
from rmaplab.history.v5_13_ksm import Commit3e96b6a2e9ad
from rmaplab.history.v5_16_vmas import Commit550a7d60bd5e
from rmaplab.history.v5_18_pages import Commit6c8e2a256915
from rmaplab.history.v5_19_pages import Commit1493a1913e34
from rmaplab.history.v6_0 import Commit2555283eb40d
from rmaplab.history.v6_1_ksm import Commitcb4df4cae4f2
from rmaplab.history.v6_2_ksm import Commit6cce3314b928
from rmaplab.history.v6_3_vmas import Commit0503ea8f5ba7
from rmaplab.history.v6_4_ksm import Commit24139c07f413
from rmaplab.history.v6_5_vmas import Commitd8ab9f7b644a
from rmaplab.history.v6_6_vmas import Commit824135c46b00
from rmaplab.history.v6_7_ksm import Commit3c6f33b7273a
from rmaplab.history.v6_7_vmas import MprotectUnaccounts
from rmaplab.history.v6_9_ksm import Commit3a9e567ca45f
from rmaplab.history.v6_11_ksm import Commita0b856b617c5
from rmaplab.history.v6_16_vmas import Commit879bca0a2c4f
from rmaplab.history.v6_17_vmas import Commitd23cb648e365
from rmaplab.history.v6_18_vmas import Commit3b617fd3d317
from rmaplab.kernel.kernel import Kernel

V2_6_34 = Kernel
V2_6_38 = Commitfed067da46ad
V6_18 = Commit3b617fd3d317

#: The names that are no commit's, in the order of time.
RELEASES: dict[str, type[Kernel]] = {
    "v2.6.34": V2_6_34,
    "v2.6.35": V2_6_35,
    "root-lock": RootLock,
    "seed-v2": SeedV2,
    "v2.6.36": V2_6_36,
    "v2.6.38": Commitfed067da46ad,
    "v2.6.39": Commit198214a7ee50,
    "v3.0": Commitdd34739c03f2,
    "v3.1": Commit486cf46f3f9b,
    "v3.3": Commit948f017b0993,
    "v3.7": Commit38a76013ad80,
    "v3.8": Commitb6b19f25f6fd,
    "v3.9": Commit4146d2d673e8,
    "v3.12": Commitef0855d334e1,
    "v3.16": Commit624483f3ea82,
    "v3.18": Commitc4ea95d7cd08,
    "v3.19": Commitb800c91a0517,
    "v4.0": Commit3fe89b3e2a7b,
    "v4.2": Commit36f881883c57,
    "v4.4": Commitf2e5ff85ed5f,
    "v4.5": Commit854e9ed09ded,
    "v4.6": Commit7496fea9a6bf,
    "v4.9": Commit19be0eaffa3a,
    "v4.11": Commite86c59b1b12d,
    "v4.12": Commit93e06c7a6453,
    "v4.13": Commit2c653d0ee2ae,
    "v4.14": Commitd2cd9ede6e19,
    "v4.17": Commita4ff8e8620d3,
    "v5.1": Commit52d1e606ee73,
    "v5.4": Commit1a4e58cce84e,
    "v5.7": Commite346b3813067,
    "v5.9": Commit70e806e4e645,
    "v5.12": Commitee8ab1903e3d,
    "v5.13": Commit3e96b6a2e9ad,
    "v5.16": Commit550a7d60bd5e,
    "v5.18": Commit6c8e2a256915,
    "v5.19": Commit1493a1913e34,
    "v6.0": Commit2555283eb40d,
    "v6.1": Commitcb4df4cae4f2,
    "v6.2": Commit6cce3314b928,
    "v6.3": Commit0503ea8f5ba7,
    "v6.4": Commit24139c07f413,
    "v6.5": Commitd8ab9f7b644a,
    "v6.6": Commit824135c46b00,
    "mprotect-unaccounts": MprotectUnaccounts,
    "v6.7": Commit3c6f33b7273a,
    "v6.9": Commit3a9e567ca45f,
    "v6.11": Commita0b856b617c5,
    "v6.16": Commit879bca0a2c4f,
    "v6.17": Commitd23cb648e365,
    "v6.18": Commit3b617fd3d317,
}

#: The last kernel of the chain: all others are in it, but for the reverts.
LAST = V6_18


def _line() -> dict[str, type[Kernel]]:
    """The chain by names, the oldest first: each commit by its own, then as a release."""
    found: dict[str, type[Kernel]] = {}
    for kernel in reversed(LAST.__mro__):
        if kernel.__name__.startswith("Commit"):
            found[kernel.__name__.removeprefix("Commit")] = kernel
        found |= {name: release for name, release in RELEASES.items() if release is kernel}
    return found


#: What may be asked for on the command line, in the order of time.
KERNELS: dict[str, type[Kernel]] = {"v2.6.33": V2_6_33, **REVERTS, **_line()}

#: Patches that were mailed but not merged as they were, and releases without one of their commits:
#: no range of the mainline has them. v2.6.33 is such a one: the chain of inheritance begins with
#: v2.6.34, and what a litmus says of `..v2.6.38` is about anon_vma chains.
ASIDE: frozenset[str] = frozenset({"v2.6.33", *REVERTS, "seed-v2"})

__all__ = [
    "ASIDE",
    "KERNELS",
    "LAST",
    "RELEASES",
    "V2_6_33",
    "V2_6_34",
    "V2_6_35",
    "V2_6_36",
    "V2_6_38",
    "V6_18",
    "Kernel",
    "RootLock",
    "SeedV2",
]
