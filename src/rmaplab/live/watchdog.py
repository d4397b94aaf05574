"""The process that puts KSM's knobs back when the driver of a live run is gone, however it went.

It waits for the end of its standard input. It holds the driver's lock as well, so nobody else
begins before the knobs are back. Until then it is also what keeps ksmd counting its passes: a
process with a mergeable page, untouched, so that nothing of it is ever merged.
"""

from __future__ import annotations

import mmap
import signal
import sys
from pathlib import Path

from rmaplab.live.knobs import restore


def main(state: str) -> None:
    """Wait, then restore what the file notes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    page = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    page.madvise(mmap.MADV_MERGEABLE)
    print("ready", flush=True)
    sys.stdin.buffer.read()
    restore(Path(state))


if __name__ == "__main__":
    main(sys.argv[1])
