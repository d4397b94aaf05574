"""Who lives, and the order of events when calls overlap."""

from __future__ import annotations

import pytest

from rmaplab.runner.strace import (
    Brk,
    Exec,
    Exit,
    Fork,
    Mmap,
    Munmap,
)

MMAP = "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000001000"
CLONE = "clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD"
THREAD = "clone3({flags=CLONE_VM|CLONE_FS|CLONE_THREAD, exit_signal=0, stack=0x7f00}"


class TestPairs:
    """Calls in two lines."""

    def test_an_event_takes_place_when_its_call_resumes(self, log_of):
        log = log_of(
            "1  munmap(0x1000, 4096 <unfinished ...>",
            "2  munmap(0x2000, 4096) = 0",
            "1  <... munmap resumed>)            = 0",
        )

        assert log.events == [Munmap(2, 0x2000, 4096), Munmap(1, 0x1000, 4096)]

    @pytest.mark.parametrize(
        ("start", "end"),
        [
            ("munmap(0x1000, 4096", ") = 0"),
            ("munmap(0x1000, 4096", " ) = 0"),
            ("munmap(", "0x1000, 4096) = 0"),
        ],
    )
    def test_the_operands_may_be_split_anywhere(self, log_of, start, end):
        log = log_of(f"1 {start} <unfinished ...>", f"1 <... munmap resumed>{end}")

        assert log.events == [Munmap(1, 0x1000, 4096)]

    def test_text_that_looks_like_a_result_does_not_end_a_call(self, log_of):
        log = log_of(
            '1 execve("/bin/sh", ["sh", "-c", "(f) = 1"], 0x7f /* 3 vars */ <unfinished ...>',
            "1 <... execve resumed>) = 0",
        )

        assert log.events == [Exec(1)]

    def test_a_call_may_be_under_way_when_the_log_ends(self, log_of):
        assert log_of("1 wait4(-1,  <detached ...>", "2 brk(NULL <unfinished ...>").events == []

    def test_a_task_killed_in_a_call_has_only_its_exit(self, log_of):
        log = log_of(
            "1 munmap(0x1000, 4096 <unfinished ...>",
            "1 <... munmap resumed>) = ?",
            "2 munmap(0x1000, 4096 <unfinished ...>",
            "2 +++ killed by SIGKILL +++",
        )

        assert log.events == [Exit(2)]
        assert log.failed == {"munmap": 1}


class TestOrder:
    """A fork comes before whatever its child does."""

    def test_fork_comes_before_the_first_event_of_its_child(self, log_of):
        log = log_of(
            f"1 {CLONE} <unfinished ...>",
            "2 munmap(0x1000, 4096) = 0",
            "2 +++ exited with 0 +++",
            "1 <... clone resumed>, child_tidptr=0x7f) = 2",
            "1 munmap(0x3000, 4096) = 0",
        )

        fork = Fork(1, 2, vm_shared=False, vfork=False)
        assert log.events == [fork, Munmap(2, 0x1000, 4096), Exit(2), Munmap(1, 0x3000, 4096)]

    def test_a_vforked_child_runs_before_its_parent_resumes(self, log_of):
        log = log_of(
            "1  vfork( <unfinished ...>",
            '2  execve("/bin/true", ["true"], 0x7f /* 3 vars */) = 0',
            "1  <... vfork resumed>)              = 2",
        )

        assert log.events == [Fork(1, 2, vm_shared=False, vfork=True), Exec(2)]

    def test_two_forks_at_once_take_their_own_children(self, log_of):
        log = log_of(
            "1 fork() = 2",
            f"1 {CLONE} <unfinished ...>",
            f"2 {CLONE} <unfinished ...>",
            "4 brk(NULL) = 0x4000",
            "3 brk(NULL) = 0x3000",
            "2 <... clone resumed>, child_tidptr=0x7f) = 4",
            "1 <... clone resumed>, child_tidptr=0x7f) = 3",
        )

        forks = [Fork(parent, child, False, False) for parent, child in ((1, 2), (2, 4), (1, 3))]
        assert log.events == [forks[0], forks[1], Brk(4, 0x4000), forks[2], Brk(3, 0x3000)]

    def test_grandchildren_wait_for_the_fork_of_their_parent(self, log_of):
        log = log_of(
            "1 fork( <unfinished ...>",
            "2 fork( <unfinished ...>",
            "3 brk(NULL) = 0x3000",
            "2 <... fork resumed>) = 3",
            "3 brk(NULL) = 0x3001",
            "2 fork() = 4",
            "4 brk(NULL) = 0x4000",
            "1 <... fork resumed>) = 2",
            "3 brk(NULL) = 0x3002",
        )

        forks = [Fork(parent, child, False, False) for parent, child in ((1, 2), (2, 3), (2, 4))]
        early = [Brk(3, 0x3000), Brk(3, 0x3001)]
        assert log.events == [*forks[:2], *early, forks[2], Brk(4, 0x4000), Brk(3, 0x3002)]

    @pytest.mark.parametrize(
        "end",
        [["1 <... fork resumed>) = -1 EAGAIN (Try again)"], [], ["1 +++ killed by SIGKILL +++"]],
    )
    def test_a_task_that_nobody_forked_is_told_in_the_end(self, log_of, end):
        log = log_of("1 fork( <unfinished ...>", "9 brk(NULL) = 0x9000", *end)

        assert Brk(9, 0x9000) in log.events

    def test_a_pid_may_be_used_again(self, log_of):
        log = log_of(*["1 fork() = 2", "2 brk(NULL) = 0x2000", "2 exit_group(0) = ?"] * 2)

        assert log.events == [Fork(1, 2, False, False), Brk(2, 0x2000), Exit(2)] * 2


class TestEnds:
    """Each task has one Exit."""

    def test_exit_and_the_line_about_it_are_one_event(self, log_of):
        assert log_of("1 exit_group(0) = ?", "1 +++ exited with 0 +++").events == [Exit(1)]

    def test_a_thread_exits_alone(self, log_of):
        log = log_of(
            f"1 {THREAD}, 88) = 2",
            "2 exit(0) = ?",
            "2 +++ exited with 0 +++",
            MMAP.join(("1 ", "")),
        )

        assert [type(event) for event in log.events] == [Fork, Exit, Mmap]

    def test_exit_group_ends_every_thread_but_no_child(self, log_of):
        log = log_of(
            f"1 {THREAD}, 88) = 2",
            f"2 {THREAD}, 88) = 3",
            "1 fork() = 4",
            "2 exit_group(0 <unfinished ...>",
            "3 munmap(0x1000, 4096 <unfinished ...>",
            "2 <... exit_group resumed>) = ?",
            "3 <... munmap resumed>) = ?",
            *(f"{pid} +++ exited with 0 +++" for pid in (3, 1, 2)),
            "4 brk(NULL) = 0x4000",
        )

        assert log.events[3:] == [Exit(1), Exit(3), Exit(2), Brk(4, 0x4000)]

    def test_exec_of_a_thread_goes_on_under_the_pid_of_the_process(self, log_of):
        log = log_of(
            f"1 {THREAD}, 88) = 2",
            f"1 {THREAD}, 88) = 3",
            '3 execve("/bin/true", ["true"], 0x7f /* 3 vars */ <unfinished ...>',
            "2 +++ exited with 0 +++",
            "1 +++ superseded by execve in pid 3 +++",
            "1 <... execve resumed>)             = 0",
        )

        assert log.events[2:] == [Exit(2), Exit(3), Exec(1)]

    def test_exec_of_a_thread_after_the_first_thread_left(self, log_of):
        log = log_of(
            f"1 {THREAD}, 88) = 2",
            "1 exit(0) = ?",
            '2 execve("/bin/true", ["true"], 0x7f /* 3 vars */ <unfinished ...>',
            "1 +++ superseded by execve in pid 2 +++",
            "1 <... execve resumed>)             = 0",
        )

        assert log.events[1:] == [
            Exit(1),
            Fork(2, 1, vm_shared=True, vfork=False),
            Exit(2),
            Exec(1),
        ]

    def test_without_lines_about_exits_exec_ends_the_other_threads(self, log_of):
        log = log_of(f"1 {THREAD}, 88) = 2", '1 execve("/a", ["a"], 0x7f /* 3 vars */) = 0')

        assert log.events[1:] == [Exit(2), Exec(1)]


class TestStandardError:
    """Without -o: notes of strace break lines, and pids are left out while there is one task."""

    def test_the_first_task_is_0_throughout(self, log_of):
        log = log_of(
            "brk(NULL)                               = 0x1000",
            f"{CLONE}strace: Process 793 attached",
            " <unfinished ...>",
            "[pid   793] brk(NULL)                   = 0x2000",
            "[pid   792] <... clone resumed>, child_tidptr=0x7f) = 793",
            "[pid   792] brk(NULL)                   = 0x1001",
            "[pid   793] exit_group(0)               = ?",
            "[pid   793] +++ exited with 0 +++",
            "brk(NULL)                               = 0x1002",
            "exit_group(0)                           = ?",
            "+++ exited with 0 +++",
        )

        brks = [Brk(0, 0x1000), Brk(793, 0x2000), Brk(0, 0x1001), Brk(0, 0x1002)]
        fork = Fork(0, 793, vm_shared=False, vfork=False)
        assert log.events == [brks[0], fork, brks[1], brks[2], Exit(793), brks[3], Exit(0)]

    def test_a_call_broken_by_a_note(self, log_of):
        log = log_of(
            f"{CLONE}strace: Process 5 attached",
            ", child_tidptr=0x7f) = 5",
            "[pid     5] brk(NULL)                   = 0x5000",
            "[pid     4] brk(NULL)                   = 0x4000",
            "strace: Process 5 detached",
        )

        assert log.events == [Fork(0, 5, False, False), Brk(5, 0x5000), Brk(0, 0x4000)]

    def test_the_last_task_has_no_pid_either(self, log_of):
        log = log_of(
            "fork() = 5",
            "[pid     4] exit_group(0)               = ?",
            "[pid     4] +++ exited with 0 +++",
            "brk(NULL)                               = 0x5000",
        )

        assert log.events == [Fork(0, 5, False, False), Exit(0), Brk(5, 0x5000)]
