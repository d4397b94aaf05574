"""Each system call as strace prints it."""

from __future__ import annotations

import pytest

from rmaplab.runner.strace import (
    PROT_EXEC,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
    Brk,
    Exec,
    Exit,
    Fork,
    Madvise,
    Mlock,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
)

MMAP = "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000001000"
CLONE = "clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD"
MOVE = frozenset({"MREMAP_MAYMOVE", "MREMAP_FIXED"})
THREAD = "clone3({flags=CLONE_VM|CLONE_FS|CLONE_THREAD, exit_signal=0, stack=0x7f00}"


class TestCalls:
    """Each call as strace prints it."""

    def test_anonymous_private_mmap(self, event_of):
        event = event_of(f"1  {MMAP}")

        flags = frozenset({"MAP_PRIVATE", "MAP_ANONYMOUS"})
        rights = PROT_READ | PROT_WRITE
        assert event == Mmap(1, 0x7F0000001000, 8192, rights, flags, True, None, False)
        assert not event.shared

    @pytest.mark.parametrize(
        ("flags", "fixed", "shared"),
        [
            ("MAP_PRIVATE|MAP_ANONYMOUS|MAP_GROWSDOWN|MAP_STACK", False, False),
            ("MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS", True, False),
            ("MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED_NOREPLACE", True, False),
            ("MAP_SHARED|MAP_ANONYMOUS", False, True),
            ("MAP_SHARED_VALIDATE|MAP_SYNC", False, True),
            ("MAP_PRIVATE|0x40 /* MAP_??? */", False, False),
            ("MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB|21<<MAP_HUGE_SHIFT", False, False),
        ],
    )
    def test_flags_of_mmap(self, event_of, flags, fixed, shared):
        event = event_of(f"1 mmap(0x10000, 4096, PROT_NONE, {flags}, 3, 0x1000) = 0x10000")

        assert (event.fixed, event.shared) == (fixed, shared)
        assert event.flags == set(flags.replace(" /* MAP_??? */", "").split("|"))

    @pytest.mark.parametrize(
        ("text", "prot"),
        [
            ("PROT_NONE", PROT_NONE),
            ("PROT_READ", PROT_READ),
            ("PROT_READ|PROT_WRITE|PROT_EXEC", PROT_READ | PROT_WRITE | PROT_EXEC),
            ("PROT_READ|PROT_GROWSDOWN", PROT_READ),
            ("PROT_READ|0x20 /* PROT_??? */", PROT_READ),
        ],
    )
    def test_rights(self, event_of, text, prot):
        assert event_of(f"1 mprotect(0x1000, 4096, {text}) = 0") == Mprotect(1, 0x1000, 4096, prot)

    @pytest.mark.parametrize(
        ("descriptor", "file"),
        [("3", "3"), ("3</lib/libc.so.6>", "/lib/libc.so.6"), ("3</a, b>", "/a, b")],
    )
    def test_mmap_of_a_file(self, event_of, descriptor, file):
        event = event_of(f"1 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, {descriptor}, 0) = 0x9000")

        assert (event.anonymous, event.file) == (False, file)

    @pytest.mark.parametrize(
        ("line", "event"),
        [
            ("munmap(0x1000, 8192) = 0", Munmap(1, 0x1000, 8192)),
            ("munmap(NULL, 4096) = 0", Munmap(1, 0, 4096)),
            ("pkey_mprotect(0x1000, 4096, PROT_READ, 2) = 0", Mprotect(1, 0x1000, 4096, 1)),
            ("brk(NULL) = 0x55d0", Brk(1, 0x55D0)),
            ("mlock(0x1000, 100) = 0", Mlock(1, 0x1000, 100, on=True)),
            ("munlock(0x1000, 100) = 0", Mlock(1, 0x1000, 100, on=False)),
            (
                "madvise(0x1000, 4096, MADV_MERGEABLE) = 0",
                Madvise(1, 0x1000, 4096, "MADV_MERGEABLE"),
            ),
            (
                "mremap(0x1000, 4096, 8192, MREMAP_MAYMOVE|MREMAP_FIXED, 0x9000) = 0x9000",
                Mremap(
                    1, 0x1000, 4096, 8192, frozenset({"MREMAP_MAYMOVE", "MREMAP_FIXED"}), 0x9000
                ),
            ),
            ('execve("/bin/sh", ["sh", "-c", "f() = 1"], 0x7f /* 3 vars */) = 0', Exec(1)),
            ("fork() = 2", Fork(1, 2, vm_shared=False, vfork=False)),
            ("vfork() = 2", Fork(1, 2, vm_shared=False, vfork=True)),
            (f"{CLONE}, child_tidptr=0x7f) = 2", Fork(1, 2, vm_shared=False, vfork=False)),
            (f"{THREAD} => {{parent_tid=[2]}}, 88) = 2", Fork(1, 2, vm_shared=True, vfork=False)),
            (
                "clone3({flags=CLONE_VM|CLONE_VFORK}, 88) = 2",
                Fork(1, 2, False, True),
            ),
            ("clone3({flags=0, exit_signal=SIGCHLD}, 88) = 2", Fork(1, 2, False, False)),
            ("fork() = 2 /* 702 in strace's PID NS */", Fork(1, 702, False, False)),
            ("exit_group(0) = ?", Exit(1)),
            ("exit(0) = ?", Exit(1)),
            ("+++ exited with 0 +++", Exit(1)),
            ("+++ killed by SIGSEGV (core dumped) +++", Exit(1)),
        ],
    )
    def test_event(self, event_of, line, event):
        assert event_of(f"1  {line}") == event

    def test_a_failed_call_is_counted_and_no_event(self, log_of):
        log = log_of(
            "1 mmap(NULL, 0, PROT_READ, MAP_PRIVATE, 3, 0) = -1 EINVAL (Invalid argument)",
            '1 execve("/x/ls", ["ls"], 0x7f /* 3 vars */) = -1 ENOENT (No such file or directory)',
            "1 fork() = ? ERESTARTNOINTR (To be restarted)",
        )

        assert log.events == []
        assert log.failed == {"mmap": 1, "execve": 1, "fork": 1}

    def test_other_calls_are_counted_by_name(self, log_of):
        log = log_of("1 getpid() = 1", "1 getpid() = 1", "1 msync(0x1000, 4096) = 0")

        assert log.events == []
        assert log.skipped == {"getpid": 2, "msync": 1}

    def test_signals_are_passed_over(self, log_of):
        assert (
            log_of("1 --- SIGCHLD {si_signo=SIGCHLD} ---", "--- stopped by SIGSTOP ---").events
            == []
        )
