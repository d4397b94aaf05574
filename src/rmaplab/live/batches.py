"""The batches of pages that each CPU keeps in front of the LRU lists."""

from __future__ import annotations

import ctypes

NR_MOVE_PAGES = 279
_LIBC = ctypes.CDLL(None)


def drain_batches() -> None:
    """Empty them on all CPUs: a page there has a reference more, so its last owner copies it.

    move_pages(2) does so first, also where it is asked to move none. It fails on a kernel without
    NUMA, or for another architecture: then a batch is emptied when it is full.
    """
    nodes = ctypes.c_int(0)
    _LIBC.syscall(
        ctypes.c_long(NR_MOVE_PAGES), 0, ctypes.c_ulong(0), None, ctypes.byref(nodes), None, 0
    )
