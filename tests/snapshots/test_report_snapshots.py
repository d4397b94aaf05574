"""Whole printed reports of verdicts written by hand after known bugs, compared to the letter.

RMAPLAB_UPDATE_SNAPSHOTS=1 writes them anew; then read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rmaplab.checker.verdict import (
    Access,
    Coverage,
    Dependency,
    Frame,
    LedgerEntry,
    LifeEvent,
    Outcome,
    Reference,
    Result,
    TraceStep,
    Violation,
)
from rmaplab.report.document import render_json
from rmaplab.report.matrix import render_clean, render_matrix
from rmaplab.report.violation import render_diagram, render_violation

HERE = Path(__file__).parent
RELEASES = ("v2.6.34", "v2.6.35", "root-lock", "seed-v2", "76545066c852", "f18194275c39")
LATER = ("v2.6.36", "1ce82b69e96c", "v2.6.39", "v3.8", "v6.1", "v6.18")
ASSUMPTIONS = ("memory is sequentially consistent", "page_lock_anon_vma is not called")


def steps(calls: dict[str, str], text: str) -> tuple[TraceStep, ...]:
    """A trace from lines `cpu task call action object field before after source`, `-` = empty."""
    trace = []
    for line in text.strip().splitlines():
        cpu, task, call, *rest = ("" if word == "-" else word for word in line.split())
        action, obj, field, before, after, source = rest
        trace.append(
            TraceStep(int(cpu), task, calls[call], action, obj, field, before, after, source)
        )
    return tuple(trace)


def stack(text: str) -> tuple[Frame, ...]:
    """Frames from lines `function source`, innermost first."""
    return tuple(Frame(*line.split()) for line in text.strip().splitlines())


def violated(litmus: str, kernel: str, violation: Violation, expected: str | None) -> Result:
    """A result that ends in the violation."""
    outcome = Outcome(violation.kind, True, 3160, 9127, 0.09, (violation,))
    return Result(litmus, kernel, outcome, expected, ASSUMPTIONS)


def underflow() -> Result:
    """Seed v2: unlinking a root drops a reference that nobody took, on one CPU."""
    exit_ = "exit_mmap > free_pgtables > unlink_anon_vmas"
    calls = {
        "walk": exit_,
        "unlink": f"{exit_} > anon_vma_unlink",
        "drop": f"{exit_} > anon_vma_unlink > drop_anon_vma",
    }
    trace = steps(
        calls,
        """
0 A walk load A.vma#1 anon_vma_chain (avc#1) (avc#1) kernel/rmap.py:281
0 A walk load avc#1 anon_vma anon_vma#1 anon_vma#1 kernel/rmap.py:283
0 A unlink load anon_vma#1 root anon_vma#1 anon_vma#1 kernel/rmap.py:257
0 A unlink spin_lock anon_vma#1 lock free CPU0 kernel/rmap.py:257
0 A unlink list_del anon_vma#1 head (avc#1) () kernel/rmap.py:258
0 A unlink list_empty anon_vma#1 head () () kernel/rmap.py:261
0 A unlink atomic_read anon_vma#1 external_refcount 0 0 kernel/rmap.py:261
0 A unlink spin_unlock anon_vma#1 lock CPU0 free kernel/rmap.py:262
0 A drop atomic_dec_and_lock anon_vma#1 external_refcount 0 -1 history/seed.py:64
""",
    )
    frames = stack("""
drop_anon_vma history/seed.py:64
anon_vma_unlink history/seed.py:48
unlink_anon_vmas kernel/rmap.py:284
free_pgtables kernel/memory.py:92
exit_mmap kernel/mmap.py:301
""")
    born = stack("""
anon_vma_alloc kernel/rmap.py:61
anon_vma_prepare kernel/rmap.py:118
handle_mm_fault kernel/memory.py:410
""")
    drop = Reference(0, "A", calls["drop"], "history/seed.py:64", 0, -1)
    return violated(
        "exit_alone",
        "seed-v2",
        Violation(
            "refcount-underflow",
            "anon_vma#1.external_refcount went from 0 to -1",
            trace,
            (
                Access(
                    0,
                    "A",
                    "atomic_dec_and_lock",
                    "anon_vma#1",
                    "external_refcount",
                    (),
                    frames,
                    "read-write",
                ),
            ),
            (LifeEvent("allocated", "anon_vma#1", 0, "A", born),),
            (LedgerEntry("anon_vma#1", "external_refcount", (), (drop,), -1),),
        ),
        "refcount-underflow",
    )


def root_lock() -> Result:
    """Nobody pins the root: ksmd's last drop of the child locks a root that is gone."""
    exit_ = "exit_mmap > free_pgtables > unlink_anon_vmas"
    scan = "ksm_do_scan > scan_get_next_rmap_item > remove_trailing_rmap_items"
    drop = f"{scan} > remove_rmap_item_from_tree > drop_anon_vma"
    calls = {
        "walk": exit_,
        "unlink": f"{exit_} > anon_vma_unlink",
        "free": f"{exit_} > anon_vma_unlink > anon_vma_free",
        "item": f"{scan} > remove_rmap_item_from_tree",
        "drop": drop,
    }
    trace = steps(
        calls,
        """
0 B walk load avc#3 anon_vma anon_vma#2 anon_vma#2 kernel/rmap.py:283
0 B unlink spin_lock anon_vma#1 lock free CPU0 kernel/rmap.py:257
0 B unlink list_del anon_vma#2 head (avc#3) () kernel/rmap.py:258
0 B unlink list_empty anon_vma#2 head () () kernel/rmap.py:261
0 B unlink atomic_read anon_vma#2 external_refcount 1 1 kernel/rmap.py:261
0 B unlink spin_unlock anon_vma#1 lock CPU0 free kernel/rmap.py:262
1 ksmd item load rmap_item#1 anon_vma anon_vma#2 anon_vma#2 kernel/ksm.py:530
1 ksmd drop load anon_vma#2 root anon_vma#1 anon_vma#1 kernel/ksm.py:331
0 A walk load avc#1 anon_vma anon_vma#1 anon_vma#1 kernel/rmap.py:283
0 A unlink spin_lock anon_vma#1 lock free CPU0 kernel/rmap.py:257
0 A unlink list_del anon_vma#1 head (avc#1) () kernel/rmap.py:258
0 A unlink list_empty anon_vma#1 head () () kernel/rmap.py:261
0 A unlink spin_unlock anon_vma#1 lock CPU0 free kernel/rmap.py:262
0 A free kmem_cache_free anon_vma#1 - live free kernel/rmap.py:75
1 ksmd drop atomic_dec_and_lock anon_vma#2 external_refcount 1 0 kernel/ksm.py:331
1 ksmd drop spin_lock anon_vma#1 lock - - kernel/ksm.py:331
""",
    )
    frames = stack("""
drop_anon_vma kernel/ksm.py:331
remove_rmap_item_from_tree kernel/ksm.py:530
remove_trailing_rmap_items kernel/ksm.py:561
scan_get_next_rmap_item kernel/ksm.py:1204
ksm_do_scan kernel/ksm.py:1262
""")
    born = stack("""
anon_vma_alloc kernel/rmap.py:61
anon_vma_prepare kernel/rmap.py:118
handle_mm_fault kernel/memory.py:410
""")
    dead = stack("""
anon_vma_free kernel/rmap.py:75
anon_vma_unlink kernel/rmap.py:265
unlink_anon_vmas kernel/rmap.py:284
exit_mmap kernel/mmap.py:301
""")
    hold = "ksm_do_scan > cmp_and_merge_page > try_to_merge_with_ksm_page > hold_anon_vma"
    taken = Reference(1, "ksmd", hold, "kernel/ksm.py:324", 0, 1)
    dropped = Reference(1, "ksmd", drop, "kernel/ksm.py:331", 1, 0)
    return violated(
        "fork_exit_exit_ksm",
        "root-lock",
        Violation(
            "use-after-free",
            "spin_lock of anon_vma#1.lock after anon_vma#1 was freed",
            trace,
            (
                Access(
                    1,
                    "ksmd",
                    "spin_lock",
                    "anon_vma#1",
                    "lock",
                    ("A.mm.mmap_sem",),
                    frames,
                    "read-write",
                    True,
                ),
            ),
            (
                LifeEvent("allocated", "anon_vma#1", 0, "A", born),
                LifeEvent("freed", "anon_vma#1", 0, "A", dead),
            ),
            (LedgerEntry("anon_vma#2", "external_refcount", (taken,), (dropped,), 0),),
        ),
        None,
    )


def race() -> Result:
    """A walker reads page->mapping while ksmd replaces it, on three CPUs."""
    walk = "shrink_page_list > page_referenced > page_referenced_anon > page_lock_anon_vma"
    merge = "ksm_do_scan > cmp_and_merge_page > stable_tree_insert > set_page_stable_node"
    calls = {"walk": walk, "merge": merge, "write": "handle_mm_fault > do_wp_page"}
    trace = steps(
        calls,
        """
0 kswapd walk rcu_read_lock - - - - kernel/rmap.py:340
2 A write spin_trylock page#1 ptl free CPU2 kernel/memory.py:222
1 ksmd merge store page#1 mapping anon_vma#1|ANON stable_node#1|ANON|KSM kernel/ksm.py:280
0 kswapd walk load page#1 mapping stable_node#1|ANON|KSM stable_node#1|ANON|KSM kernel/rmap.py:341
""",
    )
    load = stack("page_lock_anon_vma kernel/rmap.py:341\npage_referenced_anon kernel/rmap.py:402")
    store = stack("set_page_stable_node kernel/ksm.py:280\nstable_tree_insert kernel/ksm.py:1010")
    held = ("page#1.PG_locked", "A.mm.mmap_sem")
    return violated(
        "merge_against_reclaim",
        "v2.6.36",
        Violation(
            "data-race",
            "page#1.mapping is read and written with no lock in common",
            trace,
            (
                Access(0, "kswapd", "load", "page#1", "mapping", (), load, "read", True),
                Access(1, "ksmd", "store", "page#1", "mapping", held, store, "write"),
            ),
        ),
        None,
    )


def leak() -> Result:
    """A failed fork forgets the root's reference."""
    calls = {
        "fork": "dup_mmap > anon_vma_fork",
        "get": "dup_mmap > anon_vma_fork > get_anon_vma",
        "exit": "exit_mmap > unlink_anon_vmas > anon_vma_unlink",
    }
    trace = steps(
        calls,
        """
0 A fork kmem_cache_alloc anon_vma#2 - free live kernel/rmap.py:221
0 A get atomic_inc anon_vma#1 external_refcount 0 1 history/seed.py:31
0 A fork kmem_cache_free anon_vma#2 - live free kernel/rmap.py:244
0 A exit list_del anon_vma#1 head (avc#1) () kernel/rmap.py:258
0 A exit atomic_read anon_vma#1 external_refcount 1 1 kernel/rmap.py:261
""",
    )
    born = stack("anon_vma_alloc kernel/rmap.py:61\nanon_vma_prepare kernel/rmap.py:118")
    taken = Reference(0, "A", calls["get"], "history/seed.py:31", 0, 1)
    return violated(
        "fork_fails",
        "mypatch.py:MyPatch",
        Violation(
            "leak",
            "everybody has gone and 1 object is left",
            trace,
            (),
            (LifeEvent("allocated", "anon_vma#1", 0, "A", born),),
            (LedgerEntry("anon_vma#1", "external_refcount", (taken,), (), 1),),
        ),
        "clean",
    )


def deadlock() -> Result:
    """Two walkers take two roots in opposite orders."""
    calls = {
        "a": "sys_mremap > move_vma > anon_vma_clone",
        "b": "sys_madvise > mm_take_all_locks > vm_lock_anon_vma",
    }
    trace = steps(
        calls,
        """
0 A a spin_lock anon_vma#1 lock free CPU0 kernel/rmap.py:160
1 B b spin_lock anon_vma#2 lock free CPU1 kernel/mmap.py:330
0 A a spin_lock anon_vma#2 lock CPU1 CPU1 kernel/rmap.py:164
1 B b spin_lock anon_vma#1 lock CPU0 CPU0 kernel/mmap.py:330
""",
    )
    first = stack("anon_vma_clone kernel/rmap.py:164\nmove_vma kernel/mremap.py:80")
    second = stack("vm_lock_anon_vma kernel/mmap.py:330\nmm_take_all_locks kernel/mmap.py:351")
    return violated(
        "mremap_against_take_all",
        "v2.6.36",
        Violation(
            "deadlock",
            "CPU0 and CPU1 wait for each other",
            trace,
            (
                Access(0, "A", "spin_lock", "anon_vma#2", "lock", ("anon_vma#1.lock",), first),
                Access(1, "B", "spin_lock", "anon_vma#1", "lock", ("anon_vma#2.lock",), second),
            ),
        ),
        "deadlock",
    )


def double_free() -> Result:
    """Migration frees the anon_vma that its last VMA has freed."""
    calls = {"exit": "exit_mmap > anon_vma_free", "put": "unmap_and_move > anon_vma_free"}
    trace = steps(
        calls,
        """
0 A exit kmem_cache_free anon_vma#1 - live free kernel/rmap.py:75
1 kmigrated put kmem_cache_free anon_vma#1 - free - kernel/rmap.py:75
""",
    )
    born = stack("anon_vma_alloc kernel/rmap.py:61\nanon_vma_prepare kernel/rmap.py:118")
    dead = stack("anon_vma_free kernel/rmap.py:75\nexit_mmap kernel/mmap.py:301")
    again = stack("anon_vma_free kernel/rmap.py:75\nunmap_and_move kernel/migrate.py:640")
    access = Access(1, "kmigrated", "free", "anon_vma#1", "", (), again, "read-write", True)
    life = (
        LifeEvent("allocated", "anon_vma#1", 0, "A", born),
        LifeEvent("freed", "anon_vma#1", 0, "A", dead),
    )
    violation = Violation("double-free", "a second free of anon_vma#1", trace, (access,), life)
    return violated("migration", "v2.6.36", violation, "double-free")


def bad_unlock(returning: bool = False) -> Result:
    """The lock of another root is released; or none is, before the call returns."""
    calls = {"walk": "page_referenced_anon > page_unlock_anon_vma"}
    trace = steps(calls, "0 kswapd walk spin_unlock anon_vma#2 lock - - kernel/rmap.py:371")
    frames = stack("page_unlock_anon_vma kernel/rmap.py:371\nshrink_page_list mm/vmscan.py:5")
    sites = stack("page_lock_anon_vma kernel/rmap.py:350")
    held = ("anon_vma#1.lock",)
    wrong = Access(0, "kswapd", "spin_unlock", "anon_vma#2", "lock", held, frames, "", True, sites)
    message = "anon_vma#2.lock: CPU0 releases a lock that nobody holds"
    if returning:
        wrong = Access(0, "kswapd", "", "", "", held, (), "", False, sites)
        message = "the call returns with anon_vma#1.lock held"
    return violated(
        "reclaim", "76545066c852", Violation("bad-unlock", message, trace, (wrong,)), None
    )


def broken(kind: str, message: str) -> Result:
    """Code that goes wrong by itself: a BUG_ON, an oops, a sleep where none may be."""
    calls = {"prepare": "handle_mm_fault > anon_vma_prepare"}
    trace = steps(calls, "0 A prepare spin_lock anon_vma#1 lock free CPU0 kernel/rmap.py:120")
    frames = stack("anon_vma_alloc kernel/rmap.py:61\nanon_vma_prepare kernel/rmap.py:121")
    sites = stack("anon_vma_prepare kernel/rmap.py:120")
    access = Access(0, "A", "", "", "", ("anon_vma#1.lock",), frames, "", False, sites)
    return violated("fault", "mypatch.py:MyPatch", Violation(kind, message, trace, (access,)), None)


def recursion() -> Result:
    """A task waits for its own lock."""
    calls = {"clone": "dup_mmap > anon_vma_clone"}
    trace = steps(
        calls,
        """
0 A clone spin_lock anon_vma#1 lock free CPU0 kernel/rmap.py:160
0 A clone spin_lock anon_vma#1 lock - - kernel/rmap.py:164
""",
    )
    frames = stack("anon_vma_clone kernel/rmap.py:164\ndup_mmap kernel/fork.py:80")
    sites = stack("anon_vma_clone kernel/rmap.py:160")
    held = ("anon_vma#1.lock",)
    access = Access(0, "A", "spin_lock", "anon_vma#1", "lock", held, frames, "", True, sites)
    message = "anon_vma#1.lock: CPU0 takes a lock that it holds already"
    violation = Violation("deadlock", message, trace, (access,))
    return violated("fork", "mypatch.py:MyPatch", violation, None)


def missed() -> Result:
    """At the end a migration entry is left: of no function, with a further cause."""
    calls = {"move": "sys_mremap > move_ptes"}
    trace = steps(calls, "0 A move set_ptes mm#1 pte[1] - - kernel/mremap.py:70")
    left = Violation("missed-mapping", "a migration entry is left at page 1 of A", trace)
    others = (race().outcome.violations[0], lock_order().outcome.violations[0])
    outcome = Outcome("missed-mapping", True, 10, 20, 0.1, (left, *others))
    return Result("mremap", "v2.6.34", outcome, "missed-mapping")


def dependency(held: str, wanted: str, task: str, action: str = "spin_lock") -> Dependency:
    """The class `&x->lock` by the lock `x#1.lock`."""
    first, second = (f"{name}#1.lock" for name in (held, wanted))
    before = stack(f"take_{held} kernel/{held}.py:10\n{task} kernel/{task}.py:1")
    now = stack(f"take_{wanted} kernel/{wanted}.py:20\n{task} kernel/{task}.py:2")
    classes = (f"&{held}->lock", f"&{wanted}->lock")
    return Dependency(*classes, first, second, before, action, 0, task, (first,), now)


def lock_order(*ring: str) -> Result:
    """Each class of the ring is held while the next one is taken."""
    names = ring or ("anon_vma", "mm")
    cycle = tuple(
        dependency(name, names[(place + 1) % len(names)], f"task{place}")
        for place, name in enumerate(names)
    )
    message = "locks are taken in a cycle"
    return violated(
        "order", "mypatch.py:MyPatch", Violation("lock-order", message, dependencies=cycle), None
    )


def clean(litmus: str = "fork_exit_exit_ksm", kernel: str = "76545066c852") -> Result:
    """A clean verdict with lines that were never reached."""
    coverage = (
        Coverage("anon_vma_unlink", "kernel/rmap.py", (250, 251, 257, 258, 261, 262, 264), ()),
        Coverage("drop_anon_vma", "kernel/rmap.py", (520, 521, 522, 530), (524, 525, 526, 528)),
        Coverage("anon_vma_fork", "kernel/rmap.py", (220, 221, 230), (240, 241)),
        Coverage("page_lock_anon_vma", "kernel/rmap.py", (), (340, 341, 342)),
    )
    outcome = Outcome("clean", True, 17923, 48210, 0.31, coverage=coverage)
    return Result(litmus, kernel, outcome, "clean", ASSUMPTIONS)


def verdict(litmus: str, kernel: str, got: str, expected: str | None) -> Result:
    """A bare cell of the matrix."""
    reason = "10,000,000 states" if got == "undetermined" else ""
    violations: tuple[Violation, ...] = ()
    if got not in ("clean", "undetermined"):
        violations = (Violation(got, f"a {got} on {kernel}"),)
    return Result(litmus, kernel, Outcome(got, not reason, 1, 1, 0.0, violations, reason), expected)


def matrix() -> list[Result]:
    """Twelve kernels, known bugs, two surprises and one check that did not finish."""
    known = {
        ("exit_alone", "seed-v2"): "refcount-underflow",
        ("fork_exit_exit_ksm", "root-lock"): "use-after-free",
        ("fork_exit_exit_ksm", "seed-v2"): "refcount-underflow",
        ("page_lock_against_reuse", "76545066c852"): "bad-unlock",
        ("migrate_against_last_exit", "v2.6.36"): "double-free",
        ("compaction_against_mremap", "v2.6.34"): "missed-mapping",
        ("swap_in_merges_with_other_root", "v2.6.35"): "wrong-data",
        ("reuse_of_ancestors_two_generations", "v6.1"): "use-after-free",
    }
    surprises = {
        ("exit_alone", "v3.8"): "leak",
        ("fork_exit_exit_ksm", "seed-v2"): "sleep-in-atomic",
        ("reuse_of_ancestors_two_generations", "v6.18"): "undetermined",
    }
    results = []
    for litmus in dict.fromkeys(name for name, _ in known):
        for kernel in RELEASES + LATER:
            if litmus.startswith("reuse") and kernel not in LATER[3:]:
                continue
            expected = known.get((litmus, kernel))
            got = surprises.get((litmus, kernel), expected or "clean")
            results.append(verdict(litmus, kernel, got, expected))
    return results


REPORTS = {
    "report_underflow": lambda: render_violation(underflow()),
    "report_underflow_narrow": lambda: render_violation(underflow(), width=72),
    "report_root_lock": lambda: render_violation(root_lock()),
    "report_root_lock_80": lambda: render_violation(root_lock(), width=80),
    "report_root_lock_all": lambda: render_violation(root_lock(), keep=lambda step: True),
    "report_race": lambda: render_violation(race()),
    "report_leak": lambda: render_violation(leak()),
    "report_deadlock": lambda: render_violation(deadlock()),
    "report_double_free": lambda: render_violation(double_free()),
    "report_bad_unlock": lambda: render_violation(bad_unlock()),
    "report_lock_held_at_return": lambda: render_violation(bad_unlock(returning=True)),
    "report_bug": lambda: render_violation(broken("bug-on", "VM_BUG_ON")),
    "report_null": lambda: render_violation(broken("bug-on", "NULL pointer dereference: no mm")),
    "report_sleep": lambda: render_violation(
        broken("sleep-in-atomic", "kmem_cache_alloc may sleep; preempt_count: 1")
    ),
    "report_recursion": lambda: render_violation(recursion()),
    "report_missed": lambda: render_violation(missed()),
    "report_lock_order": lambda: render_violation(lock_order()),
    "report_lock_order_of_three": lambda: render_violation(lock_order("anon_vma", "mm", "ksm")),
    "report_lock_order_diagram": lambda: render_diagram(lock_order()),
    "report_clean": lambda: render_clean(clean()),
    "report_matrix": lambda: render_matrix(matrix()),
    "report_json": lambda: render_json([underflow(), clean()]),
}


@pytest.mark.parametrize("name", REPORTS)
def test_report_prints_exactly_this(name):
    path = HERE / f"{name}.txt"
    printed = REPORTS[name]()
    if os.environ.get("RMAPLAB_UPDATE_SNAPSHOTS") == "1":
        path.write_text(printed, encoding="utf-8")

    assert path.read_text(encoding="utf-8") == printed
