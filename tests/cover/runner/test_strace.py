"""The reader of strace logs: a recorded log, the heads of lines, every damage."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from rmaplab.errors import InputError
from rmaplab.runner.strace import (
    Brk,
    Exec,
    Exit,
    Fork,
    Mmap,
    Mprotect,
    Munmap,
    read_strace,
)

PIPELINE = Path(__file__).parents[2] / "data" / "pipeline.strace"
MMAP = "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000001000"
CLONE = "clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD"


class TestRecordedLog:
    """A shell pipeline of six processes, recorded with strace 6.1."""

    def test_number_of_events_of_each_kind(self):
        log = read_strace(str(PIPELINE))

        counts = Counter(type(event).__name__ for event in log)

        # Counted by hand from the log: sh, ls, sort, head, a subshell, wc.
        assert counts == {
            "Mmap": 50,
            "Munmap": 6,
            "Mprotect": 17,
            "Brk": 15,
            "Fork": 5,
            "Exec": 5,
            "Exit": 6,
        }
        assert log.skipped == {"wait4": 7}
        assert log.failed == {}

    @pytest.mark.parametrize(
        ("kind", "call"),
        [
            (Mmap, "mmap"),
            (Munmap, "munmap"),
            (Mprotect, "mprotect"),
            (Brk, "brk"),
            (Fork, "clone"),
            (Exec, "execve"),
            (Exit, "exit_group"),
        ],
    )
    def test_every_process_has_as_many_events_as_calls_began(self, kind, call):
        began = Counter(re.findall(rf"^(\d+)  {call}\(", PIPELINE.read_text(), re.MULTILINE))

        events = [event for event in read_strace(str(PIPELINE)).events if type(event) is kind]

        assert Counter(str(event.pid) for event in events) == began

    def test_addresses_are_those_that_the_calls_returned(self):
        text = PIPELINE.read_text()
        returned = re.findall(r"(?: mmap\(|mmap resumed).*(?<!\.\.\.>) = (0x\w+)$", text, re.M)

        maps = [event for event in read_strace(str(PIPELINE)).events if isinstance(event, Mmap)]

        assert [hex(event.address) for event in maps] == returned

    def test_anonymous_maps_are_those_that_say_so(self):
        maps = [event for event in read_strace(str(PIPELINE)).events if isinstance(event, Mmap)]

        assert sum(event.anonymous for event in maps) == PIPELINE.read_text().count("MAP_ANONYMOUS")
        assert all(event.anonymous == (event.file is None) for event in maps)

    def test_every_child_is_forked_before_its_first_event(self):
        known = {8902}
        for event in read_strace(str(PIPELINE)):
            assert event.pid in known
            if isinstance(event, Fork):
                known.add(event.child)

        assert known == set(range(8902, 8908))

    def test_the_log_has_a_child_that_is_earlier_than_its_fork(self):
        """Or else the test above would show nothing."""
        lines = PIPELINE.read_text().splitlines()
        returned = next(n for n, line in enumerate(lines) if line.endswith("= 8905"))

        assert any(line.startswith("8905 ") for line in lines[:returned])

    def test_a_log_is_read_anew_by_each_iteration(self):
        log = read_strace(str(PIPELINE))

        assert log.events == log.events
        assert log.skipped == {"wait4": 7}


class TestLineHeads:
    """What the options of strace put before a call."""

    @pytest.mark.parametrize(
        "head",
        [
            "7  ",
            "7 ",
            "[pid     7] ",
            "7  21:11:02 ",
            "7  21:11:02.447847 ",
            "[pid 7] 21:11:02.447847 ",
            "7  1795381862.474974 ",
            "7       0.000295 ",
            "7  21:15:34 (+     0.000407) ",
            "7  [00007fde5ab34c47] ",
            "7  [  12] ",
        ],
    )
    def test_head(self, event_of, head):
        assert event_of(head + "munmap(0x1000, 4096) = 0") == Munmap(7, 0x1000, 4096)
        assert event_of(head + "+++ exited with 0 +++") == Exit(7)

    @pytest.mark.parametrize("head", ["", "21:11:02 ", "     0.000326 ", "1795381862.474974 "])
    def test_without_a_pid_the_task_is_0(self, event_of, head):
        assert event_of(head + "munmap(0x1000, 4096)   = 0 <0.000009>") == Munmap(0, 0x1000, 4096)


class TestDamage:
    """Bad logs are told with their place and with what to do."""

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("total nonsense", "not a line of strace's: 'total nonsense'"),
            ("", "not a line of strace's"),
            ("1  mmap(NULL, 8192, PROT_READ", "not a line of strace's"),
            (
                "% time     seconds  usecs/call     calls    errors syscall",
                "not a line of strace's",
            ),
            ("x" * 99, f"'{'x' * 60}...'"),
            ("1  <... mmap resumed>) = 0x1000", "the end of a mmap that did not begin"),
            ("3  <... brk resumed>) = 0x1000", "the end of a brk that did not begin"),
            ("3  <... munmap resumed>garbage", "the end of a munmap that did not begin"),
            (f"3  {MMAP}", "a call before the end of munmap"),
            ("3  brk(NULL <unfinished ...>", "a call before the end of munmap"),
            ("1  munmap(0x1000) = 0", "munmap with strange operands"),
            ("1  munmap(0xQ, 4096) = 0", "munmap with strange operands"),
            ("1  brk(NULL) = unwell", "brk with strange operands"),
            ("1  clone() = 2", "clone with strange operands"),
            ("1  mmap(NULL, 4096, 0x3, 0x22, -1, 0) = 0x1000", "mmap with strange operands"),
            (
                "1  mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 0) = 0x1000",
                "mmap with strange operands",
            ),
        ],
    )
    def test_a_bad_line_in_the_middle(self, log_of, line, message):
        log = log_of(f"1  {MMAP}", "3  munmap(0x1000, 4096 <unfinished ...>", line, f"1  {MMAP}")

        with pytest.raises(InputError) as error:
            _ = log.events

        assert (error.value.place.path, error.value.place.line) == (log.path, 3)
        assert message in str(error.value)
        assert "record it with: rmaplab record -o LOG -- COMMAND" in str(error.value)

    def test_events_before_the_damage_are_told(self, log_of):
        events = iter(log_of(f"1  {MMAP}", "nonsense"))

        assert isinstance(next(events), Mmap)
        with pytest.raises(InputError, match=":2: "):
            next(events)

    @pytest.mark.parametrize("length", [1, 20, len(MMAP)])
    def test_a_last_line_without_its_end(self, tmp_path, length):
        path = tmp_path / "log"
        path.write_text(f"1 {MMAP}\n1 {MMAP[:length]}")

        with pytest.raises(InputError, match=r"log:2: the log is cut off in this line"):
            _ = read_strace(str(path)).events

    def test_a_log_that_ends_after_a_note(self, log_of):
        with pytest.raises(InputError, match=r"log:1: the log is cut off after this line"):
            _ = log_of(f"{CLONE}strace: Process 793 attached").events

    def test_an_empty_log(self, log_of):
        with pytest.raises(InputError, match=r"log: the log is empty; record it with"):
            log_of()

    def test_a_binary_file(self, tmp_path):
        path = tmp_path / "log"
        path.write_bytes(b"\x7fELF\x02\x01\x01\0\xff\xfe")

        with pytest.raises(InputError, match=r"log: a binary file, not a log of strace"):
            read_strace(str(path))

    def test_bytes_that_are_no_text(self, tmp_path):
        path = tmp_path / "log"
        path.write_bytes(b"\xff\xfe\xfa\n")

        with pytest.raises(InputError, match=r"log:1: not a line of strace's"):
            _ = read_strace(str(path)).events

    def test_a_directory(self, tmp_path):
        with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
            read_strace(str(tmp_path))

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(InputError, match=r"nothing: the log cannot be read \(No such file"):
            read_strace(str(tmp_path / "nothing"))

    def test_a_log_cut_inside_a_line_is_never_taken_for_whole(self, tmp_path):
        path = tmp_path / "log"
        whole = PIPELINE.read_bytes()
        for size in (size for size in range(1000) if whole[:size][-1:] != b"\n"):
            path.write_bytes(whole[:size])

            with pytest.raises(InputError):
                _ = read_strace(str(path)).events
