"""The knobs and counters of KSM, in /sys/kernel/mm/ksm; how they are put back."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

KSM = Path("/sys/kernel/mm/ksm")

STOP, RUN, UNMERGE = 0, 1, 2
#: Knobs that a run may change, besides `run`, in the order in which they are put back.
SAVED = (
    "pages_to_scan", "sleep_millisecs", "max_page_sharing", "merge_across_nodes", "use_zero_pages",
    "smart_scan", "stable_node_chains_prune_millisecs", "advisor_mode",
)  # fmt: skip
#: What a run begins with, unless the litmus says otherwise. Knobs of older kernels are left out.
BEGINNING: Mapping[str, int | str] = {
    "advisor_mode": "none", "max_page_sharing": 256, "merge_across_nodes": 1, "use_zero_pages": 0,
    "smart_scan": 0, "stable_node_chains_prune_millisecs": 2000,
}  # fmt: skip
COUNTERS = (
    "pages_shared", "pages_sharing", "pages_unshared", "pages_volatile", "ksm_zero_pages",
    "stable_node_chains", "stable_node_dups", "pages_skipped",
)  # fmt: skip
#: How many pages wait in lists of a CPU, where no compaction finds them: 1 of so many of a zone's.
LISTS = Path("/proc/sys/vm/percpu_pagelist_high_fraction")
OTHERS = (LISTS,)
#: How often run = 2 is tried: it gives up where a page is in use for a moment.
TRIES = 20


class Knobs:
    """The directory, as numbers and words by name."""

    def __init__(self, directory: Path = KSM) -> None:
        self.directory = directory

    def read(self, name: str) -> str:
        """What a file says; of several words the chosen one, as `[none] scan-time` has it."""
        words = (self.directory / name).read_text().split()
        return next((word[1:-1] for word in words if word.startswith("[")), words[0])

    def number(self, name: str) -> int:
        """A counter; 0 if this kernel has none of that name."""
        try:
            return int(self.read(name))
        except FileNotFoundError:
            return 0

    def write(self, name: str, value: int | str) -> int:
        """Write a knob: 0 or a negative error number, -EINVAL for one that is not there."""
        try:
            file = os.open(self.directory / name, os.O_WRONLY | os.O_TRUNC)
        except FileNotFoundError:
            return -errno.EINVAL
        try:
            os.write(file, str(value).encode())
        except OSError as error:
            return -(error.errno or errno.EIO)
        finally:
            os.close(file)
        return 0

    def counters(self) -> dict[str, int]:
        """All counters."""
        return {name: self.number(name) for name in COUNTERS}

    def has(self, name: str) -> bool:
        """Whether this kernel has such a file."""
        return (self.directory / name).exists()

    def unmerge(self) -> int:
        """run = 2, then 0: nothing is merged, nothing is remembered."""
        for _ in range(TRIES):
            error = self.write("run", UNMERGE)
            if not error:
                break
            time.sleep(0.01)
        return self.write("run", STOP) or error

    def begin(self, asked: Mapping[str, int]) -> None:
        """Make the state that a run begins with; `asked` are the knobs of the litmus."""
        self.unmerge()
        for name, value in {**BEGINNING, **asked}.items():
            if name != "run":
                self.write(name, value)


def save(knobs: Knobs, state: Path, others: Sequence[Path] = OTHERS) -> None:
    """Note in a file what the knobs are, and what other files say that a run may change."""
    saved = {name: knobs.read(name) for name in SAVED if knobs.has(name)}
    files = {str(path): path.read_text() for path in others if path.exists()}
    noted = {"ksm": str(knobs.directory), "knobs": saved, "files": files}
    state.write_text(json.dumps(noted))


def restore(state: Path) -> None:
    """Put back what a file notes, and empty it; nothing is to do if it is empty.

    run = 2 comes first, as some knobs want nothing merged, then 0.
    """
    text = state.read_text() if state.exists() else ""
    if not text:
        return
    noted = json.loads(text)
    knobs = Knobs(Path(noted["ksm"]))
    knobs.unmerge()
    for name, value in noted["knobs"].items():
        knobs.write(name, value)
    for path, said in noted["files"].items():
        if Path(path).read_text() != said:
            Path(path).write_text(said)
    state.write_text("")
