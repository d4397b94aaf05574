"""Replays of strace logs: a recorded one, and small ones whose effect is plain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from broken_kernels import MremapLeavesTheEntries
from kernels import SHOWN

from rmaplab.errors import InputError
from rmaplab.history import KERNELS, V2_6_36, V2_6_38, SeedV2
from rmaplab.machine import list_add_tail
from rmaplab.runner.choice import newest_release
from rmaplab.runner.faults import Fault, Faults, read_faults
from rmaplab.runner.replay import ELSEWHERE, NOBODY, WRITTEN, ReplayResult, replay
from rmaplab.runner.texts import render_replay
from rmaplab.runner.touch import ALL, FIRST_PAGES, NONE, Touch

PIPELINE = Path(__file__).parents[2] / "data" / "pipeline.strace"

EXEC = '1 execve("/bin/x", ["x"], 0x0 /* 0 vars */) = 0'
PRIVATE = "MAP_PRIVATE|MAP_ANONYMOUS"


def mmap(pid: int, address: int, pages: int, flags: str = PRIVATE, fd: int = -1) -> str:
    rights = "PROT_READ|PROT_WRITE"
    return f"{pid} mmap(NULL, {pages * 4096}, {rights}, {flags}, {fd}, 0) = {address:#x}"


def fork(pid: int, child: int, flags: str = "SIGCHLD") -> str:
    return f"{pid} clone(child_stack=NULL, flags={flags}) = {child}"


def gone(pid: int) -> str:
    return f"{pid} +++ exited with 0 +++"


@pytest.fixture
def replayed(tmp_path: Path):
    """A function from lines to what their replay gives."""

    def do(
        *lines: str,
        kernel: Any = V2_6_38,
        touch: Touch = FIRST_PAGES,
        faults: Faults | None = None,
    ) -> ReplayResult:
        path = tmp_path / "log"
        path.write_text("".join(f"{line}\n" for line in lines))
        return replay(path, kernel, touch, faults)

    return do


@pytest.mark.parametrize("name", [name for name in SHOWN if name != "seed-v2"])
def test_the_recorded_pipeline_replays_clean(name: str) -> None:
    result = replay(PIPELINE, KERNELS[name])

    assert result.violation is None
    assert result.alive == ()
    assert result.replayed["fork"] == 5
    assert result.replayed["execve"] == 5
    assert result.replayed["exit"] == 6


def test_every_call_of_the_pipeline_is_counted_once() -> None:
    result = replay(PIPELINE, V2_6_38)
    text = PIPELINE.read_text()

    for name in ("mmap", "munmap", "mprotect", "brk"):
        calls = text.count(f"  {name}(")
        skipped = sum(count for (call, _), count in result.skipped.items() if call == name)
        assert result.replayed[name] + skipped == calls


DATA = PIPELINE.parent / "strace"


@pytest.mark.parametrize("release", ["v2.6.34", "v2.6.38", newest_release()])
@pytest.mark.parametrize(
    ("name", "calls"),
    [
        # 12 requests, in server.c: a client and a child with a thread each.
        ("server", {"fork": 24, "clone": 12, "mremap": 12, "exit": 1 + 24 + 12, "execve": 1}),
        # gcc runs cc1, as, collect2, and that runs ld.
        ("compiler", {"vfork": 4, "execve": 5, "exit": 5}),
        # sh; ls, sort, head; a subshell, its date; cat.
        ("shell", {"fork": 5, "execve": 6, "exit": 6}),
    ],
)
def test_a_recorded_program_replays_clean(release: str, name: str, calls: dict[str, int]) -> None:
    faults = DATA / f"{name}.faults"
    recorded = read_faults(str(faults)) if faults.exists() else None

    result = replay(DATA / f"{name}.strace", KERNELS[release], faults=recorded)

    assert (result.violation, result.alive) == (None, ())
    assert result.replayed | calls == result.replayed
    if recorded is not None:
        assert recorded.left() == result.faults[NOBODY]
        assert result.faults.total() == len(faults.read_text().splitlines())
        assert result.touched == result.faults[WRITTEN] > 0


def test_the_server_has_at_least_the_pages_that_its_source_writes() -> None:
    """16 pages of the cache; each child copies one of them, and writes 16 and 1 of its answer."""
    recorded = read_faults(str(DATA / "server.faults"))

    result = replay(DATA / "server.strace", V2_6_38, faults=recorded)

    assert result.touched >= 16 + 12 * (1 + 16 + 1)
    assert result.peak["anon_vma_chain"] > 2 * 12


def test_the_pipeline_shows_the_underflow_of_the_seed() -> None:
    result = replay(PIPELINE, SeedV2)

    assert result.violation is not None
    assert result.violation.kind == "refcount-underflow"
    assert result.violation.text == "8903: exit"
    assert "refcount-underflow in step 80 (8903: exit): external_refcount" in render_replay(result)


def test_without_a_write_there_is_nothing_to_go_wrong() -> None:
    result = replay(PIPELINE, SeedV2, touch=NONE)

    assert result.violation is None
    assert (result.touched, result.peak["anon_vma"]) == (0, 0)
    assert result.peak["vm_area_struct"] > 0


def test_a_page_is_written_once_up_to_the_limit_per_mapping(replayed) -> None:
    result = replayed(EXEC, mmap(1, 0x10000000, 100), gone(1))

    assert (result.touched, result.untouched) == (FIRST_PAGES.most, 100 - FIRST_PAGES.most)
    assert result.peak == {"anon_vma": 1, "anon_vma_chain": 1, "vm_area_struct": 1}


@pytest.mark.parametrize(
    ("touch", "written"), [(ALL, 100), (Touch(0.25), 25), (Touch(0.001), 1), (NONE, 0)]
)
def test_a_share_of_each_mapping_is_written(replayed, touch: Touch, written: int) -> None:
    result = replayed(EXEC, mmap(1, 0x10000000, 100), gone(1), touch=touch)

    assert result.touched == written


def at(number: int) -> str:
    """The time of a line, as `strace -ttt` has it."""
    return f"1700000000.{number:06}"


def timed(*lines: str) -> list[str]:
    """Lines 100 us apart."""
    return [line.replace(" ", f" {at(100 * n)} ", 1) for n, line in enumerate(lines, 1)]


def fault(number: int, pid: int, page: int, write: bool = True) -> Fault:
    return Fault(float(at(number)), pid, 0x10000000 + page * 4096 + 8, write)


def test_recorded_faults_stand_for_the_estimate(replayed) -> None:
    """Root writes two of four pages, its child one of them: the chains are those of a fork."""
    lines = timed(EXEC, mmap(1, 0x10000000, 4), fork(1, 2), gone(2), gone(1))
    faults = [fault(250, 1, 0), fault(250, 1, 1), fault(350, 2, 0), fault(350, 2, 3, write=False)]

    result = replayed(*lines, faults=Faults(faults))

    assert dict(result.faults) == {"written": 3, "read": 1}
    assert (result.touched, result.violation) == (3, None)
    assert result.peak == {"anon_vma": 2, "anon_vma_chain": 3, "vm_area_struct": 2}


def test_a_fault_comes_between_the_calls_that_it_came_between(replayed) -> None:
    """A page is there before it is unmapped, and neither before it is mapped nor after."""
    unmap = "1 munmap(0x10000000, 16384) = 0"
    lines = timed(EXEC, mmap(1, 0x10000000, 4), unmap, gone(1))

    found = [replayed(*lines, faults=Faults([fault(n, 1, 0)])) for n in (150, 250, 350)]

    assert [result.touched for result in found] == [0, 1, 0]
    assert found[0].faults[ELSEWHERE] == found[2].faults[ELSEWHERE] == 1


def test_a_fault_of_a_thread_comes_before_another_unmaps(replayed) -> None:
    """The thread makes no call of its own between its fault and the munmap."""
    unmap = "1 munmap(0x10000000, 16384) = 0"
    start = fork(1, 2, "CLONE_VM|CLONE_THREAD|CLONE_SIGHAND")
    lines = timed(EXEC, mmap(1, 0x10000000, 4), start, unmap, gone(1))

    assert replayed(*lines, faults=Faults([fault(350, 2, 0)])).touched == 1
    assert replayed(*lines, faults=Faults([fault(450, 2, 0)])).touched == 0


def test_a_fault_of_a_file_or_of_a_stranger_is_told(replayed) -> None:
    lines = timed(EXEC, mmap(1, 0x10000000, 4, "MAP_PRIVATE", 3))

    result = replayed(*lines, faults=Faults([fault(250, 1, 0), fault(250, 9, 0)]))

    assert dict(result.faults) == {ELSEWHERE: 1, NOBODY: 1}


def test_faults_need_a_log_with_times(replayed) -> None:
    with pytest.raises(InputError, match=r"log:1: no times; record it with"):
        replayed(EXEC, faults=Faults([fault(250, 1, 0)]))


def test_a_forked_child_writes_a_page_of_each_vma(replayed) -> None:
    """Root and child: two anon_vmas and three chain entries for the VMA, as on a real kernel."""
    lines = EXEC, mmap(1, 0x10000000, 4), fork(1, 2), gone(2), gone(1)

    result = replayed(*lines)

    assert result.touched == 4 + 1
    assert result.peak == {"anon_vma": 2, "anon_vma_chain": 3, "vm_area_struct": 2}
    assert result.replayed["fork"] == 1


@pytest.mark.parametrize(
    ("flags", "name"),
    [("CLONE_VM|CLONE_THREAD|CLONE_SIGHAND", "clone"), ("CLONE_VM|CLONE_VFORK|SIGCHLD", "vfork")],
)
def test_threads_and_vfork_share_the_memory(replayed, flags: str, name: str) -> None:
    lines = EXEC, mmap(1, 0x10000000, 2), fork(1, 2, flags), mmap(2, 0x20000000, 2)

    result = replayed(*lines, "1 munmap(0x20000000, 8192) = 0", gone(2), gone(1))

    assert result.violation is None
    assert result.replayed[name] == 1
    assert result.touched == 4
    assert result.peak["anon_vma"] == 2


def test_an_exec_after_vfork_leaves_the_parent_its_memory(replayed) -> None:
    lines = (
        EXEC,
        mmap(1, 0x10000000, 2),
        fork(1, 2, "CLONE_VM|CLONE_VFORK|SIGCHLD"),
        EXEC.replace("1", "2", 1),
        mmap(2, 0x10000000, 3),
        fork(1, 3),
        *(gone(pid) for pid in (2, 3, 1)),
    )

    result = replayed(*lines)

    assert result.violation is None
    assert result.touched == 2 + 3 + 1
    assert result.alive == ()


def test_file_and_shared_mappings_have_no_pages(replayed) -> None:
    shared = mmap(1, 0x20000000, 2, "MAP_SHARED|MAP_ANONYMOUS")
    huge = mmap(1, 0x30000000, 512, f"{PRIVATE}|MAP_HUGETLB")

    result = replayed(EXEC, mmap(1, 0x10000000, 2, "MAP_PRIVATE", 3), shared, huge, gone(1))

    assert result.touched == 0
    assert result.peak == {"anon_vma": 0, "anon_vma_chain": 0, "vm_area_struct": 3}


def test_the_heap_grows_and_shrinks(replayed) -> None:
    def brk(end: int) -> str:
        return f"1 brk(NULL) = {end:#x}"

    result = replayed(EXEC, *map(brk, (0x5000000, 0x5004000, 0x5001000, 0x5003000)), gone(1))

    assert result.replayed["brk"] == 3
    assert result.touched == 4 + 2
    assert list(result.skipped) == [("brk", "asks where the heap ends")]


def test_a_heap_that_another_mapping_ends_stays_as_it_is(replayed) -> None:
    begin, grow, back = (f"1 brk(NULL) = {end:#x}" for end in (0x5000000, 0x5004000, 0x4FFF000))

    result = replayed(EXEC, begin, mmap(1, 0x5003000, 1), grow, back, gone(1))

    assert (result.violation, result.replayed["brk"], result.touched) == (None, 0, 1)
    assert dict(result.skipped) == {
        ("brk", "asks where the heap ends"): 1,
        ("brk", "ENOMEM: these kernels do not map so much, or so high"): 1,
        ("brk", "ENOMEM: the log does not show who mapped this"): 1,
    }


def test_what_becomes_writable_is_written(replayed) -> None:
    reserve = f"1 mmap(NULL, 16384, PROT_NONE, {PRIVATE}, -1, 0) = 0x10000000"
    commit = "1 mprotect(0x10001000, 8192, PROT_READ|PROT_WRITE) = 0"

    assert replayed(EXEC, reserve, gone(1)).touched == 0
    assert replayed(EXEC, reserve, commit, gone(1)).touched == 2


def mremap(pages: int, new_pages: int, to: int = 0x10000000, flags: str = "MREMAP_MAYMOVE") -> str:
    lengths = f"{pages * 4096}, {new_pages * 4096}"
    return f"1 mremap(0x10000000, {lengths}, {flags}) = {to:#x}"


@pytest.mark.parametrize(
    ("call", "touched"),
    [
        (mremap(4, 6), 4 + 2),
        (mremap(4, 1), 4),
        (mremap(4, 6, 0x20000000), 4 + 2),
        (mremap(4, 1, 0x20000000), 4),
        (mremap(3, 3, 0x20000000), 4),
        (mremap(4, 4, 0x20000000, "MREMAP_MAYMOVE|MREMAP_DONTUNMAP"), 4 + 4),
    ],
)
def test_mremap_keeps_what_was_written_and_adds_fresh_pages(replayed, call, touched) -> None:
    """A child is forked after it, so that the truths are asked of both."""
    lines = EXEC, mmap(1, 0x10000000, 4), call, fork(1, 2), gone(2)

    result = replayed(*lines, gone(1))

    assert (result.violation, result.replayed["mremap"]) == (None, 1)
    vmas = 2 if "DONTUNMAP" in call or "12288" in call else 1
    assert result.touched == touched + vmas  # and the child writes a page of each VMA
    assert result.peak["vm_area_struct"] == 2 * vmas


def test_mremap_is_that_of_the_kernel(replayed) -> None:
    lines = EXEC, mmap(1, 0x10000000, 2), mremap(2, 2, 0x20000000), fork(1, 2), gone(2), gone(1)

    assert replayed(*lines, kernel=V2_6_36).violation is None
    assert replayed(*lines, kernel=MremapLeavesTheEntries).violation is not None


def test_a_mremap_that_these_kernels_refuse_is_told(replayed) -> None:
    between = "1 mprotect(0x10001000, 4096, PROT_READ) = 0"

    result = replayed(EXEC, mmap(1, 0x10000000, 4), between, mremap(4, 4, 0x20000000), gone(1))

    assert result.violation is None
    assert dict(result.skipped) == {("mremap", "EFAULT: the log does not show who mapped this"): 1}


def test_locked_memory_is_not_thrown_away(replayed) -> None:
    advice = "1 madvise(0x10000000, 8192, MADV_DONTNEED) = 0"
    lock, unlock = (f"1 {call}(0x10000000, 8192) = 0" for call in ("mlock", "munlock"))
    lines = EXEC, mmap(1, 0x10000000, 2), lock, advice, unlock, advice

    result = replayed(*lines, "1 mlockall(MCL_CURRENT) = 0", gone(1))

    assert result.violation is None
    counts = {call: result.replayed[call] for call in ("mlock", "munlock", "madvise")}
    assert counts == {"mlock": 1, "munlock": 1, "madvise": 1}
    assert dict(result.skipped) == {
        ("madvise", "EINVAL: these kernels refuse it"): 1,
        ("mlockall", "not modelled"): 1,
    }


def test_skipped_calls_are_counted_with_their_reason(replayed) -> None:
    unknown = "1 mprotect(0x70000000, 4096, PROT_READ) = 0"
    later = "1 madvise(0x10000000, 4096, MADV_FREE) = 0"
    known = "1 madvise(0x10000000, 4096, MADV_DONTNEED) = 0"
    failed = "1 munmap(0x1, 4096) = -1 EINVAL (Invalid argument)"

    result = replayed(
        EXEC, mmap(1, 0x10000000, 2), unknown, later, known, failed, "1 wait4(-1) = 2", gone(1)
    )

    assert dict(result.skipped) == {
        ("mprotect", "ENOMEM: the log does not show who mapped this"): 1,
        ("madvise", "MADV_FREE is not modelled"): 1,
        ("munmap", "failed when it was recorded"): 1,
        ("wait4", "neither changes memory nor makes tasks"): 1,
    }
    assert result.replayed["madvise"] == 1


def test_a_process_without_an_end_is_told(replayed) -> None:
    result = replayed(EXEC, mmap(1, 0x10000000, 2), fork(1, 2), gone(1))

    assert (result.violation, result.alive) == (None, (2,))
    assert "no end in the log: 2" in render_replay(result)
    assert "nothing is left" not in render_replay(result)


def test_a_leak_is_found_at_the_end(replayed) -> None:
    class Keeps(V2_6_38):
        """Frees no chain entry, but keeps it where it can be reached."""

        def anon_vma_chain_free(self, anon_vma_chain: Any) -> None:
            anon_vma_chain.vma = None
            list_add_tail(anon_vma_chain.same_vma, self.ksm.mm_slots_hash)

    result = replayed(EXEC, mmap(1, 0x10000000, 1), gone(1), kernel=Keeps)

    assert result.violation is not None
    assert (result.violation.kind, result.violation.text) == ("leak", "the end of the log")


def test_a_damaged_log_is_refused(replayed) -> None:
    with pytest.raises(InputError):
        replayed(EXEC, "this is no line of strace's")


def test_a_replay_reads_as_text(replayed) -> None:
    text = render_replay(replayed(EXEC, mmap(1, 0x10000000, 70), gone(1)))

    assert text.split("\n", 1)[1] == (
        "\nreplayed:\n    1  execve\n    1  exit\n    1  mmap\n\n"
        "pages written: 64, and 6 of new mappings left alone\n"
        "most at one time: 1 anon_vma, 1 anon_vma_chain, 1 vm_area_struct\n"
        "\nevery truth holds and nothing is left\n"
    )
