"""mm/ksm.c of 2.6.34: pages with the same bytes become one.

The reverse map of a merged page runs through the rmap_items on its stable_node, each of which
holds an anon_vma: the references that outlive processes.
"""

from rmaplab.kernel.ksm.state import (
    KSM_RUN_MERGE,
    KSM_RUN_STOP,
    KSM_RUN_UNMERGE,
    KsmGlobals,
    KsmScan,
    MmSlot,
    RmapItem,
    StableNode,
)
from rmaplab.kernel.ksm.sysfs import KsmSysfs
from rmaplab.kernel.ksm.walk import KsmWalks


class Ksm(KsmSysfs, KsmWalks):
    """All of mm/ksm.c."""


__all__ = [
    "KSM_RUN_MERGE",
    "KSM_RUN_STOP",
    "KSM_RUN_UNMERGE",
    "Ksm",
    "KsmGlobals",
    "KsmScan",
    "MmSlot",
    "RmapItem",
    "StableNode",
]
