"""How much memory this process uses."""

from __future__ import annotations

import os
import resource
import sys


def resident() -> int:
    """Bytes in memory now; where no /proc tells, the most there ever were."""
    try:
        with open("/proc/self/statm", "rb") as pages:
            return int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
