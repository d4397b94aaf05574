"""Every allocation of every operation is made to fail once: what the kernel then leaves behind.

Nothing, but for what known_bugs.py has: half of a merge of three VMAs.
"""

from __future__ import annotations

from typing import Any

import pytest
from starving import Call, left, sites, starved

from rmaplab.kernel.exec import STACK_TOP_MAX, LinuxBinprm
from rmaplab.kernel.mm_types import PAGE_SIZE, VM_GROWSDOWN, VM_GROWSUP, VM_READ
from rmaplab.kernel.mremap import MREMAP_MAYMOVE
from rmaplab.litmus.operations import OPERATIONS
from rmaplab.runner.places import address_of
from rmaplab.runner.run import check_all
from rmaplab.runner.system import System

RELEASES = ("v2.6.34", "v2.6.36", "v2.6.38", "v3.0", "v3.18", "v4.5", "v5.9", "v6.0")
#: They override functions that allocate in a fork or in a merge.
REVERTS = ("before-4946d54cb55e", "before-287d97ac0321", "before-646d87b481da")
#: Later commits override what these override.
OVERRIDDEN = (
    "ba6f0ff3981e", "v2.6.38", "fed067da46ad", "bb4aa39676f7", "v3.18", "b800c91a0517",
    "ca3d76b0aa80",
)  # fmt: skip
FAMILY = """
A: mmap 0 8
A: write 0 6 = 1 2 3 4 5 6
A: read 7
A: fork B
B: write 1 = 7
"""
MERGEABLE = """
A: mmap 0 4
A: write 0 4 = 5 5 5 6
A: mmap 10
A: write 10 = 6
A: madvise 0 4 mergeable
A: madvise 10 mergeable
A: fork B
"""
MERGED = MERGEABLE + "ksmd: scan 2\n"
SWAPPED = FAMILY + "A: swap_out 0 4\n"
KSM_SWAPPED = MERGED + "A: swap_out 0\nA: swap_in 0\n"

#: In the swap cache and dirty, since somebody held it when it was unmapped.
UNMAPPED = (
    MERGED
    + """
A: pin 0
A: reclaim 0
A: reclaim 0
A: unpin 0
A: mmap 30
A: write 30 = 1
A: swap_out 30
"""
)

#: Steps, the last of which is the one that runs out of memory.
SITUATIONS: dict[str, tuple[str, ...]] = {
    "mmap": (
        "A: mmap 0 4",
        FAMILY + "A: mmap 8 2",
        FAMILY + "A: mmap 20 2 r",
        "A: mmap 0 2\nA: mmap 4 2\nA: write 4 = 1\nA: mmap 2 2",
    ),
    "write": (
        "A: mmap 0\nA: write 0 = 1",
        "A: mmap 0\nA: read 0\nA: write 0 = 1",
        FAMILY + "A: write 0 = 9",
        FAMILY + "B: write 6 = 9",
        MERGED + "A: write 0 = 9",
        SWAPPED + "A: write 1 = 9",
        KSM_SWAPPED + "A: write 1 = 9",
    ),
    "poke": (FAMILY + "B: poke 0 4 @ 8 = 1", SWAPPED + "A: poke 0 @ 8 = 1"),
    "read": ("A: mmap 0 2\nA: read 0 2", SWAPPED + "A: read 0 4", KSM_SWAPPED + "A: read 1"),
    "fault": (FAMILY + "B: fault 0 2 write", "A: mmap 0 2\nA: fault 0 2"),
    "fork": (
        "A: mmap 0\nA: fork B",
        FAMILY + "B: fork C",
        FAMILY + "A: mprotect 2 2 r\nA: fork C",
        MERGED + "A: fork C",
        SWAPPED + "A: fork C",
    ),
    "exit": (FAMILY + "A: exit",),
    "exec": (FAMILY + "B: exec",),
    "munmap": (FAMILY + "B: munmap 2 2", MERGED + "A: munmap 1 2"),
    "mprotect": (
        FAMILY + "B: mprotect 2 2 r",
        FAMILY + "B: mprotect 0 2 r",
        FAMILY + "B: mprotect 4 4 r",
        FAMILY + "B: mprotect 2 2 r\nB: mprotect 2 2 rw",
        "A: mmap 0 4\nA: mprotect 0 2 r\nA: write 2 = 1\nA: mprotect 0 2 rw",
        "A: mmap 0 2\nA: mprotect 0 2 r\nA: mmap 2 2\nA: write 2 = 1\nA: mprotect 2 2 r",
        "A: mmap 4 2\nA: mprotect 4 2 r\nA: mmap 0 4\nA: write 3 = 1\nA: mprotect 2 2 r",
        MERGED + "A: mprotect 1 2 r",
        "A: mmap 0 2 r\nA: mlock 0 2\nA: mprotect 0 2 rw",
        "A: mmap 0 4\nA: mprotect 0 2 r\nA: mlock 0 4\nA: mprotect 0 2 rw",
    ),
    "mem_write": (FAMILY + "B: mem_write 0 8 = 1",),
    "mlock": (
        FAMILY + "B: mlock 2 4",
        "A: mmap 0 4\nA: mlock 0 4",
        SWAPPED + "A: mlock 0 2",
        "A: mmap 0 2\nA: mprotect 0 2 r\nA: mlock 0 2\nA: mmap 2 2\nA: write 2 = 1\n"
        "A: mprotect 2 2 r\nA: mlock 2 2",
    ),
    "munlock": (FAMILY + "B: mlock 0 8\nB: munlock 2 4",),
    "madvise": (
        FAMILY + "A: madvise 2 2 mergeable",
        MERGED + "A: madvise 0 4 unmergeable",
        FAMILY + "B: madvise 2 2 dontfork",
        "A: mmap 0 2\nA: madvise 0 2 dontfork\nA: mmap 2 2\nA: write 2 = 1\n"
        "A: madvise 2 2 dontfork",
        FAMILY + "B: madvise 0 4 dontneed",
        FAMILY + "B: madvise 2 2 wipeonfork",
        FAMILY + "B: madvise 0 4 free",
        FAMILY + "B: madvise 0 4 cold",
        FAMILY + "B: madvise 0 4 pageout",
        SWAPPED + "B: madvise 4 4 pageout",
    ),
    "mremap": (
        FAMILY + "B: mremap 2 2 to 40",
        FAMILY + "B: mremap 2 2 4 to 40",
        FAMILY + "B: mremap 1 4 2 to 40",
        FAMILY + "B: mmap 20 4\nB: mremap 2 2 to 21",
        FAMILY + "B: mremap 0 8 4",
        FAMILY + "B: mlock 0 8\nB: mremap 0 8 9",
        FAMILY + "B: mlock 0 8\nB: mremap 2 2 to 40",
        FAMILY + "B: mlock 0 8\nB: mremap 2 2 4 to 40",
        "A: mmap 0 2\nA: mmap 4 2\nA: write 4 = 1\nA: mmap 20 2\nA: mremap 20 2 to 2",
        MERGED + "A: mremap 1 2 to 20",
        "A: mmap 0 2\nA: mmap 4 2\nA: write 4 = 1\nA: mremap 0 2 4",
        FAMILY + "B: mremap 2 2 to 40 dontunmap",
        FAMILY + "B: mlock 0 8\nB: mremap 2 2 dontunmap",
    ),
    "swap_out": (FAMILY + "A: swap_out 0 4",),
    "swap_in": (SWAPPED + "A: swap_in 0 4",),
    "migrate": (FAMILY + "A: migrate 0 4", MERGED + "A: migrate 0 4"),
    "reclaim": (FAMILY + "A: reclaim 0 4",),
    "walk": (FAMILY + "A: walk 0 4",),
    "pin": (FAMILY + "A: pin 0\nA: unpin 0\nA: pin 1",),
    "unpin": (FAMILY + "A: pin 0\nA: unpin 0",),
    "scan": (
        MERGEABLE + "ksmd: scan 1",
        MERGEABLE + "ksmd: scan 1\nksmd: scan 2",
        MERGED + "A: write 1 = 6\nksmd: scan 2",
    ),
    "unmerge_all": (MERGED + "unmerge_all",),
    "set": (MERGED + "set run 2",),
    "ballast": ("ballast",),
    "compact": (FAMILY + "compact",),
    "brk": ("A: brk 4", "A: brk 4\nA: write 0 = 1\nA: brk 1"),
    "swapoff": (SWAPPED + "swapoff",),
    "swapon": (FAMILY + "A: swap_out 0\nswapoff\nswapon",),
    "new_stack": ("A: new_stack 0 2 = 1",),
}
#: Steps of later kernels, and what only compares them.
NOT_MODELLED = {"prctl_merge"}


def test_every_operation_has_situations_of_its_own() -> None:
    assert set(SITUATIONS) | NOT_MODELLED == set(OPERATIONS)
    for op, situations in SITUATIONS.items():
        for steps in situations:
            assert steps.rsplit("\n", 1)[-1].split()[:2].count(op) == 1, steps


# Calls that no step makes


def mm_of(system: System, name: str = "A") -> Any:
    return system.tasks[name].mm


def brk(system: System, before: int, after: int) -> None:
    mm = mm_of(system)
    mm.start_brk, mm.brk = address_of(100), address_of(before)
    system.kernel.sys_brk(mm, address_of(after))


def grow(system: System, flag: int, how: str, page: int) -> None:
    mm = mm_of(system)
    mm.mmap.vm_flags |= flag
    kernel, address = system.kernel, address_of(page)
    if how == "up":
        kernel.expand_upwards(mm.mmap, address)
    elif how == "find":
        kernel.find_extend_vma(mm, address)
    elif how == "get":
        kernel._get_user_pages(mm, address, 1, write=False)
    elif how == "write":
        kernel.user_write(mm, address, lambda held: held)
    else:
        kernel.user_read(mm, address)


def replace(system: System) -> None:
    system.kernel.sys_mmap(mm_of(system), address_of(1), 2 * PAGE_SIZE, VM_READ, fixed=True)


def move_anywhere(system: System) -> None:
    sizes = (2 * PAGE_SIZE, 4 * PAGE_SIZE)
    system.kernel.sys_mremap(mm_of(system), address_of(0), *sizes, MREMAP_MAYMOVE, 0)


def fork_beside_io(system: System) -> None:
    """A pinned page is copied by fork, from v5.9 on."""
    system.pin("A", 4)
    system.fork("A", "C")
    system.unpin("A", 4)


def swapoff(system: System) -> None:
    system.kernel.sys_swapoff()


def ksmd_turns(system: System) -> None:
    for _ in range(40):
        system.scan_step()


def ksmd_beside_direct_io(system: System) -> None:
    """A page with a reference more than mappings is not merged, so its partner's is undone."""
    system.pin("A", 0)
    ksmd_turns(system)
    system.unpin("A", 0)


def exec_stack(system: System, arguments: int) -> None:
    """What exec does with a new address space, N's, up to where it runs out of memory.

    If that is half-way through the move, no walk finds the pages moved: the process is killed then.
    """
    kernel = system.kernel
    system.declare("N")
    system.exit("N")
    system.tasks["N"].mm = mm = kernel.mm_alloc()
    if mm is None:
        return
    bprm = LinuxBinprm(mm)
    if kernel._bprm_mm_init(bprm):
        return
    for number in range(arguments):
        page = kernel.get_arg_page(bprm, bprm.p - number * PAGE_SIZE)
        if page is None:
            return
        kernel.put_page(page)
    if kernel.setup_arg_pages(bprm, STACK_TOP_MAX - 9 * PAGE_SIZE):
        system.exit("N")


CALLS: dict[str, tuple[str, Call]] = {
    "brk to more": ("", lambda system: brk(system, 100, 104)),
    "brk to less": ("A: mmap 100 6", lambda system: brk(system, 104, 102)),
    "growing by a write": ("A: mmap 20", lambda system: grow(system, VM_GROWSDOWN, "write", 18)),
    "growing by a read": ("A: mmap 20", lambda system: grow(system, VM_GROWSDOWN, "read", 18)),
    "growing for get_user_pages": (
        "A: mmap 20",
        lambda system: grow(system, VM_GROWSDOWN, "get", 18),
    ),
    "growing, locked": (
        "A: mmap 20 1 r\nA: mlock 20",
        lambda system: grow(system, VM_GROWSDOWN, "find", 18),
    ),
    "growing up": ("A: mmap 20", lambda system: grow(system, VM_GROWSUP, "up", 22)),
    "mmap over something": ("A: mmap 0 4", replace),
    "mremap to anywhere": ("A: mmap 0 2\nA: mmap 2 2 r", move_anywhere),
    "fork beside direct I/O": (FAMILY + "A: write 4 = 9", fork_beside_io),
    "swapoff": (SWAPPED, swapoff),
    "swapoff of a page that was merged": (KSM_SWAPPED, swapoff),
    "swapoff of a merged page": (UNMAPPED, swapoff),
    "exec": ("", lambda system: exec_stack(system, 2)),
    "exec without arguments": ("", lambda system: exec_stack(system, 0)),
    "a turn of ksmd's after another": (MERGEABLE, ksmd_turns),
    "a turn of ksmd's beside direct I/O": (MERGEABLE, ksmd_beside_direct_io),
}

CASES: dict[str, tuple[str, Call | None]] = CALLS | {
    f"{steps}": (steps, None) for situations in SITUATIONS.values() for steps in situations
}


#: Without memory for an rmap_item ksmd never gets to the end of its pass: its turns are counted.
SCANS = [case for case in CASES if case.rsplit("\n", 1)[-1].startswith("ksmd")]
RUNS = [*((case, False) for case in CASES), *((case, True) for case in CASES if case not in SCANS)]

STILL_THERE = "entries go back to tables that are there"
NO_NEIGHBOUR = "vma_adjust() needs memory only where a VMA grows over another"
#: What no allocation can fail in, though the names of functions lead to one.
NEVER = {
    ("kernel/munmap.py", "_split_vma", "vma_adjust"): NO_NEIGHBOUR,
    ("kernel/mremap.py", "expand_vma", "vma_adjust"): NO_NEIGHBOUR,
    ("kernel/exec.py", "shift_arg_pages", "vma_adjust"): NO_NEIGHBOUR,
    ("kernel/exec.py", "setup_arg_pages", "mprotect_fixup"): "the flags are the stack's already",
    ("kernel/mremap.py", "move_vma", "move_page_tables_back"): STILL_THERE,
    ("kernel/mremap.py", "move_page_tables_back", "move_page_tables"): STILL_THERE,
    ("history/v3_3.py", "move_page_tables_back", "move_page_tables_back"): STILL_THERE,
    ("history/v3_7.py", "move_page_tables_back", "move_page_tables"): STILL_THERE,
    ("history/v4_5_pages.py", "madvise_vma", "madvise_vma"): "MADV_DONTNEED needs no memory",
    ("history/v2_6_36.py", "swapin_locked", "swapin_map"): "a copy is the writer's alone",
}


@pytest.mark.parametrize("kernel", RELEASES)
@pytest.mark.parametrize(("case", "lasting"), RUNS)
def test_the_truths_hold_and_nothing_is_left(case: str, kernel: str, lasting: bool) -> None:
    for one in starved(kernel, *CASES[case], lasting=lasting):
        check_all(one.system)
        with one.system.machine.running(0, "A"):
            one.again()
        check_all(one.system)
        assert left(one.system) == []


def test_every_allocation_fails_on_every_path_to_it() -> None:
    found: set[tuple[str, int, str]] = set()
    for kernel in ("v2.6.33", "v2.6.34", *OVERRIDDEN, "v4.5", "v5.4", "v6.0", "v6.18"):
        for case in CASES:
            for one in starved(kernel, *CASES[case], lasting=case not in SCANS):
                found |= one.calls
    for kernel in REVERTS:
        for case in (*SITUATIONS["fork"], *SITUATIONS["mprotect"]):
            for one in starved(kernel, case, lasting=True):
                found |= one.calls

    missed = [site for site in sites() if (site.file, site.line, site.called) not in found]
    # KSM's later commits have tests of their own, commit by commit.
    missed = [
        site
        for site in missed
        if not site.file.endswith("_ksm.py") and site.called != "ksm_add_vma"
    ]
    assert {(site.file, site.function, site.called) for site in missed} == set(NEVER), missed
