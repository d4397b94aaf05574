"""The bugs that the modelled kernels really had, as far as calls one after the other show them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from random_calls import Failure, Run

from rmaplab.history import ASIDE, KERNELS
from rmaplab.history.lookup import in_range
from rmaplab.kernel.mm_types import PAGE_MASK
from rmaplab.kernel.pgtable import Pte
from rmaplab.machine import list_for_each_entry
from rmaplab.machine.direct import DirectMachine
from rmaplab.runner.truths import entries_of, walk


@dataclass(frozen=True)
class KnownBug:
    """Which kernels have it, what is complained of in which functions, and a litmus for it.

    Without `kind` and `where` it may show anywhere, in any way: `also` tells.
    """

    name: str
    kernels: tuple[str, ...]
    source: str
    litmus: str
    kind: str | None = None
    where: tuple[str, ...] | None = None  # functions of the kernel that are being run, in order
    also: Callable[[Failure, Run], bool] = lambda failure, run: True

    def is_of(self, kernel: str) -> bool:
        return any(in_range(wanted, kernel) for wanted in self.kernels)

    def explains(self, kernel: str, failure: Failure, run: Run) -> bool:
        where = self.where or ()
        functions = tuple(name for name in failure.functions if name in where)
        return (
            self.is_of(kernel)
            and self.kind in (None, failure.kind)
            and self.where in (None, functions)
            and self.also(failure, run)
        )


def mapping_is_of_no_item(failure: Failure, run: Run) -> bool:
    """A merged page; what its walk does not find, has no rmap_item of its own there."""
    page, kernel = failure.subject, run.system.kernel
    if failure.functions or not kernel.PageKsm(page):
        return False
    entries = set(_entries(run, kernel.page_to_pfn(page)))
    missed = entries - set(walk(run.system, page))
    items = list_for_each_entry(kernel.page_stable_node(page).hlist)
    return bool(missed) and not missed & {(i.mm, i.address & PAGE_MASK) for i in items}


def _entries(run: Run, pfn: int) -> list[tuple[Any, int]]:
    return [
        (mm, address)
        for _, mm in run.system.processes()
        for address, entry in entries_of(mm)
        if isinstance(entry, Pte) and entry.pfn == pfn
    ]


def clone_was_starved(failure: Failure, run: Run) -> bool:
    return {"vma_adjust", "anon_vma_clone"} <= failure.starved


def split_was_starved(failure: Failure, run: Run) -> bool:
    return {"_split_vma", "anon_vma_clone"} <= failure.starved


def cured_by(release: str) -> Callable[[Failure, Run], bool]:
    """Whether a release that has the commit does the same calls, and does not fail so."""

    def cures(failure: Failure, run: Run) -> bool:
        cured = Run(run.litmus, KERNELS[release], DirectMachine(), run.tolerated)
        left = cured.failure()
        if left is None:
            return True
        return str(left) != str(failure) and explanation(release, left, cured) is not None

    return cures


commit_cures_it = cured_by("v2.6.34")


FORKED_FROM = KnownBug(
    "a merged page is not found where it is mapped without an rmap_item",
    kernels=("*",),
    kind="missed-mapping",
    where=(),
    source="""mm/ksm.c of 2.6.34 and 2.6.36, try_to_merge_with_ksm_page: the rmap_item holds
    vma->anon_vma, since 5beb49305251 "mm: change anon_vma linking to fix multi-process server
    scalability issue" (2.6.34) that of the child alone; write_protect_page lets a page pass that
    the parent maps as well. The same, and in every kernel, when the rmap_item from which others
    were forked is gone before ksmd meets the others. ksmd cures it if they are mergeable.""",
    litmus="""
litmus merged-in-the-child
processes A
setup
    A: mmap 0 2
    A: write 0 2 = 1
    A: fork B
    B: madvise 0 2 mergeable
    ksmd: scan 2
    B: exit
    ksmd: scan 2
""",
    also=mapping_is_of_no_item,
)

BUGS = (
    KnownBug(
        "the root drops itself",
        kernels=("seed-v2",),
        kind="refcount-underflow",
        where=("unlink_anon_vmas", "anon_vma_unlink", "drop_anon_vma"),
        source='"[PATCH -mm] only drop root anon_vma if not self", 2010-06-09',
        litmus="""
litmus root-drops-itself
processes A
setup
    A: mmap 0
    A: write 0 = 1
    A: exit
""",
    ),
    KnownBug(
        "the root dies under a pinned child",
        kernels=("012f18004da3",),
        kind="use-after-free",
        where=("ksm_drop_anon_vma", "external_refcount_drop", "anon_vma_lock_of"),
        source='76545066c852 "mm: extend KSM refcounts to the anon_vma root"',
        litmus="""
litmus root-dies
processes A
setup
    A: mmap 0 2
    A: fork C
    A: write 0 = 7
    A: fork B
    B: write 0 2 = 1
    B: madvise 0 2 mergeable
    ksmd: scan 2
    A: exit
    B: exit
    ksmd: scan
""",
    ),
    KnownBug(
        "a page that was merged with nobody has no anon_vma to compare",
        kernels=("21d0d443cdc1..2aeadc30de45",),
        kind="oops",
        where=("write_protect_page", "page_address_in_vma"),
        source='4829b906cc06 "ksm: fix page_address_in_vma anon_vma oops", 2.6.36',
        litmus="""
litmus half-merged
processes A
setup
    A: mmap 0 12
    A: write 0 12 = 1 1 2 2 3 3 4 4 5 5 6 6
    A: fork B
    B: madvise 0 12 mergeable
    ksmd: scan 3
    B: exit
    ksmd: scan 2
    A: fork C
    A: exit
    C: munmap 0 12
    C: mmap 0 2
    C: write 0 2 = 1
    C: madvise 0 2 mergeable
    ksmd: scan
    fail 1 ksmd: scan
    ksmd: scan 2
""",
    ),
    KnownBug(
        "half of a merge of three VMAs is done when memory runs out",
        kernels=(
            *(name for name in sorted(ASIDE) if name not in ("v2.6.33", "before-287d97ac0321")),
            "v2.6.34..v6.2",
        ),
        kind="use-after-free",
        where=("split_to_range",),
        source="""mm/mmap.c of 2.6.34 and 2.6.36, vma_adjust: in the second round of case 6 an error
    of anon_vma_clone is returned though the first round has freed the VMA that vma_merge's callers
    then split: mprotect_fixup, madvise_behavior and mlock_fixup.""",
        litmus="""
litmus half-a-merge
processes A
setup
    A: mmap 0 6
    A: mprotect 2 2 r
    A: write 4 = 1
    fail 1 A: mprotect 2 2 rw
""",
        also=clone_was_starved,
    ),
    KnownBug(
        "a page moves into a VMA that has no anon_vma",
        kernels=(
            *(name for name in sorted(ASIDE) if name != "seed-v2"),
            "v2.6.34..v2.6.39",
            "879bca0a2c4f..d23cb648e365",
        ),
        kind="use-after-free",
        where=(),
        source="""61f67c230a5e "mm/vma: fix anon_vma UAF on mremap() faulted, unfaulted merge",
    6.18.8, CVE-2026-23077; until 965f55dea0e3 "mmap: avoid merging cloned VMAs", 3.0, the same""",
        litmus="""
litmus moved
processes A
setup
    A: mmap 0
    A: write 0 = 1
    A: mremap 0 to 20
    A: mmap 1
    A: mremap 20 to 0
""",
        also=lambda failure, run: ": mremap" in failure.step,
    ),
    KnownBug(
        "a page belongs to the anon_vma of who mapped it first",
        kernels=("before-ea90002b0fa7",),
        kind="missed-mapping",
        where=(),
        source="""what ea90002b0fa7 "anonvma: when setting up page->mapping, we need to pick the
    _oldest_ anonvma" (2.6.34) says of swap; migration maps pages anew in the same way.""",
        litmus="""
litmus first-come
processes A
setup
    A: mmap 0
    A: write 0 = 1
    A: fork B
    A: fork C
    A: exit
    B: migrate 0
""",
        also=lambda failure, run: not run.system.kernel.PageKsm(failure.subject),
    ),
    KnownBug(
        "a fork without memory leaves its VMA on the list",
        kernels=("before-4946d54cb55e",),
        source='4946d54cb55e "rmap: fix anon_vma_fork() memory leak", 2.6.34',
        litmus="""
litmus failed-fork
processes A
setup
    A: mmap 0
    A: write 0 = 1
    fail 4 A: fork B
    A: migrate 0
""",
        also=commit_cures_it,
    ),
    KnownBug(
        "two VMAs share an anon_vma but not the whole chain",
        kernels=("before-d0e9fe1758f2",),
        source='d0e9fe1758f2 "Simplify and comment on anon_vma re-use for anon_vma_prepare()"',
        litmus="""
litmus shorter-chain
processes A
setup
    A: mmap 1
    A: write 1 = 1
    A: fork B
    B: mprotect 1 r
    B: mmap 0
    B: write 0 = 2
    B: mprotect 1 rw
""",
        also=commit_cures_it,
    ),
    KnownBug(
        "a VMA that grows copies its own chain",
        kernels=("before-287d97ac0321",),
        source='287d97ac0321 "vma_adjust: fix the copying of anon_vma chains", 2.6.34',
        litmus="""
litmus own-chain
processes A
setup
    A: mmap 0 3
    A: mprotect 0 r
    A: write 1 = 1
    A: mprotect 1 r
""",
        also=commit_cures_it,
    ),
    KnownBug(
        "a copied chain is turned round",
        kernels=("before-646d87b481da",),
        source='646d87b481da "anon_vma: clone the anon_vma chain in the right order", 2.6.34',
        litmus="""
litmus turned-round
processes A
setup
    A: mmap 0 2
    A: write 0 2 = 1
    A: fork B
    B: mprotect 0 r
    A: fork D
    A: exit
    B: migrate 1
""",
        also=commit_cures_it,
    ),
    KnownBug(
        "freeing an anon_vma looks at the lock of a root that was let go",
        kernels=("88c22088bf23..7f39dda9d86f",),
        kind="use-after-free",
        source='624483f3ea82 "mm: rmap: fix use-after-free in __put_anon_vma", 3.16',
        litmus="""
litmus root-let-go
processes A
setup
    A: mmap 0 2
    A: write 0 2 = 1
    A: fork C
    C: write 0 2 = 5
    C: madvise 0 2 mergeable
    ksmd: scan 2
    A: exit
    C: exit
    ksmd: scan
""",
        also=lambda failure, run: {"_put_anon_vma", "anon_vma_flush"} <= set(failure.functions),
    ),
    KnownBug(
        "a split without memory for the chain tells no error",
        kernels=("ef0855d334e1..624483f3ea82",),
        source='c4ea95d7cd08 "mm: fix anon_vma_clone() error treatment", 3.18',
        litmus="""
litmus split-tells-no-error
processes A
setup
    A: mmap 0 2
    A: write 0 2 = 1
    A: fork B
    fail 3 B: munmap 1
""",
        also=split_was_starved,
    ),
    KnownBug(
        "what is not copied for lack of memory is counted off",
        kernels=("7a3ef208e662..b800c91a0517",),
        kind="bug-on",
        where=("unlink_anon_vmas", "put_empty_anon_vma"),
        source="""3fe89b3e2a7b "mm: fix anon_vma->degree underflow in anon_vma endless growing
    prevention", 4.0""",
        litmus="""
litmus counted-off
processes A
setup
    A: mmap 0 2
    A: write 0 = 1
    fail 2 A: munmap 1
    A: exit
""",
        also=lambda failure, run: "anon_vma_clone" in failure.starved,
    ),
    KnownBug(
        "a VMA that joins its neighbour is not counted",
        kernels=("7a3ef208e662",),
        kind="bug-on",
        where=("unlink_anon_vmas", "put_empty_anon_vma"),
        source='b800c91a0517 "mm: fix corner case in anon_vma endless growing prevention", 3.19',
        litmus="""
litmus not-counted
processes A
setup
    A: mmap 0 2
    A: mprotect 0 r
    A: write 1 = 1
    A: mprotect 0 rw
    A: exit
""",
        also=lambda failure, run: "anon_vma_clone" not in failure.starved,
    ),
    KnownBug(
        "an anon_vma is used a second time while it is a VMA's own",
        kernels=("7a3ef208e662..ca3d76b0aa80",),
        source="""2555283eb40d "mm/rmap: Fix anon_vma->degree ambiguity leading to double-reuse",
    6.0, CVE-2022-42703""",
        litmus="""
litmus used-twice
processes A
setup
    A: mmap 0 2
    A: write 0 2 = 1
    A: fork B
    B: fork C
    B: exit
    C: fork D
    C: mprotect 0 r
    D: mprotect 0 r
    D: fork E
    E: write 1 = 2
    C: exit
    E: fork F
    F: mprotect 0 rw
""",
        also=cured_by("2555283eb40d"),
    ),
    FORKED_FROM,
)


def tolerated(kernel: str) -> Callable[[Failure, Run], bool]:
    """What does not keep a run from going on: nothing is broken by it."""
    return lambda failure, run: FORKED_FROM.explains(kernel, failure, run)


def explanation(kernel: str, failure: Failure, run: Run) -> KnownBug | None:
    return next((bug for bug in BUGS if bug.explains(kernel, failure, run)), None)
