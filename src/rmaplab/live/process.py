"""Processes of a live run: started, asked for system calls, ended."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from rmaplab.errors import LiveError
from rmaplab.live import program

PROGRAM = program.__file__
#: Milliseconds that a process may take for a system call, or to end.
PATIENCE = 30_000


class Process:
    """A process that makes system calls when asked."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self.channel = channel
        channel.settimeout(PATIENCE / 1000)

    def proc(self, name: str) -> Path:
        """A file of /proc about it."""
        return Path(f"/proc/{self.pid}/{name}")

    def call(self, name: str, *operands: int) -> int:
        """Call a function of libc: its result, or minus the error number."""
        return self._asked(" ".join([name, *map(str, operands)]).encode())

    def fork(self) -> Process | int:
        """Its new child, or minus the error number."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            pid = self._asked(b"fork", [theirs.fileno()])
        if pid < 0:
            ours.close()
            return pid
        child = Process(pid, ours)
        child._answer()  # it runs
        return child

    def _asked(self, request: bytes, descriptors: Sequence[int] = ()) -> int:
        try:
            socket.send_fds(self.channel, [request], descriptors)
        except OSError as error:
            raise LiveError(f"process {self.pid} ended by itself: {error}") from error
        return self._answer()

    def _answer(self) -> int:
        try:
            answer = self.channel.recv(64)
        except OSError as error:
            raise LiveError(f"process {self.pid} does not answer: {error}") from error
        if not answer:
            raise LiveError(f"process {self.pid} ended by itself")
        return int(answer)

    def end(self) -> None:
        """Let it exit; returns when its memory is gone."""
        self._ended(0)

    def kill(self) -> None:
        """End it, whatever it does."""
        self._ended(signal.SIGKILL)

    def _ended(self, number: int) -> None:
        try:
            watched = os.pidfd_open(self.pid)
        except ProcessLookupError:
            self.channel.close()
            return
        try:
            self.channel.close()
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(watched, number)
            ended = select.poll()
            ended.register(watched, select.POLLIN)
            if not ended.poll(PATIENCE):
                raise LiveError(f"process {self.pid} does not end")
        finally:
            os.close(watched)


class Family:
    """The processes of a run: all are ended when the run ends, whatever ends it.

    `scratch` is a file in memory that they and the driver share, for the bytes of pages.
    """

    def __init__(self) -> None:
        self.scratch = os.memfd_create("rmaplab")
        os.set_inheritable(self.scratch, True)
        self.members: dict[str, Process] = {}
        self._roots: list[subprocess.Popen[bytes]] = []

    def start(self, name: str) -> Process:
        """A process of its own, related to no other, in a fresh interpreter."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            root = subprocess.Popen(
                [sys.executable, "-I", "-S", "-E", PROGRAM, str(theirs.fileno())],
                pass_fds=[theirs.fileno(), self.scratch],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C is for the driver
            )
        self._roots.append(root)
        self.members[name] = Process(root.pid, ours)
        return self.members[name]

    def end(self, name: str) -> None:
        """One of them exits."""
        self.members.pop(name).end()

    def __enter__(self) -> Family:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self.members.values():
            process.kill()
        for root in self._roots:
            root.wait(PATIENCE / 1000)
        os.close(self.scratch)
