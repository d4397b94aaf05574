"""The whole kernel: its parts, one class for each source file of Linux, in one name space as in C.

This is Linux 2.6.34, where anon_vma chains begin. rmaplab.history has what came after.
"""

from __future__ import annotations

from rmaplab.kernel.exec import Exec
from rmaplab.kernel.fault import Fault
from rmaplab.kernel.fork import Fork
from rmaplab.kernel.gup import Gup
from rmaplab.kernel.ksm import Ksm
from rmaplab.kernel.madvise import Madvise
from rmaplab.kernel.memory import Memory
from rmaplab.kernel.memory_swap import MemorySwap
from rmaplab.kernel.migrate import Migrate
from rmaplab.kernel.mlock import Mlock
from rmaplab.kernel.mmap import Mmap
from rmaplab.kernel.mprotect import Mprotect
from rmaplab.kernel.mremap import Mremap
from rmaplab.kernel.page_alloc import PageAlloc
from rmaplab.kernel.proc_mem import ProcMem
from rmaplab.kernel.rmap import Rmap
from rmaplab.kernel.swap_state import SwapState
from rmaplab.kernel.swapoff import Swapfile
from rmaplab.kernel.vmscan import Vmscan


class Kernel(
    Exec, Fork, Mmap, Mremap, Mprotect, Fault, Memory, MemorySwap, Gup, Madvise, Mlock, Ksm,
    Migrate, Vmscan, Rmap, SwapState, Swapfile, ProcMem, PageAlloc,
):  # fmt: skip
    """v2.6.34, 2010-05-16."""
