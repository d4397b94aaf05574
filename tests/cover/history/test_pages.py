"""What commits after v2.6.38 changed about pages, each beside the kernel before it."""

from __future__ import annotations

from typing import Any

import pytest

from rmaplab.history import KERNELS
from rmaplab.kernel.pgtable import Pte, SwapEntry
from rmaplab.litmus.reader import read_text
from rmaplab.machine import KernelStateError, pte_get, pte_offset_map
from rmaplab.machine.direct import DirectMachine
from rmaplab.runner.places import address_of
from rmaplab.runner.run import run
from rmaplab.runner.scenario import boot, run_step
from rmaplab.runner.system import System

NONE, OWN = [[0, 1, "none"]], [[0, 1, "own"]]


def seen(kernel: str, steps: str) -> dict[str, Any]:
    """What the last of the steps shows; no truth is broken on the way."""
    result = run(read_text("litmus x\nsetup\n" + steps.replace(";", "\n")), KERNELS[kernel])
    assert result.violation is None, result.violation
    return result.observations[-1]


def after(kernel: str, steps: str) -> System:
    """The system after the steps."""
    litmus = read_text("litmus x\nsetup\n" + steps.replace(";", "\n"))
    system = boot(litmus, KERNELS[kernel], DirectMachine())
    assert [run_step(system, step) for step in litmus.setup] == [0] * len(litmus.setup)
    return system


def entry(system: System, name: str, page: int) -> Any:
    return pte_get(pte_offset_map(system.tasks[name].mm.pgd, address_of(page)))


# mlock and mprotect


@pytest.mark.parametrize(
    ("kernel", "pages"),
    [("1ce82b69e96c", [[0, 1, "own"], [1, 1, "none"]]), ("fed067da46ad", [[0, 2, "none"]])],
)
def test_a_hole_after_it_keeps_mlock_from_making_pages(kernel: str, pages: Any) -> None:
    result = seen(kernel, "A: mmap 0; A: mlock 0 2")

    assert (result["ret"], result["pages"]["A"]) == ("ENOMEM", pages)


def test_mlock_makes_the_pages_of_all_vmas_up_to_one_that_has_none() -> None:
    steps = "A: mmap 0 3; A: mprotect 1 1 none; A: mlock 0 3; A: madvise 2 dontneed"

    result = seen("fed067da46ad", steps)

    assert result["ret"] == "EINVAL"  # VM_LOCKED is set on what mlock never came to
    assert result["pages"]["A"] == [[0, 1, "own"], [1, 2, "none"]]
    assert seen("1ce82b69e96c", steps)["ret"] == 0


@pytest.mark.parametrize(("kernel", "what"), [("v2.6.39", "zero"), ("36f881883c57", "own")])
def test_locked_pages_are_copied_when_they_become_writable(kernel: str, what: str) -> None:
    result = seen(kernel, "A: mmap 0 r; A: mlock 0; A: mprotect 0 rw")

    assert result["pages"]["A"] == [[0, 1, what]]


@pytest.mark.parametrize(("kernel", "writable"), [("v5.19", False), ("64fe24a3e05e", True)])
def test_mprotect_makes_an_exclusive_page_writable(kernel: str, writable: bool) -> None:
    system = after(kernel, "A: mmap 0; A: write 0 = 1; A: mprotect 0 r; A: mprotect 0 rw")

    assert entry(system, "A", 0).write == writable


def test_mprotect_leaves_a_shared_page_as_it_is() -> None:
    system = after(
        "v6.0", "A: mmap 0; A: write 0 = 1; A: fork B; A: mprotect 0 r; A: mprotect 0 rw"
    )

    assert not entry(system, "A", 0).write


# /proc/PID/mem


@pytest.mark.parametrize("kernel", ["v2.6.39", "v4.9", "v5.9", "v6.0"])
@pytest.mark.parametrize("prot", ["none", "r", "rw"])
def test_a_forced_write_makes_a_page_of_ones_own(kernel: str, prot: str) -> None:
    steps = f"A: mmap 0; A: write 0 = 1; A: fork B; A: mprotect 0 {prot}; A: mem_write 0 = 2"
    result = seen(kernel, steps)

    assert result["ret"] == 0
    assert result["changed"] == {"A": [[0, 1]]}
    assert seen(kernel, steps + "; A: mprotect 0 rw")["bytes"] == {
        "A": [[0, 1, "2"]],
        "B": [[0, 1, "1"]],
    }


@pytest.mark.parametrize(("kernel", "error"), [("v2.6.38", "EINVAL"), ("v2.6.39", "EIO")])
def test_a_forced_write_to_nowhere_is_an_error(kernel: str, error: str) -> None:
    assert seen(kernel, "A: mmap 0; A: mem_write 1 = 2")["ret"] == error


def test_a_forced_write_to_the_zero_page_is_wrong() -> None:
    kernel = after("v4.5", "A: mmap 0").kernel

    with pytest.raises(KernelStateError, match="zero page"):
        kernel.write_user_page(None, lambda held: held)


def test_a_forced_write_goes_to_every_so_many_pages() -> None:
    result = seen("v6.0", "A: mmap 0 4; A: mem_write 0 4 = 2 step 3")

    assert result["pages"]["A"] == [[0, 1, "own"], [1, 2, "none"], [3, 1, "own"]]


def test_a_dirty_entry_is_no_proof_of_a_copy_any_more() -> None:
    for kernel, follows in (("64fe24a3e05e", True), ("5535be309971", False)):
        system = after(kernel, "A: mmap 0; A: write 0 = 1; A: fork B; A: mprotect 0 r")
        pte, vma = entry(system, "A", 0), system.tasks["A"].mm.mmap

        assert system.kernel.can_follow_write_pte(pte, vma, True) == follows


# Advice

FREED = "A: mmap 0; A: write 0 = 1; A: madvise 0 free"


@pytest.mark.parametrize(
    ("kernel", "ret", "pages"),
    [
        ("v4.2", "EINVAL", OWN),
        ("v4.5", 0, NONE),
        ("f7ad2a6cb9f7", 0, NONE),
        ("93e06c7a6453", 0, OWN),
        ("v6.0", 0, OWN),
    ],
)
def test_what_is_freed_stays_for_now_without_swap_from_4_12_on(
    kernel: str, ret: Any, pages: Any
) -> None:
    result = seen(kernel, FREED)

    assert (result["ret"], result["pages"]["A"]) == (ret, pages)


@pytest.mark.parametrize(
    ("then", "pages"),
    [
        ("", NONE),
        ("A: read 0;", NONE),
        ("A: write 0 = 2;", OWN),
        ("A: read 0; A: poke 0 @ 1 = 2;", OWN),
        ("A: mem_write 0 = 2;", OWN),
        ("A: fork B; B: exit;", NONE),
        ("A: fork B; A: write 0 = 2; B: exit;", OWN),
        ("A: pin 0;", OWN),
    ],
)
@pytest.mark.parametrize("last", ["A: reclaim 0; A: reclaim 0", "A: madvise 0 pageout"])
def test_reclaim_drops_what_is_freed_and_not_written_since(
    then: str, pages: Any, last: str
) -> None:
    assert seen("v6.0", f"{FREED}; {then} {last}")["pages"]["A"] == pages


@pytest.mark.parametrize(("kernel", "pages"), [("v5.9", NONE), ("6c8e2a256915", OWN)])
def test_what_is_freed_is_not_dropped_under_io_from_5_18_on(kernel: str, pages: Any) -> None:
    assert seen(kernel, f"{FREED}; A: pin 0; A: madvise 0 pageout")["pages"]["A"] == pages


def test_without_swap_reclaim_leaves_what_is_not_freed() -> None:
    result = seen("v6.0", "A: mmap 0; A: write 0 = 1; A: madvise 0 pageout")

    assert (result["ret"], result["pages"]["A"]) == (0, OWN)


@pytest.mark.parametrize("advice", ["free", "cold", "pageout"])
def test_advice_is_an_error_on_locked_memory(advice: str) -> None:
    assert seen("v6.0", f"A: mmap 0; A: mlock 0; A: madvise 0 {advice}")["ret"] == "EINVAL"


@pytest.mark.parametrize(
    ("kernel", "advice", "ret"),
    [
        ("v5.1", "cold", "EINVAL"),
        ("9c276cc65a58", "cold", 0),
        ("9c276cc65a58", "pageout", "EINVAL"),
        ("1a4e58cce84e", "pageout", 0),
    ],
)
def test_advice_is_an_error_before_the_kernel_knows_it(kernel: str, advice: str, ret: Any) -> None:
    assert seen(kernel, f"A: mmap 0; A: write 0 = 1; A: madvise 0 {advice}")["ret"] == ret


@pytest.mark.parametrize(
    ("steps", "stays"),
    [
        ("A: mem_write 0 = 1; A: madvise 0 free", False),
        ("A: mem_write 0 = 1; A: fork B; A: madvise 0 free; B: exit", True),
        ("A: swap_out 0; A: swap_in 0; A: madvise 0 free", False),
        ("A: swap_out 0; A: swap_in 0; A: fork B; A: madvise 0 free; B: exit", True),
    ],
)
def test_a_page_that_others_use_is_not_made_clean(steps: str, stays: bool) -> None:
    system = after("v6.0", f"A: mmap 0; A: write 0 = 1; {steps}")

    assert system.page_at("A", 0).swapbacked == stays


def test_what_was_dirtied_since_it_was_unmapped_is_not_dropped() -> None:
    kernel = after("v6.0", FREED).kernel
    (page,) = kernel.page_cachep.live()
    kernel.get_page(page)

    assert not kernel.remove_unmapped(page)
    kernel.put_page(page)
    page.dirty = True
    assert not kernel.remove_unmapped(page)
    assert kernel.page_count(page) == 1


def test_the_swap_slot_of_what_is_freed_is_free() -> None:
    system = after("v6.0", "A: mmap 0 2; A: write 0 2 = 1; A: swap_out 0 2; A: madvise 0 2 free")

    assert entry(system, "A", 0) is None
    assert not any(slot.swap_map for slot in system.kernel.swap_slots)


@pytest.mark.parametrize(("kernel", "stays"), [("1a4e58cce84e", False), ("12e967fd8e4e", True)])
def test_a_page_of_two_processes_is_not_paged_out(kernel: str, stays: bool) -> None:
    steps = "A: mmap 0 2; A: write 0 2 = 1; A: swap_out 1; A: fork B; B: read 0; A: read 0"
    system = after(kernel, f"{steps}; A: madvise 0 cold; B: madvise 0 cold; A: madvise 0 pageout")

    assert isinstance(entry(system, "B", 0), Pte) == stays


# Who may have a page for himself


@pytest.mark.parametrize(
    ("kernel", "changed"),
    [("1a4e58cce84e", {}), ("09854ba94c6a", {"A": [[0, 1]]}), ("70e806e4e645", {})],
)
def test_a_page_with_another_reference_is_copied_unless_fork_left_it_alone(
    kernel: str, changed: Any
) -> None:
    steps = "A: mmap 0; A: write 0 = 1; A: pin 0; A: fork B; B: exit; A: write 0 = 2"

    assert seen(kernel, steps)["changed"] == changed


@pytest.mark.parametrize("kernel", ["v5.4", "v5.9", "v5.18", "v5.19", "v6.0"])
@pytest.mark.parametrize(
    ("steps", "changed"),
    [
        ("A: fork B; A: write 0 = 2", {"A": [[0, 1]]}),
        ("A: fork B; B: exit; A: write 0 = 2", {}),
        ("A: fork B; A: exit; B: write 0 = 2", {}),
        ("A: fork B; B: write 0 = 2; A: write 0 = 3", {}),
        ("A: fork B; B: fork C; B: exit; A: write 0 = 3", {"A": [[0, 1]]}),
        ("A: pin 0; A: unpin 0; A: fork B; B: exit; A: write 0 = 3", {}),
        ("A: swap_out 0; A: fork B; A: read 0; A: write 0 = 3", {"A": [[0, 1]]}),
    ],
)
def test_a_write_copies_what_others_map(kernel: str, steps: str, changed: Any) -> None:
    assert seen(kernel, f"A: mmap 0; A: write 0 = 1; {steps}")["changed"] == changed


@pytest.mark.parametrize("kernel", ["v5.9", "v5.18", "v5.19", "v6.0"])
def test_what_is_swapped_out_comes_back_for_a_write(kernel: str) -> None:
    alone = "A: mmap 0; A: write 0 = 1; A: swap_out 0; A: poke 0 @ 1 = 1"
    shared = "A: mmap 0; A: write 0 = 1; A: fork B; A: swap_out 0; A: poke 0 @ 1 = 1; B: read 0"

    assert seen(kernel, alone)["bytes"] == {"A": [[0, 1, "1@1=1"]]}
    assert seen(kernel, shared)["bytes"] == {"A": [[0, 1, "1@1=1"]], "B": [[0, 1, "1"]]}


@pytest.mark.parametrize(("kernel", "pages"), [("008cfe4418b3", "f0"), ("70e806e4e645", "own")])
def test_fork_copies_a_pinned_page(kernel: str, pages: str) -> None:
    result = seen(kernel, "A: mmap 0; A: write 0 = 1; A: pin 0; A: fork B")

    assert result["pages"] == {"A": [[0, 1, pages]], "B": [[0, 1, pages]]}
    assert result["bytes"]["B"] == [[0, 1, "1"]]


def test_fork_shares_a_pinned_page_that_is_shared_already() -> None:
    steps = "A: mmap 0; A: write 0 = 1; A: fork B; B: pin 0; B: fork C"

    assert seen("v5.18", steps)["frames"] == {"f0": {"maps": 2, "slots": 2}}
    assert seen("v5.19", steps)["frames"] == {"f0": {"maps": 3, "slots": 3}}


@pytest.mark.parametrize("kernel", ["v5.4", "v5.9", "v5.18", "v6.0"])
def test_a_merged_page_of_two_mappings_is_copied(kernel: str) -> None:
    assert seen(kernel, f"{MERGED}; A: write 1 = 6")["changed"] == {"A": [[1, 1]]}


MERGED = "A: mmap 0 2; A: write 0 2 = 5; A: madvise 0 2 mergeable; ksmd: scan 2"


@pytest.mark.parametrize(
    ("kernel", "changed"),
    [("v4.12", {"A": [[1, 1]]}), ("52d1e606ee73", {}), ("09854ba94c6a", {"A": [[1, 1]]})],
)
def test_a_merged_page_of_one_mapping_is_reused_from_5_1_to_5_9(kernel: str, changed: Any) -> None:
    result = seen(kernel, f"{MERGED}; A: madvise 0 dontneed; A: write 1 = 6")

    assert result["changed"] == changed
    assert seen(kernel, f"{MERGED}; A: munmap 0; A: write 1 = 6; ksmd: scan")["ksm"] == {
        **result["ksm"],
        "pages_shared": 0,
        "pages_sharing": 0,
        "pages_unshared": 0,
        "pages_volatile": 1,
    }


@pytest.mark.parametrize(("kernel", "changed"), [("v5.9", {"A": [[0, 1]]}), ("53a05ad9f21d", {})])
def test_the_reference_of_the_swap_cache_does_not_count(kernel: str, changed: Any) -> None:
    steps = "A: mmap 0; A: write 0 = 1; A: swap_out 0; A: swap_in 0; A: write 0 = 2"

    assert seen(kernel, steps)["changed"] == changed


@pytest.mark.parametrize(("kernel", "changed"), [("v5.18", {"A": [[0, 1]]}), ("6c287605fd56", {})])
def test_an_exclusive_page_is_reused_whoever_has_a_reference(kernel: str, changed: Any) -> None:
    steps = "A: mmap 0; A: write 0 = 1; A: pin 0; A: mprotect 0 r; A: mprotect 0 rw; A: write 0 = 2"

    assert seen(kernel, steps)["changed"] == changed


@pytest.mark.parametrize("kernel", ["v5.19", "v6.0"])
@pytest.mark.parametrize(
    ("steps", "exclusive"),
    [
        ("", True),
        ("A: fork B", False),
        ("A: fork B; B: exit", False),
        ("A: fork B; B: exit; A: write 0 = 2", True),
        ("A: migrate 0", True),
        ("A: fork B; A: migrate 0", False),
        ("A: swap_out 0; A: swap_in 0", True),
        ("A: swap_out 0; A: fork B; A: swap_in 0", False),
        ("A: fork B; A: swap_out 0; A: swap_in 0", False),
        ("A: swap_out 0; swapoff", True),
        ("A: fork B; A: swap_out 0; swapoff", False),
        ("A: mmap 1; A: write 1 = 1; A: madvise 0 2 mergeable; ksmd: scan 2", False),
        ("A: mremap 0 to 5; A: mremap 5 to 0", True),
    ],
)
def test_a_page_is_exclusive_until_it_is_shared(kernel: str, steps: str, exclusive: bool) -> None:
    system = after(kernel, f"A: mmap 0; A: write 0 = 1; {steps}")

    assert system.page_at("A", 0).anon_exclusive == exclusive


def test_swap_entries_tell_from_v5_19_on() -> None:
    steps = "A: mmap 0; A: write 0 = 1; A: swap_out 0"

    assert entry(after("6c287605fd56", steps), "A", 0) == SwapEntry(1)
    assert entry(after("1493a1913e34", steps), "A", 0) == SwapEntry(1, exclusive=True)
    assert entry(after("v6.0", steps + "; A: fork B"), "B", 0) == SwapEntry(1)
