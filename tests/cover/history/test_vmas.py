"""Calls on VMAs: what 6.18.44 showed, and the last kernel that does otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from rmaplab.history import KERNELS
from rmaplab.litmus.reader import read_text
from rmaplab.runner.run import run

#: Steps; of 6.18.44 what the last one returned, and all VMAs then; an older kernel, and the same.
SHOWN: dict[str, tuple[str, Any, list[list[Any]], str, Any, list[list[Any]]]] = {
    "what is taken is refused": (
        "A: mmap 0 2\nA: mmap 1 2",
        "EEXIST", [[0, 2, "rw"]],
        "d2cd9ede6e19", "ENOMEM", [[0, 2, "rw"]],
    ),
    "what has a page joins what never had one": (
        "A: mmap 0 2\nA: madvise 1 dontfork\nA: write 1 = 1\nA: madvise 1 dofork",
        0, [[0, 2, "rw"]],
        "mprotect-unaccounts", 0, [[0, 1, "rw"], [1, 1, "rw"]],
    ),
    "two families do not join": (
        "A: mmap 0\nA: mmap 2\nA: write 0 = 1\nA: write 2 = 2\nA: mmap 1",
        0, [[0, 2, "rw"], [2, 1, "rw"]],
        "v2.6.34", 0, [[0, 2, "rw"], [2, 1, "rw"]],
    ),
    "what was never written need not be accounted for": (
        "A: mmap 0\nA: mmap 1 r\nA: mprotect 0 r",
        0, [[0, 2, "r"]],
        "824135c46b00", 0, [[0, 1, "r"], [1, 1, "r"]],
    ),
    "what grows meets its neighbour": (
        "A: mmap 0\nA: mmap 2\nA: mremap 0 1 2",
        0, [[0, 3, "rw"]],
        "550a7d60bd5e", 0, [[0, 2, "rw"], [2, 1, "rw"]],
    ),
    "a move of nothing unmaps nothing": (
        "A: mmap 10 r\nA: mremap 0 to 10",
        "EFAULT", [[10, 1, "r"]],
        "1583aa278f5f", "EFAULT", [],
    ),
    "a move over the end unmaps nothing": (
        "A: mmap 0\nA: mmap 10 2 r\nA: mremap 0 2 3 to 10",
        "EFAULT", [[0, 1, "rw"], [10, 2, "r"]],
        "879bca0a2c4f", "EFAULT", [[0, 1, "rw"]],
    ),
    "mappings move together, as far apart as they are": (
        "A: mmap 0\nA: mmap 2 2 r\nA: mremap 0 4 to 10",
        0, [[10, 1, "rw"], [12, 2, "r"]],
        "a85dc37186a5", "EFAULT", [[0, 1, "rw"], [2, 2, "r"]],
    ),
    "the source may stay": (
        "A: mmap 0 2 r\nA: mmap 2\nA: write 2 = 1\nA: mremap 2 to 10 dontunmap",
        0, [[0, 2, "r"], [2, 1, "rw"], [10, 1, "rw"]],
        "a4ff8e8620d3", "EINVAL", [[0, 2, "r"], [2, 1, "rw"]],
    ),
    "what is wiped is a VMA of its own": (
        "A: mmap 0 3\nA: madvise 1 wipeonfork",
        0, [[0, 1, "rw"], [1, 1, "rw"], [2, 1, "rw"]],
        "36f881883c57", "EINVAL", [[0, 3, "rw"]],
    ),
}  # fmt: skip


def last(steps: str, kernel: str) -> dict[str, Any]:
    """What is seen after the last step. All pages of the tests are named."""
    text = f"litmus t\nsetup\n{steps}\nA: read 0 13\n"
    return run(read_text(text), KERNELS[kernel]).observations[-2]


@pytest.mark.parametrize("what", SHOWN)
def test_vmas_are_as_the_running_kernel_showed_them(what: str) -> None:
    steps, ret, vmas, _, _, _ = SHOWN[what]

    seen = last(steps, "v6.18")

    assert (seen["ret"], seen["vmas"]["A"]) == (ret, vmas)


@pytest.mark.parametrize("what", SHOWN)
def test_vmas_were_otherwise_before(what: str) -> None:
    steps, _, _, kernel, ret, vmas = SHOWN[what]

    seen = last(steps, kernel)

    assert (seen["ret"], seen["vmas"]["A"]) == (ret, vmas)


@pytest.mark.parametrize(("kernel", "locked"), [("1ce82b69e96c", "own"), ("v6.18", "none")])
def test_mlock_over_a_hole_no_longer_has_the_pages_before_it(kernel: str, locked: str) -> None:
    seen = last("A: mmap 0\nA: mmap 2\nA: mlock 0 3", kernel)

    assert seen["ret"] == "ENOMEM"
    assert seen["pages"]["A"][0][2] == locked


def test_locked_pages_are_copied_when_they_become_writable() -> None:
    steps = "A: mmap 0 r\nA: mlock 0\nA: mprotect 0 rw"

    assert last(steps, "v4.0")["pages"]["A"][0] == [0, 1, "zero"]
    assert last(steps, "v6.18")["pages"]["A"][0] == [0, 1, "own"]


def test_a_child_finds_wiped_memory_empty() -> None:
    text = "litmus t\nsetup\nA: mmap 0 2\nA: write 0 2 = 1 2\nA: madvise 1 wipeonfork\nA: fork B\n"

    (*_, forked) = run(read_text(text), KERNELS["v6.18"]).observations

    assert forked["pages"]["B"] == [[0, 1, "f0"], [1, 1, "none"]]
    assert forked["vmas"]["B"] == [[0, 1, "rw"], [1, 1, "rw"]]


def test_a_mapping_that_was_emptied_is_in_no_family() -> None:
    """Its next page gets an anon_vma of its own."""
    steps = "A: mmap 0\nA: write 0 = 1\nA: mremap 0 to 10 dontunmap\nA: write 0 = 2"

    assert last(steps, "v6.18")["pages"]["A"][0] == [0, 1, "own"]
