"""mm/rmap.c and include/linux/rmap.h: the reverse map of anonymous pages, as in 2.6.34.

`structs` has the structs and flags; `anon_vma`, `pages` and `walks` are the file in its order.
"""

from __future__ import annotations

from rmaplab.kernel.rmap.pages import PAGE_MAPPING_FLAGS, mapping_flags
from rmaplab.kernel.rmap.structs import (
    SWAP_AGAIN,
    SWAP_FAIL,
    SWAP_MLOCK,
    SWAP_SUCCESS,
    TTU_ACTION,
    TTU_ACTION_MASK,
    TTU_IGNORE_ACCESS,
    TTU_IGNORE_HWPOISON,
    TTU_IGNORE_MLOCK,
    TTU_MIGRATION,
    TTU_MUNLOCK,
    TTU_UNMAP,
    AnonVma,
    AnonVmaChain,
)
from rmaplab.kernel.rmap.walks import RmapOne, Walks

__all__ = [
    "PAGE_MAPPING_FLAGS",
    "SWAP_AGAIN",
    "SWAP_FAIL",
    "SWAP_MLOCK",
    "SWAP_SUCCESS",
    "TTU_ACTION",
    "TTU_ACTION_MASK",
    "TTU_IGNORE_ACCESS",
    "TTU_IGNORE_HWPOISON",
    "TTU_IGNORE_MLOCK",
    "TTU_MIGRATION",
    "TTU_MUNLOCK",
    "TTU_UNMAP",
    "AnonVma",
    "AnonVmaChain",
    "Rmap",
    "RmapOne",
    "mapping_flags",
]


class Rmap(Walks):
    """The reverse map as one part of the kernel."""
