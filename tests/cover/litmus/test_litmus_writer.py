"""The writer is the inverse of the reader."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rmaplab.checker.verdict import VERDICTS, VIOLATIONS
from rmaplab.errors import Place
from rmaplab.litmus.model import Expectation, Litmus, Step
from rmaplab.litmus.operations import (
    BOUNDED,
    KNOBS,
    OPERATIONS,
    WITHOUT_PROCESS,
    Choice,
    Number,
    Operand,
    ProcessName,
    doer,
)
from rmaplab.litmus.reader import read_text
from rmaplab.litmus.wording import tidy
from rmaplab.litmus.writer import write_step, write_text

PLACE = Place("somewhere", 1, 1)
ROOTS = ("A", "B", "init_1")
NAMES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", fullmatch=True)
SPACED = st.sampled_from(list("ab #:=\\\"'\t\n\u00a0é"))
PRINTABLE = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
ABOUTS = st.text(SPACED | PRINTABLE).map(tidy)


def operand_values(operand: Operand) -> st.SearchStrategy[Any]:
    kind = operand.kind
    if isinstance(kind, Number):
        return st.integers(kind.low, kind.high)
    if isinstance(kind, Choice):
        return st.sampled_from(kind.words)
    assert not isinstance(kind, ProcessName)
    return st.booleans() if not operand.is_flag or operand.default is False else st.just(True)


@st.composite
def operands(draw: st.DrawFn, operation: str, child: str) -> dict[str, Any]:
    args: dict[str, Any] = {}
    for operand in OPERATIONS[operation]:
        if isinstance(operand.kind, ProcessName):
            args[operand.name] = child
        elif not operand.optional or operand.default is not None or draw(st.booleans()):
            args[operand.name] = draw(operand_values(operand))
    if operation == "write" and draw(st.booleans()):
        args["cs"] = tuple(draw(st.lists(st.integers(0, 2**64 - 1), min_size=2, max_size=4)))
        args["n"] = len(args["cs"])
        del args["c"]
    if draw(st.booleans()):
        args["fail"] = draw(st.integers(1, 2**20))
    return args


@st.composite
def blocks(draw: st.DrawFn, block: str) -> tuple[Step, ...]:
    """Steps of the roots; the children have names that no other block uses."""
    steps = []
    for number in range(draw(st.integers(0, 4))):
        operation = draw(st.sampled_from(sorted(OPERATIONS)))
        process = None if operation in WITHOUT_PROCESS else draw(st.sampled_from(ROOTS))
        args = draw(operands(operation, f"{block}-{number}"))
        steps.append(Step(operation, doer(operation, process), args, PLACE))
    return tuple(steps)


EXPECTATIONS = st.builds(
    Expectation,
    kernels=st.sampled_from(["*", "seed-v2", "v2.6.34..", "..76545066c852", "a..b", "p.py:Patch"]),
    verdict=st.sampled_from(VERDICTS),
    place=st.just(PLACE),
)
LITMUSES = st.builds(
    Litmus,
    name=NAMES,
    about=ABOUTS,
    processes=st.permutations(ROOTS).map(tuple),
    config=st.dictionaries(st.sampled_from(["CONFIG_KSM", "CONFIG_MIGRATION"]), st.booleans()),
    ksm=st.dictionaries(st.sampled_from(KNOBS), st.integers(0, 2**32 - 1)),
    bound=st.dictionaries(st.sampled_from(BOUNDED), st.integers(1, 2**20)),
    pageblock=st.none() | st.sampled_from([1, 2, 8, 512]),
    setup=blocks("setup_child"),
    cpus=st.integers(0, 8).flatmap(
        lambda count: st.fixed_dictionaries({cpu: blocks(f"child{cpu}") for cpu in range(count)})
    ),
    finally_=blocks("late_child"),
    alive=st.lists(st.sampled_from(ROOTS), unique=True).map(tuple),
    allow=st.lists(st.sampled_from(VIOLATIONS), unique=True).map(tuple),
    expect=st.lists(EXPECTATIONS, max_size=3).map(tuple),
)


def placeless(litmus: Litmus) -> Litmus:
    def moved(steps: tuple[Step, ...]) -> tuple[Step, ...]:
        return tuple(replace(step, place=PLACE) for step in steps)

    return replace(
        litmus,
        setup=moved(litmus.setup),
        cpus={cpu: moved(steps) for cpu, steps in litmus.cpus.items()},
        finally_=moved(litmus.finally_),
        expect=tuple(replace(expectation, place=PLACE) for expectation in litmus.expect),
    )


@given(LITMUSES)
def test_what_is_written_is_read_back(litmus: Litmus) -> None:
    assert placeless(read_text(write_text(litmus))) == litmus


@given(LITMUSES)
def test_writing_is_stable(litmus: Litmus) -> None:
    text = write_text(litmus)

    assert write_text(read_text(text)) == text


@given(st.text(SPACED | PRINTABLE))
def test_a_tidy_docstring_stays_as_it_is(text: str) -> None:
    about = tidy(text)

    assert read_text(write_text(Litmus("x", about))).about == about


def test_a_litmus_is_written_as_people_write_it() -> None:
    text = '''\
litmus root-dies
"""A child outlives its root."""
processes A B
config CONFIG_KSM=n
ksm max_page_sharing=3
bound anon_vma=4
pageblock 1
allow leak

setup
    A: mmap 0 4
    A: write 0 = 1 2 3 4
    A: mremap 0 1 2 to 16
    fail 1 A: fork C
CPU0
    A: exit
CPU1
    ksmd: scan
finally
    B: exit
end alive C
expect
    root-lock       use-after-free
    76545066c852..  clean
'''

    assert write_text(read_text(text)) == text


def test_operands_left_out_by_a_program_are_left_out_in_the_text() -> None:
    assert write_step(Step("mmap", "A", {"at": 3}, PLACE)) == "A: mmap 3"
    assert write_step(Step("mremap", "A", {"at": 3, "new_n": 2}, PLACE)) == "A: mremap 3 1 2"
