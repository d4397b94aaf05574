"""What a process of a live run executes: system calls by request, until its driver is gone.

A fresh interpreter runs this file alone, so it imports nothing of ours. A request is a message on
a socket: `fork`, with the socket of the child, or a function of libc and its operands. The answer
is the result, or minus the error number.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys

PR_SET_THP_DISABLE = 41


def main(number: int) -> None:
    """Serve the socket with this file descriptor."""
    libc = ctypes.CDLL(None, use_errno=True)
    channel = socket.socket(fileno=number)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    libc.prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
    while True:
        try:
            message, descriptors, _, _ = socket.recv_fds(channel, 4096, 1)
        except ConnectionError:
            message = b""
        if not message:
            os._exit(0)
        name, *operands = message.decode().split()
        if name == "fork":
            channel, answer = fork(channel, descriptors[0])
        else:
            answer = call(libc, name, [int(word) for word in operands])
        channel.send(str(answer).encode())


def fork(channel: socket.socket, descriptor: int) -> tuple[socket.socket, int]:
    """Fork: the socket to serve from now on, and the child's process number (its own is 0)."""
    try:
        pid = os.fork()
    except OSError as error:
        os.close(descriptor)
        return channel, -(error.errno or 0)
    if pid:
        os.close(descriptor)
        return channel, pid
    channel.close()
    return socket.socket(fileno=descriptor), 0


def call(libc: ctypes.CDLL, name: str, operands: list[int]) -> int:
    """Call a function of libc: its result, or minus the error number."""
    function = getattr(libc, name)
    function.restype = ctypes.c_long
    ctypes.set_errno(0)
    answer = int(function(*map(ctypes.c_long, operands)))
    return -ctypes.get_errno() if answer == -1 else answer


if __name__ == "__main__":
    main(int(sys.argv[1]))
