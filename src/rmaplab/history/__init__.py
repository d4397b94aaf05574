"""The kernel through time: each commit or patch is a subclass that overrides what it changed.

The chain of inheritance is the git log; a release is a name for the last commit in it.
"""

from __future__ import annotations

from rmaplab.history.reverts import (
    Before287d97ac0321,
    Before646d87b481da,
    Before4946d54cb55e,
    BeforeD0e9fe1758f2,
    BeforeEa90002b0fa7,
)
from rmaplab.history.root_lock import Commit012f18004da3, Commit5c341ee1dfc8, RootLock
from rmaplab.history.seed_v2 import SeedV2
from rmaplab.history.v2_6_35 import (
    V2_6_35,
    Commit3f6c82728f4e,
    Commit3fe2011ff51e,
    Commit7f60c214fd3a,
    Commit67b9509b2c68,
    Commit748446bb6b5f,
    Commita8bef8ff6ea1,
)
from rmaplab.history.v2_6_36 import (
    V2_6_36,
    Commit2aeadc30de45,
    Commit4e31635c367a,
    Commit21d0d443cdc1,
    Commit26ba0cb63cb8,
    Commit31c4a3d3a0f8,
    Commit44ab57a06ded,
    Commit4829b906cc06,
    Commit4969c1192d15,
    Commit288468c334e9,
    Commit76545066c852,
    Commita247c3a97a02,
    Commitad8c2ee801ad,
    Commitba6f0ff3981e,
    Commitf18194275c39,
)
from rmaplab.history.v2_6_38 import V2_6_38, Commit1ce82b69e96c
from rmaplab.history.v3_0_ksm import Commit2b472611a32a
from rmaplab.history.v3_9_ksm import (
    Commit8aafa6a485ae,
    Commit90bd6fd31c80,
    Commit4146d2d673e8,
    Commit5117b3b835f2,
    Commitc8d6553b9580,
    Commitcbf86cfe04a6,
)
from rmaplab.history.v4_4_ksm import Commitf2e5ff85ed5f
from rmaplab.history.v4_6_ksm import Commit7496fea9a6bf
from rmaplab.history.v4_11_ksm import Commite86c59b1b12d
from rmaplab.history.v4_13_ksm import Commit2c653d0ee2ae
from rmaplab.history.v5_1_ksm import Commit2cee57d1b08a
from rmaplab.history.v5_13_ksm import Commit3e96b6a2e9ad
from rmaplab.history.v5_18_ksm import Commit2fbb0c10d1e8
from rmaplab.history.v5_19_ksm import Commit7609385337a4
from rmaplab.history.v6_1_ksm import Commitcb4df4cae4f2
from rmaplab.history.v6_2_ksm import Commit6cce3314b928
from rmaplab.history.v6_4_ksm import Commit24139c07f413, Commitd7597f59d1d3
from rmaplab.history.v6_6_ksm import Commit6080d19f0704, Commit79271476b336, Commite2942062e01d
from rmaplab.history.v6_7_ksm import Commit3c6f33b7273a, Commit5e924ff54d08
from rmaplab.history.v6_9_ksm import Commit3a9e567ca45f
from rmaplab.history.v6_11_ksm import Commita0b856b617c5, Commitd58a361b0350
from rmaplab.history.v6_17_ksm import Commitcf7e7a3503df
from rmaplab.history.v6_18_ksm import Commit4d6fc29f3634, V6_18_ksm
from rmaplab.kernel.kernel import Kernel

V2_6_34 = Kernel

#: What may be asked for on the command line, in the order of time.
KERNELS: dict[str, type[Kernel]] = {
    "before-4946d54cb55e": Before4946d54cb55e,
    "before-d0e9fe1758f2": BeforeD0e9fe1758f2,
    "before-287d97ac0321": Before287d97ac0321,
    "before-646d87b481da": Before646d87b481da,
    "before-ea90002b0fa7": BeforeEa90002b0fa7,
    "v2.6.34": V2_6_34,
    "3f6c82728f4e": Commit3f6c82728f4e,
    "7f60c214fd3a": Commit7f60c214fd3a,
    "67b9509b2c68": Commit67b9509b2c68,
    "3fe2011ff51e": Commit3fe2011ff51e,
    "a8bef8ff6ea1": Commita8bef8ff6ea1,
    "748446bb6b5f": Commit748446bb6b5f,
    "v2.6.35": V2_6_35,
    "5c341ee1dfc8": Commit5c341ee1dfc8,
    "012f18004da3": Commit012f18004da3,
    "root-lock": RootLock,
    "seed-v2": SeedV2,
    "76545066c852": Commit76545066c852,
    "26ba0cb63cb8": Commit26ba0cb63cb8,
    "ba6f0ff3981e": Commitba6f0ff3981e,
    "288468c334e9": Commit288468c334e9,
    "21d0d443cdc1": Commit21d0d443cdc1,
    "44ab57a06ded": Commit44ab57a06ded,
    "ad8c2ee801ad": Commitad8c2ee801ad,
    "f18194275c39": Commitf18194275c39,
    "4969c1192d15": Commit4969c1192d15,
    "31c4a3d3a0f8": Commit31c4a3d3a0f8,
    "a247c3a97a02": Commita247c3a97a02,
    "2aeadc30de45": Commit2aeadc30de45,
    "4829b906cc06": Commit4829b906cc06,
    "4e31635c367a": Commit4e31635c367a,
    "v2.6.36": V2_6_36,
    "1ce82b69e96c": Commit1ce82b69e96c,
    "v2.6.38": V2_6_38,
    "2b472611a32a": Commit2b472611a32a,
    "90bd6fd31c80": Commit90bd6fd31c80,
    "8aafa6a485ae": Commit8aafa6a485ae,
    "cbf86cfe04a6": Commitcbf86cfe04a6,
    "c8d6553b9580": Commitc8d6553b9580,
    "5117b3b835f2": Commit5117b3b835f2,
    "4146d2d673e8": Commit4146d2d673e8,
    "f2e5ff85ed5f": Commitf2e5ff85ed5f,
    "7496fea9a6bf": Commit7496fea9a6bf,
    "e86c59b1b12d": Commite86c59b1b12d,
    "2c653d0ee2ae": Commit2c653d0ee2ae,
    "2cee57d1b08a": Commit2cee57d1b08a,
    "3e96b6a2e9ad": Commit3e96b6a2e9ad,
    "2fbb0c10d1e8": Commit2fbb0c10d1e8,
    "7609385337a4": Commit7609385337a4,
    "cb4df4cae4f2": Commitcb4df4cae4f2,
    "6cce3314b928": Commit6cce3314b928,
    "d7597f59d1d3": Commitd7597f59d1d3,
    "24139c07f413": Commit24139c07f413,
    "79271476b336": Commit79271476b336,
    "e2942062e01d": Commite2942062e01d,
    "6080d19f0704": Commit6080d19f0704,
    "5e924ff54d08": Commit5e924ff54d08,
    "3c6f33b7273a": Commit3c6f33b7273a,
    "3a9e567ca45f": Commit3a9e567ca45f,
    "d58a361b0350": Commitd58a361b0350,
    "a0b856b617c5": Commita0b856b617c5,
    "cf7e7a3503df": Commitcf7e7a3503df,
    "4d6fc29f3634": Commit4d6fc29f3634,
    "v6.18": V6_18_ksm,
}

#: Patches that were mailed but not merged as they were, and releases without one of their commits:
#: no range of the mainline has them.
ASIDE: frozenset[str] = frozenset(
    {
        "before-4946d54cb55e",
        "before-d0e9fe1758f2",
        "before-287d97ac0321",
        "before-646d87b481da",
        "before-ea90002b0fa7",
        "seed-v2",
    }
)

__all__ = [
    "ASIDE",
    "KERNELS",
    "V2_6_34",
    "V2_6_35",
    "V2_6_36",
    "V2_6_38",
    "Kernel",
    "RootLock",
    "SeedV2",
]
