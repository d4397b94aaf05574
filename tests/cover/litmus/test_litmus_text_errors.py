"""Bad texts: each error has its exact place and says what to write instead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rmaplab.errors import InputError, Place
from rmaplab.litmus.reader import read_file, read_text

#: A text, the line and column of its error, and words that the message must hold.
BAD_TEXTS = [
    # What there is before any block.
    ("limtus x", 1, 1, "`limtus` cannot stand here: write `litmus NAME` first"),
    ("litmus", 1, 7, "the line ends too early: write a name"),
    ("litmus x y", 1, 10, "`y` cannot stand here: write the end of the line"),
    ("litmus x\nA: exit", 2, 1, "`A:` cannot stand here"),
    ('litmus x\n"""abc\nsetup\n', 2, 1, 'write `"""` after it'),
    ("litmus x\nsetpu\n", 2, 1, "did you mean `setup`?"),
    ("litmus x\nprocesses\n", 2, 10, "write a name"),
    ("litmus x\nprocesses A 5\n", 2, 13, "`5` cannot stand here"),
    ("litmus x\nprocesses A B A\n", 2, 15, "process `A` stands here already"),
    ("litmus x\nprocesses end\n", 2, 11, "give the process another name"),
    ("litmus x\nprocesses A\nprocesses B\n", 3, 1, "a second `processes`"),
    ("litmus x\nconfig CONFIG_KSM=1\n", 2, 19, "write one of: y, n"),
    ("litmus x\nconfig KSM=y\n", 2, 8, "write CONFIG_KSM"),
    ("litmus x\nconfig CONFIG_KSM=y CONFIG_KSM=n\n", 2, 21, "has a value already"),
    ("litmus x\nksm max_page_sharin=3\n", 2, 5, "did you mean `max_page_sharing`?"),
    ("litmus x\nksm run=on\n", 2, 9, "write a whole number, 0 to 4294967295"),
    ("litmus x\nksm run\n", 2, 8, "the line ends too early: write ="),
    ("litmus x\nbound anon_vm=3\n", 2, 7, "did you mean `anon_vma`?"),
    ("litmus x\nbound anon_vma=0\n", 2, 16, "write a whole number, 1 to 1048576"),
    ("litmus x\nbound anon_vma=1 anon_vma=2\n", 2, 18, "has a value already"),
    ("litmus x\npageblock 0\n", 2, 11, "write a whole number, 1 to 512"),
    ("litmus x\npageblock 6\n", 2, 11, "`6` is no power of two: write 1, 2, 4 or 8"),
    ("litmus x\nallow leek\n", 2, 7, "did you mean `leak`?"),
    ("litmus x\nallow clean\n", 2, 7, "unknown violation `clean`"),
    # Blocks.
    ("litmus x\nsetup\nCPU0\nsetup\n", 4, 1, "the first, in line 2"),
    ("litmus x\nCPU1\nCPU1\n", 3, 1, "a second `CPU1`"),
    ("litmus x\nfinally\nend\nfinally\n", 4, 1, "a second `finally`"),
    ("litmus x\nend\nend\n", 3, 1, "a second `end`"),
    ("litmus x\nexpect\nexpect\n", 3, 1, "a second `expect`"),
    ("litmus x\nCPU16\n", 2, 1, "unknown block `CPU16`: did you mean `CPU6`?"),
    ("litmus x\nsetup\ncpu0\n", 3, 1, "did you mean `CPU0`?"),
    ("litmus x\nsetup\n scan\nfinaly\n", 4, 1, "did you mean `finally`?"),
    ("litmus x\nCPU0 A: exit\n", 2, 6, "write the end of the line"),
    ("litmus x\nend alive A Q\n", 2, 13, "unknown process `Q`: write A"),
    # Loops.
    ("litmus x\nsetup\n repeat 5\n  scan\nCPU0\n", 3, 2, "`repeat` without `done`"),
    ("litmus x\nsetup\n scan\n done\n", 4, 2, "`done` without `repeat`"),
    ("litmus x\nsetup\n repeat 0\n done\n", 3, 9, "write a whole number, 1 to 10000"),
    ("litmus x\nsetup\n repeat x\n done\n", 3, 9, "write a number"),
    ("litmus x\nsetup\nrepeat 9999\nscan\nscan\ndone\n", 3, 1, "more than 10000 steps"),
    ("litmus x\nCPU0\nrepeat 10000\nscan\ndone\nCPU1\n  scan", 7, 3, "more than 10000 steps"),
    # Who does it.
    ("litmus x\nsetup\n B: exit\n", 3, 2, "unknown process `B`: write A"),
    ("litmus x\nprocesses one two\nsetup\n twoo: exit\n", 4, 2, "did you mean `two`? write one of"),
    ("litmus x\nsetup\n C: exit\n A: fork C\n", 3, 2, "unknown process `C`"),
    ("litmus x\nsetup\n A: compact\n", 3, 5, "write `compact`"),
    ("litmus x\nsetup\n A: scan\n", 3, 5, "write `ksmd: scan [PASSES]`"),
    ("litmus x\nsetup\n ksmd: exit\n", 3, 8, "`ksmd` only scans"),
    ("litmus x\nsetup\n exit\n", 3, 2, "write `PROCESS: exit`"),
    ("litmus x\nsetup\n " + "y" * 50 + "\n", 3, 2, "unknown operation `" + "y" * 37 + "...`"),
    ("litmus x\nsetup\n A\x07: exit\n", 3, 3, "`\\x07:` cannot stand here"),
    ("litmus x\nsetup\n A exit\n", 3, 2, "write `A: exit`"),
    ("litmus x\nsetup\n A:\n", 3, 4, "the line ends too early: write a name"),
    ("litmus x\nsetup\n A: fork A\n", 3, 2, "there is a process `A` already"),
    ("litmus x\nCPU0\n A: fork C\nCPU1\n A: fork C\n", 3, 2, "a process `C` already"),
    ("litmus x\nsetup\n A: fork ksmd\n", 3, 10, "give the process another name"),
    ("litmus x\nsetup\n A: fork\n", 3, 9, "write `PROCESS: fork CHILD`"),
    # What is done.
    ("litmus x\nsetup\n A: forkk B\n", 3, 5, "unknown operation `forkk`: did you mean `fork`?"),
    ("litmus x\nsetup\n A: fail 2 fork C\n", 3, 5, "write `fail NUMBER A: ...`"),
    ("litmus x\nsetup\n fail 0 A: exit\n", 3, 7, "write a whole number, 1 to"),
    ("litmus x\nsetup\n fail A: exit\n", 3, 7, "`A:` cannot stand here: write a number"),
    (
        "litmus x\nsetup\n A: mmap # 0\n",
        3,
        9,
        "write `PROCESS: mmap PAGE [COUNT] [growsdown] [none|r|rw]`",
    ),
    ("litmus x\nsetup\n A: mmap 0 4 rwx\n", 3, 14, "unknown protection `rwx`: did you mean `rw`?"),
    ("litmus x\nsetup\n A: mmap 0 4 rw 5\n", 3, 17, "`5` cannot stand here"),
    ("litmus x\nsetup\n A: mmap 0 4k\n", 3, 12, "`4k` cannot stand here"),
    ("litmus x\nsetup\n A: mmap -1\n", 3, 10, "`-1` is no PAGE: write a whole number, 0 to"),
    ("litmus x\nsetup\n A: mmap 68719476737\n", 3, 10, "0 to 68719476736"),
    ("litmus x\nsetup\n A: mmap 0 0\n", 3, 12, "1 to 1048576"),
    ("litmus x\nsetup\n A: mmap 0 1048577\n", 3, 12, "1 to 1048576"),
    ("litmus x\nsetup\n A: mmap 0 " + "9" * 5000 + "\n", 3, 12, "1 to 1048576"),
    ("litmus x\nsetup\n A: write 0 4\n", 3, 14, "`write` needs = CONTENT... here"),
    ("litmus x\nsetup\n A: write 0 4 =\n", 3, 16, "`write` needs = CONTENT... here"),
    ("litmus x\nsetup\n A: write 0 4 = low\n", 3, 17, "`low` is no CONTENT"),
    ("litmus x\nsetup\n A: write 0 4 = 1 2\n", 3, 17, "2 contents for 4 pages"),
    ("litmus x\nsetup\n A: write 0 = 18446744073709551616\n", 3, 15, "is no CONTENT"),
    ("litmus x\nsetup\n A: write 0 = 1 slow\n", 3, 17, "[low]`"),
    ("litmus x\nsetup\n A: poke 0 = 5\n", 3, 12, "@OFFSET = BYTE`"),
    ("litmus x\nsetup\n A: poke 0 @4096 = 5\n", 3, 13, "0 to 4095"),
    ("litmus x\nsetup\n A: poke 0 @0 = 256\n", 3, 17, "0 to 255"),
    ("litmus x\nsetup\n A: mprotect 0 2\n", 3, 17, "needs none|r|rw here"),
    ("litmus x\nsetup\n A: madvise 0 dontned\n", 3, 15, "did you mean `dontneed`?"),
    ("litmus x\nsetup\n A: mremap 0 2 too 8\n", 3, 16, "[to PAGE] [dontunmap]`"),
    ("litmus x\nsetup\n A: mremap 0 2 to\n", 3, 18, "needs [to PAGE] here"),
    ("litmus x\nsetup\n A: prctl_merge yes\n", 3, 17, "write one of: on, off"),
    ("litmus x\nsetup\n set smart_scn 1\n", 3, 6, "did you mean `smart_scan`?"),
    ("litmus x\nsetup\n set run -1\n", 3, 10, "is no VALUE"),
    ("litmus x\nsetup\n “A: exit”\n", 3, 2, "`“A:` cannot stand here"),
    # What is expected.
    ("litmus x\nexpect\n * cleen\n", 3, 4, "unknown verdict `cleen`: did you mean `clean`?"),
    ("litmus x\nexpect\n v6.18\n", 3, 7, "the line ends too early"),
    ("litmus x\nexpect\n v6.18 clean now\n", 3, 14, "write the end of the line"),
    ("litmus x\nexpect\n a..b..c clean\n", 3, 2, "..LAST, * or before-*"),
    ("litmus x\nexpect\n .. clean\n", 3, 2, "names no kernels"),
    ("litmus x\nexpect\n v2* clean\n", 3, 2, "names no kernels"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), BAD_TEXTS)
def test_a_bad_text_is_refused_at_its_place(
    text: str, line: int, column: int, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        read_text(text, "bad.litmus")

    assert caught.value.place == Place("bad.litmus", line, column)
    assert message in caught.value.message
    assert len(caught.value.message) < 500


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"# only\n# comments", "is empty"),
        (b"litmus x\n\0", "is no text"),
        (b"litmus \xff\n", "is no text"),
        (b"\x7fELF\x02\x01\x01\0", "is no text"),
        (b"#" * (1 << 20) + b"\n", "is longer than 1 MiB"),
    ],
)
def test_a_file_that_holds_no_litmus_is_refused_by_path(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "bad.litmus"
    path.write_bytes(content)

    with pytest.raises(InputError) as caught:
        read_file(path)

    assert caught.value.place == Place(str(path))
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize("text", ["", "\0", "#" * ((1 << 20) + 1)])
def test_text_without_a_file_has_the_same_limits(text: str) -> None:
    with pytest.raises(InputError):
        read_text(text)


def test_the_largest_text_is_read() -> None:
    text = "litmus x\n"

    assert read_text(text + "#" * ((1 << 20) - len(text))).name == "x"


@pytest.mark.parametrize("name", ["missing.litmus", "missing/below.litmus", "."])
def test_a_path_that_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name)

    with pytest.raises(InputError, match=r"no such file|is a directory") as caught:
        read_file(path)

    assert caught.value.place == Place(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.litmus"
    path.write_text("litmus x")
    path.chmod(0)

    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        read_file(path)


def test_a_path_through_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("litmus x")

    with pytest.raises(InputError, match="cannot be read: Not a directory"):
        read_file(tmp_path / "file" / "x.litmus")


def test_deep_nesting_of_loops_is_no_harm() -> None:
    depth = 20_000
    text = "litmus x\nsetup\n" + "repeat 1\n" * depth + "scan\n" + "done\n" * depth

    assert len(read_text(text).setup) == 1


def test_loops_of_loops_are_refused_before_they_grow() -> None:
    text = "litmus x\nsetup\n" + "repeat 10000\n" * 50 + "scan\n" + "done\n" * 50

    with pytest.raises(InputError, match="more than 10000 steps") as caught:
        read_text(text, "x")

    assert caught.value.place == Place("x", 51, 1)
