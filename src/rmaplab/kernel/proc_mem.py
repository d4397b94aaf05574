"""fs/proc/base.c: the memory of a process as a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rmaplab.kernel.base import KernelBase
from rmaplab.kernel.mm_types import EINVAL


class ProcMem(KernelBase):
    """/proc/PID/mem."""

    def mem_write(self, mm: Any, addr: int, contents_of: Callable[[Any], Any]) -> int:
        """Write one page through the file; 0 or an error: it cannot be written to.

        198214a7ee50 "proc: enable writing to /proc/pid/mem", v2.6.39.
        """
        return -EINVAL
