"""The text language: what each line of it means, and where things stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rmaplab.errors import Place
from rmaplab.litmus.model import Expectation, Step
from rmaplab.litmus.reader import read_file, read_text

WHOLE = '''\
# Found by hand, then shrunk.

litmus root-dies-under-pinned-child
"""
A child anon_vma pinned by KSM
  outlives its root.
"""
processes A B    # from the start
config CONFIG_KSM=n CONFIG_MIGRATION=y
ksm max_page_sharing=3 run=0
bound anon_vma=4 mm_struct=2
pageblock 2
allow refcount-underflow leak

setup
    A: mmap 0 4

    # the child
    fail 2 A: fork C
CPU0
    A: exit
CPU1
    ksmd: scan
finally
    C: exit
end alive A C
expect
    root-lock            use-after-free
    76545066c852..       clean      # for good
    *                    undetermined
'''


def step_of(line: str) -> Step:
    (step,) = read_text(f"litmus x\nsetup\n{line}\n").setup
    return step


def test_a_whole_text_fills_every_field() -> None:
    litmus = read_text(WHOLE, "w.litmus")

    assert litmus.name == "root-dies-under-pinned-child"
    assert litmus.about == "A child anon_vma pinned by KSM\n  outlives its root."
    assert litmus.processes == ("A", "B")
    assert litmus.config == {"CONFIG_KSM": False, "CONFIG_MIGRATION": True}
    assert litmus.ksm == {"max_page_sharing": 3, "run": 0}
    assert litmus.bound == {"anon_vma": 4, "mm_struct": 2}
    assert litmus.pageblock == 2
    assert litmus.allow == ("refcount-underflow", "leak")
    assert [step.op for step in litmus.setup] == ["mmap", "fork"]
    assert {cpu: [step.op for step in litmus.cpus[cpu]] for cpu in litmus.cpus} == {
        0: ["exit"],
        1: ["scan"],
    }
    assert [str(step) for step in litmus.finally_] == ["C: exit"]
    assert litmus.alive == ("A", "C")
    assert litmus.path == "w.litmus"


def test_steps_and_expectations_know_their_place() -> None:
    litmus = read_text(WHOLE, "w.litmus")

    assert litmus.setup[0].place == Place("w.litmus", 16, 5)
    assert litmus.setup[1].place == Place("w.litmus", 19, 12)  # the step, after `fail 2`
    assert litmus.cpus[1][0].place == Place("w.litmus", 23, 5)
    assert litmus.expect == (
        Expectation("root-lock", "use-after-free", Place("w.litmus", 28, 5)),
        Expectation("76545066c852..", "clean", Place("w.litmus", 29, 5)),
        Expectation("*", "undetermined", Place("w.litmus", 30, 5)),
    )


def test_a_name_alone_is_a_litmus_with_process_a() -> None:
    litmus = read_text("litmus nothing")

    assert litmus.processes == ("A",)
    assert (litmus.about, litmus.setup, litmus.cpus, litmus.finally_) == ("", (), {}, ())
    assert (litmus.alive, litmus.allow, litmus.expect) == ((), (), ())


@pytest.mark.parametrize(
    ("line", "args"),
    [
        ("A: mmap 3", {"at": 3, "n": 1, "prot": "rw"}),
        ("A: mmap 0 4 none", {"at": 0, "n": 4, "prot": "none"}),
        ("A: write 0 2 = 5", {"at": 0, "n": 2, "c": 5}),
        ("A: write 0=0xff", {"at": 0, "n": 1, "c": 255}),
        ("A: write 0 = 1 2 3 4", {"at": 0, "n": 4, "cs": (1, 2, 3, 4)}),
        ("A: write 0 2 = 8 9 low", {"at": 0, "n": 2, "cs": (8, 9), "low": True}),
        ("A: write 0 2 = 5 low", {"at": 0, "n": 2, "c": 5, "low": True}),
        ("A: poke 0 @100 = 9", {"at": 0, "n": 1, "off": 100, "v": 9}),
        ("A: read 7 2", {"at": 7, "n": 2}),
        ("A: fault 7", {"at": 7, "n": 1, "write": False}),
        ("A: fault 7 2 write", {"at": 7, "n": 2, "write": True}),
        ("A: fork C", {"child": "C"}),
        ("fail 3 A: fork C", {"child": "C", "fail": 3}),
        ("A: exit", {}),
        ("A: exec", {}),
        ("A: new_stack 0 2 = 7", {"at": 0, "n": 2, "c": 7}),
        ("A: new_stack 0 = 7 8", {"at": 0, "n": 2, "cs": (7, 8)}),
        ("A: munmap 1 2", {"at": 1, "n": 2}),
        ("A: mprotect 1 none", {"at": 1, "n": 1, "prot": "none"}),
        ("A: mlock 1", {"at": 1, "n": 1}),
        ("A: munlock 1", {"at": 1, "n": 1}),
        ("A: madvise 0 8 mergeable", {"at": 0, "n": 8, "advice": "mergeable"}),
        ("A: mremap 0 2", {"at": 0, "n": 2}),
        ("A: mremap 0 2 4", {"at": 0, "n": 2, "new_n": 4}),
        (
            "A: mremap 0 2 to 16 dontunmap",
            {"at": 0, "n": 2, "to": 16, "dontunmap": True},
        ),
        ("A: prctl_merge on", {"on": True}),
        ("A: prctl_merge off", {"on": False}),
        ("A: mem_write 0 2 = 5 step 3", {"at": 0, "n": 2, "c": 5, "step": 3}),
        ("A: swap_out 0", {"at": 0, "n": 1}),
        ("A: swap_in 0", {"at": 0, "n": 1}),
        ("A: migrate 0", {"at": 0, "n": 1}),
        ("A: reclaim 0", {"at": 0, "n": 1}),
        ("A: walk 5", {"at": 5, "n": 1}),
        ("A: pin 0", {"at": 0, "n": 1}),
        ("A: unpin 0 2", {"at": 0, "n": 2}),
    ],
)
def test_operands_have_the_names_and_defaults_of_cases(line: str, args: dict[str, Any]) -> None:
    step = step_of(line)

    assert step.op == line.split(": ")[1].split()[0]
    assert step.process == "A"
    assert dict(step.args) == args


@pytest.mark.parametrize(
    ("line", "process", "args"),
    [
        ("scan", "ksmd", {"k": 1}),
        ("ksmd: scan 2", "ksmd", {"k": 2}),
        ("unmerge_all", None, {}),
        ("set smart_scan 1", None, {"knob": "smart_scan", "value": 1}),
        ("ballast", None, {}),
        ("fail 1 compact", None, {"fail": 1}),
    ],
)
def test_global_steps_belong_to_no_process_but_scans_to_ksmd(
    line: str, process: str | None, args: dict[str, Any]
) -> None:
    step = step_of(line)

    assert (step.process, dict(step.args)) == (process, args)


def test_loops_are_expanded_inside_out() -> None:
    loop = "repeat 2\nA: read 1\nrepeat 3\nA: read 2\ndone\ndone\nA: read 3\n"

    litmus = read_text(f"litmus x\nCPU0\n{loop}")

    assert [step.args["at"] for step in litmus.cpus[0]] == [1, 2, 2, 2, 1, 2, 2, 2, 3]
    assert litmus.cpus[0][5].place.line == 6


def test_exactly_ten_thousand_steps_are_allowed() -> None:
    litmus = read_text("litmus x\nsetup\nrepeat 9999\nscan\ndone\nfinally\nscan\n")

    assert len(litmus.setup) + len(litmus.finally_) == 10_000


def test_a_child_may_be_named_by_any_cpu_and_again_after_its_exit() -> None:
    text = """litmus x
    setup
        repeat 2
            A: fork B
            B: exit
        done
    CPU0
        C: exit
    CPU1
        A: fork C
    finally
        A: fork C
        C: fork B
    """

    assert len(read_text(text).finally_) == 2


def test_a_fork_that_may_have_failed_may_be_tried_again() -> None:
    litmus = read_text("litmus x\nsetup\nfail 1 A: fork B\nA: fork B\nB: exit\n")

    assert len(litmus.setup) == 3


def test_blocks_may_stand_in_any_order_and_be_empty() -> None:
    litmus = read_text("litmus x\nfinally\nC: exit\nCPU7\nsetup\nA: fork C\nprocesses A\nend")

    assert litmus.cpus == {7: ()}
    assert litmus.finally_[0].process == "C"


@pytest.mark.parametrize(
    ("written", "about"),
    [
        ('"""one "word" here"""', 'one "word" here'),
        (r'"""\"\"\" and \\ and \n"""', r'""" and \ and \n'),
        ('"""\n   # no comment\n     deeper\n\n"""', "# no comment\n  deeper"),
        ('""""""', ""),
    ],
)
def test_a_docstring_loses_only_frame_and_escapes(written: str, about: str) -> None:
    assert read_text(f"litmus x\n{written}\nsetup\nscan\n").about == about


def test_indentation_case_of_line_ends_and_final_newline_do_not_matter() -> None:
    flat = read_text("litmus x\nsetup\nA: mmap 0\nCPU0\nA: exit")
    mailed = read_text(
        "\r\n\tlitmus x  \r\n\r\n\tsetup\r\n  A :mmap   0\r\n  CPU0 # 0\rA: exit\r\n"
    )

    assert list(map(str, mailed.setup)) == list(map(str, flat.setup))
    assert list(map(str, mailed.cpus[0])) == list(map(str, flat.cpus[0]))


def test_keywords_are_plain_words_inside_a_line() -> None:
    assert read_text("litmus setup\nsetup\nA: read 0\n").name == "setup"
    assert read_text("litmus x\nexpect\nmy.py:Patch clean\n").expect[0].kernels == "my.py:Patch"


@pytest.mark.parametrize("kernels", ["seed-v2", "v2.6.34..v6.18", "v2.6.34..", "..v6.18", "*"])
def test_kernels_are_named_alone_by_range_or_all(kernels: str) -> None:
    (expectation,) = read_text(f"litmus x\nexpect\n{kernels} leak\n").expect

    assert (expectation.kernels, expectation.verdict) == (kernels, "leak")


def test_a_file_is_read_by_its_content_or_ending(tmp_path: Path) -> None:
    text = tmp_path / "text.litmus"
    text.write_bytes(b"\xef\xbb\xbflitmus x\nsetup\nscan\n")  # a byte order mark is no content
    case = tmp_path / "case.txt"
    case.write_text('\n {"name": "y", "steps": []}')

    assert read_file(text).name == "x"
    assert read_file(text).setup[0].place == Place(str(text), 3, 1)
    assert read_file(str(case)).name == "y"
