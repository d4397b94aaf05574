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
from rmaplab.history.v2_6_38_pages import Commitfed067da46ad
from rmaplab.history.v2_6_39_pages import V2_6_39, Commit5ddd36b9c598, Commit198214a7ee50
from rmaplab.history.v4_2_pages import V4_2, Commit36f881883c57
from rmaplab.history.v4_5_pages import V4_5, Commit854e9ed09ded
from rmaplab.history.v4_9_pages import V4_9, Commit19be0eaffa3a
from rmaplab.history.v4_12_pages import V4_12, Commit93e06c7a6453, Commitf7ad2a6cb9f7
from rmaplab.history.v5_1_pages import V5_1, Commit52d1e606ee73
from rmaplab.history.v5_4_pages import V5_4, Commit1a4e58cce84e, Commit9c276cc65a58
from rmaplab.history.v5_9_pages import (
    V5_9,
    Commit008cfe4418b3,
    Commit09854ba94c6a,
    Commit12e967fd8e4e,
    Commit70e806e4e645,
)
from rmaplab.history.v5_18_pages import (
    V5_18,
    Commit6c8e2a256915,
    Commit53a05ad9f21d,
    Commitc145e0b47c77,
)
from rmaplab.history.v5_19_pages import (
    V5_19,
    Commit6c54dc6c7437,
    Commit6c287605fd56,
    Commit1493a1913e34,
)
from rmaplab.history.v6_0_pages import V6_0, Commit64fe24a3e05e, Commit5535be309971
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
    "fed067da46ad": Commitfed067da46ad,
    "5ddd36b9c598": Commit5ddd36b9c598,
    "198214a7ee50": Commit198214a7ee50,
    "v2.6.39": V2_6_39,
    "36f881883c57": Commit36f881883c57,
    "v4.2": V4_2,
    "854e9ed09ded": Commit854e9ed09ded,
    "v4.5": V4_5,
    "19be0eaffa3a": Commit19be0eaffa3a,
    "v4.9": V4_9,
    "f7ad2a6cb9f7": Commitf7ad2a6cb9f7,
    "93e06c7a6453": Commit93e06c7a6453,
    "v4.12": V4_12,
    "52d1e606ee73": Commit52d1e606ee73,
    "v5.1": V5_1,
    "9c276cc65a58": Commit9c276cc65a58,
    "1a4e58cce84e": Commit1a4e58cce84e,
    "v5.4": V5_4,
    "09854ba94c6a": Commit09854ba94c6a,
    "12e967fd8e4e": Commit12e967fd8e4e,
    "008cfe4418b3": Commit008cfe4418b3,
    "70e806e4e645": Commit70e806e4e645,
    "v5.9": V5_9,
    "53a05ad9f21d": Commit53a05ad9f21d,
    "c145e0b47c77": Commitc145e0b47c77,
    "6c8e2a256915": Commit6c8e2a256915,
    "v5.18": V5_18,
    "6c54dc6c7437": Commit6c54dc6c7437,
    "6c287605fd56": Commit6c287605fd56,
    "1493a1913e34": Commit1493a1913e34,
    "v5.19": V5_19,
    "64fe24a3e05e": Commit64fe24a3e05e,
    "5535be309971": Commit5535be309971,
    "v6.0": V6_0,
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
