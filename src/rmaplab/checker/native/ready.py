"""Whether compiled code is at hand: it is kept on disk, and made by a process of its own.

A check never waits for a compiler: where there is no code yet, plain Python goes on meanwhile.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).with_name("compiled.py")


@cache
def folder() -> Path:
    """Where compiled code is kept: NUMBA_CACHE_DIR, the user's cache, or for this run only."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    chosen = os.environ.get("NUMBA_CACHE_DIR") or os.path.join(home, "rmaplab")
    try:
        os.makedirs(chosen, exist_ok=True)
        writable = os.access(chosen, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        chosen = tempfile.mkdtemp(prefix="rmaplab-")
        atexit.register(shutil.rmtree, chosen, ignore_errors=True)
    return Path(chosen)


@cache
def stamp() -> Path:
    """The file that tells that code was compiled for this source, processor, Python and numba."""
    from importlib.metadata import version

    from llvmlite.binding import get_host_cpu_name

    found = SOURCE.stat()
    python = sys.implementation.cache_tag
    name = f"{version('numba')}-{python}-{get_host_cpu_name()}"
    return folder() / f"compiled-{name}-{found.st_mtime_ns}-{found.st_size}"


class Compiler:
    """Makes compiled code in the background, once it is asked for."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        #: Why there is no compiled code and will be none.
        self.missing = ""

    def ready(self) -> bool:
        """Whether compiled code can be used now; if not, it is being made."""
        if self.missing:
            return False
        try:
            if stamp().exists():
                return True
        except ImportError as error:
            self.missing = f"numba cannot be imported: {error}"
            return False
        if self._process is None:
            self._process = self._start()
        elif self._process.poll() is not None and not stamp().exists():
            errors = self._process.communicate()[1].strip().splitlines()
            self.missing = "numba failed" + (f": {errors[-1]}" if errors else "")
        return False

    def _start(self) -> subprocess.Popen[str]:
        path = os.pathsep.join(entry for entry in sys.path if entry)
        return subprocess.Popen(
            [sys.executable, "-m", "rmaplab.checker.native.warm"],
            env={**os.environ, "PYTHONPATH": path, "NUMBA_CACHE_DIR": str(folder())},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )


#: Of this process.
COMPILER = Compiler()
