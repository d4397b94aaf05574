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
    Commit5e549e989f94,
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
from rmaplab.history.v2_6_38_mlock import Commitfed067da46ad
from rmaplab.history.v2_6_39 import V2_6_39, Commit01d8b20dec5f, Commit83813267c699
from rmaplab.history.v3_0 import (
    V3_0,
    Commit2b575eb64f7a,
    Commit88c22088bf23,
    Commit746b18d421da,
    Commit965f55dea0e3,
    Commitbb4aa39676f7,
    Commitdd34739c03f2,
    Commiteee0f252c653,
    Commiteee2acbae959,
)
from rmaplab.history.v3_1 import Commit486cf46f3f9b
from rmaplab.history.v3_3 import Commit948f017b0993
from rmaplab.history.v3_7 import (
    V3_7,
    Commit38a76013ad80,
    Commit108d6642ad81,
    Commit523d4e2008fd,
    Commitbf181b9f9d8d,
    Commitca42b26ab8ee,
)
from rmaplab.history.v3_8 import (
    V3_8,
    Commit4fc3f1d66b1e,
    Commit5a505085f043,
    Commit4128997b5f0e,
    Commitb6b19f25f6fd,
)
from rmaplab.history.v3_18 import (
    V3_18,
    Commit7f39dda9d86f,
    Commit624483f3ea82,
    Commitc4ea95d7cd08,
    Commitef0855d334e1,
)
from rmaplab.history.v3_19 import (
    V3_19,
    V4_0,
    Commit3fe89b3e2a7b,
    Commit7a3ef208e662,
    Commitb800c91a0517,
)
from rmaplab.history.v4_2_vmas import Commit36f881883c57
from rmaplab.history.v4_14_vmas import Commitd2cd9ede6e19
from rmaplab.history.v4_17_vmas import Commita4ff8e8620d3
from rmaplab.history.v5_1 import Commite4c5800a3991
from rmaplab.history.v5_7_vmas import Commite346b3813067
from rmaplab.history.v5_12 import Commitee8ab1903e3d
from rmaplab.history.v5_12_vmas import Commit1583aa278f5f
from rmaplab.history.v5_16_vmas import Commit550a7d60bd5e
from rmaplab.history.v6_0 import V6_0, Commit2555283eb40d
from rmaplab.history.v6_0_vmas import Commitca3d76b0aa80
from rmaplab.history.v6_3_vmas import Commit0503ea8f5ba7
from rmaplab.history.v6_4_vmas import (
    Commit5e31275cc997,
    Commit657b5146955e,
    Commitd8ab9f7b644a,
)
from rmaplab.history.v6_6_vmas import Commit824135c46b00
from rmaplab.history.v6_7_vmas import MprotectUnaccounts
from rmaplab.history.v6_16_vmas import Commit879bca0a2c4f
from rmaplab.history.v6_17_vmas import Commita85dc37186a5, Commitd23cb648e365
from rmaplab.history.v6_18_vmas import V6_18, Commit3b617fd3d317, Commit61f67c230a5e
from rmaplab.kernel.kernel import Kernel

V2_6_34 = Kernel
V5_19 = Commit550a7d60bd5e

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
    "5e549e989f94": Commit5e549e989f94,
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
    "fed067da46ad": Commitfed067da46ad,
    "83813267c699": Commit83813267c699,
    "01d8b20dec5f": Commit01d8b20dec5f,
    "v2.6.39": V2_6_39,
    "965f55dea0e3": Commit965f55dea0e3,
    "746b18d421da": Commit746b18d421da,
    "2b575eb64f7a": Commit2b575eb64f7a,
    "88c22088bf23": Commit88c22088bf23,
    "eee0f252c653": Commiteee0f252c653,
    "bb4aa39676f7": Commitbb4aa39676f7,
    "eee2acbae959": Commiteee2acbae959,
    "dd34739c03f2": Commitdd34739c03f2,
    "v3.0": V3_0,
    "486cf46f3f9b": Commit486cf46f3f9b,
    "948f017b0993": Commit948f017b0993,
    "ca42b26ab8ee": Commitca42b26ab8ee,
    "108d6642ad81": Commit108d6642ad81,
    "523d4e2008fd": Commit523d4e2008fd,
    "bf181b9f9d8d": Commitbf181b9f9d8d,
    "38a76013ad80": Commit38a76013ad80,
    "v3.7": V3_7,
    "5a505085f043": Commit5a505085f043,
    "4fc3f1d66b1e": Commit4fc3f1d66b1e,
    "4128997b5f0e": Commit4128997b5f0e,
    "b6b19f25f6fd": Commitb6b19f25f6fd,
    "v3.8": V3_8,
    "ef0855d334e1": Commitef0855d334e1,
    "7f39dda9d86f": Commit7f39dda9d86f,
    "624483f3ea82": Commit624483f3ea82,
    "c4ea95d7cd08": Commitc4ea95d7cd08,
    "v3.18": V3_18,
    "7a3ef208e662": Commit7a3ef208e662,
    "b800c91a0517": Commitb800c91a0517,
    "v3.19": V3_19,
    "3fe89b3e2a7b": Commit3fe89b3e2a7b,
    "v4.0": V4_0,
    "36f881883c57": Commit36f881883c57,
    "d2cd9ede6e19": Commitd2cd9ede6e19,
    "a4ff8e8620d3": Commita4ff8e8620d3,
    "e4c5800a3991": Commite4c5800a3991,
    "e346b3813067": Commite346b3813067,
    "ee8ab1903e3d": Commitee8ab1903e3d,
    "1583aa278f5f": Commit1583aa278f5f,
    "550a7d60bd5e": Commit550a7d60bd5e,
    "v5.19": V5_19,
    "ca3d76b0aa80": Commitca3d76b0aa80,
    "2555283eb40d": Commit2555283eb40d,
    "v6.0": V6_0,
    "0503ea8f5ba7": Commit0503ea8f5ba7,
    "5e31275cc997": Commit5e31275cc997,
    "657b5146955e": Commit657b5146955e,
    "d8ab9f7b644a": Commitd8ab9f7b644a,
    "824135c46b00": Commit824135c46b00,
    "mprotect-unaccounts": MprotectUnaccounts,
    "879bca0a2c4f": Commit879bca0a2c4f,
    "a85dc37186a5": Commita85dc37186a5,
    "d23cb648e365": Commitd23cb648e365,
    "61f67c230a5e": Commit61f67c230a5e,
    "3b617fd3d317": Commit3b617fd3d317,
    "v6.18": V6_18,
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
    "V2_6_39",
    "V3_0",
    "V3_7",
    "V3_8",
    "V3_18",
    "V6_18",
    "Kernel",
    "RootLock",
    "SeedV2",
]
