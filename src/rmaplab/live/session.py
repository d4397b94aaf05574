"""The right to use KSM of the running machine: the lock, what is missing, and all put back."""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import rmaplab
from rmaplab.errors import InputError, LiveError
from rmaplab.live.knobs import KSM, STOP, Knobs, restore, save

#: Who changes KSM's knobs holds this file locked; it has the knobs to put back meanwhile.
LOCK = Path(tempfile.gettempdir()) / "rmaplab-ksm.lock"
ADDR_NO_RANDOMIZE = 0x0040000
ASK_PERSONALITY = 0xFFFFFFFF
PROC_FILES = ("self/pagemap", "self/smaps", "kpagecount", "kpageflags")


def missing() -> list[str]:
    """What this machine lacks for live runs, in words; nothing if they can be."""
    if platform.system() != "Linux":
        return [f"Linux (this is {platform.system()})"]
    lacks = [] if os.geteuid() == 0 else ["root"]
    if not KSM.is_dir():
        lacks.append(f"KSM ({KSM}: CONFIG_KSM)")
    for name in PROC_FILES:
        if not Path("/proc", name).exists():
            lacks.append(f"/proc/{name} (CONFIG_PROC_PAGE_MONITOR)")
    return lacks


@contextmanager
def session(lock: Path = LOCK, knobs: Knobs | None = None) -> Iterator[Knobs]:
    """KSM's knobs, ours alone until the end, and put back then, whatever ends it.

    SIGTERM is an interruption meanwhile, and all runs on one CPU: a page waits for the LRU lists
    in the CPU that it was touched on, and its last owner copies it if that is another one.
    InputError if something is missing or somebody else uses KSM.
    """
    knobs = knobs or Knobs()
    if lacks := missing():
        raise InputError(f"a live run needs {', '.join(lacks)}")
    with ExitStack() as stack:
        stack.enter_context(_terminable())
        file = stack.enter_context(_locked(lock))
        restore(lock)  # of a run whose watchdog was killed with it
        _refuse_if_used(knobs)
        save(knobs, lock)
        stack.enter_context(_watched(lock, file))
        stack.enter_context(_on_one_cpu())
        stack.enter_context(_without_randomness())
        yield knobs


@contextmanager
def _locked(lock: Path) -> Iterator[int]:
    """Wait for the lock; its file descriptor."""
    file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        if os.fstat(file).st_uid != os.geteuid():
            raise InputError(f"{lock} is of somebody else: remove it")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another run to be done with KSM", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def _refuse_if_used(knobs: Knobs) -> None:
    counts = [knobs.number(f"pages_{name}") for name in ("shared", "sharing")]
    if knobs.number("run") == STOP and not any(counts):
        return
    in_use = "KSM is in use by somebody else"
    message = f"{in_use}: stop it, and write 2, then 0 to {knobs.directory / 'run'}"
    raise InputError(message)


@contextmanager
def _watched(lock: Path, file: int) -> Iterator[None]:
    """Let the watchdog restore, at the end or when we are killed."""
    path = str(Path(rmaplab.__file__).parent.parent)
    with subprocess.Popen(
        [sys.executable, "-m", "rmaplab.live.watchdog", str(lock)],
        env={**os.environ, "PYTHONPATH": path},
        pass_fds=[file],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as watchdog:
        assert watchdog.stdout is not None
        if not watchdog.stdout.readline():
            raise LiveError("the process that is to put the knobs back does not start")
        yield


@contextmanager
def _on_one_cpu() -> Iterator[None]:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@contextmanager
def _without_randomness() -> Iterator[None]:
    """Interpreters that are started meanwhile have the same VMAs each time."""
    libc = ctypes.CDLL(None)
    before = libc.personality(ASK_PERSONALITY)
    libc.personality(before | ADDR_NO_RANDOMIZE)
    try:
        yield
    finally:
        libc.personality(before)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM interrupts as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
