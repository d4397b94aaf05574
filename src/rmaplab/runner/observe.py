"""What is mapped where after a step: the fields of a recorded case, taken from the model.

Nothing here runs a step of the kernel. A slot is a page number that any step of the litmus names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rmaplab.kernel import contents
from rmaplab.kernel.ksm.state import STABLE_FLAG
from rmaplab.kernel.mm_types import (
    PAGE_SHIFT,
    PAGE_SIZE,
    VM_EXEC,
    VM_MERGEABLE,
    VM_READ,
    VM_WRITE,
)
from rmaplab.kernel.pgtable import Pte
from rmaplab.litmus.model import Litmus
from rmaplab.machine import pgd_addresses, pte_get, pte_offset_map, rb_items
from rmaplab.runner.observation import (
    UNREADABLE,
    Frame,
    Frames,
    Mapped,
    Observation,
    Slot,
    changed,
    contents_seen,
    frames_by_process,
    pages_and_frames,
    ret_of,
)
from rmaplab.runner.places import BASE, address_of
from rmaplab.runner.scenario import every_step
from rmaplab.runner.system import System

#: Counters that not all kernels have.
LATER_COUNTERS = ("ksm_zero_pages", "stable_node_chains", "stable_node_dups", "pages_skipped")
KB_PER_PAGE = PAGE_SIZE >> 10


def watched_slots(litmus: Litmus) -> tuple[int, ...]:
    """The page numbers that the steps name, where mremap moves them to included."""
    slots: set[int] = set()
    for step in every_step(litmus):
        if "at" in step.args:
            count = max(step.args.get("n", 1), step.args.get("new_n", 1))
            for first in (step.args["at"], step.args.get("to", step.args["at"])):
                slots.update(range(first, first + count))
        elif step.op == "brk":
            slots.update(range(step.args["n"]))
    return tuple(sorted(slots))


def frames_of(system: System, slots: Iterable[int]) -> Frames:
    """By process: the frame behind each slot; the zero page is one of them."""
    return frames_by_process(mapped_in(system, tuple(slots)))


def observe(system: System, slots: tuple[int, ...], before: Frames, ret: int) -> Observation:
    """The state after a step that returned `ret`; `before` is frames_of() before the step."""
    mapped = mapped_in(system, slots)
    vmas = {name: _watched_vmas(mm, slots) for name, mm in system.processes()}
    return {
        "ret": ret_of(ret),
        **pages_and_frames(mapped),
        "bytes": contents_seen(mapped, lambda slot: _label(system, slot)),
        "changed": changed(before, frames_by_process(mapped)),
        "ksm": _ksm(system),
        "vmas": {name: [_vma(vma) for vma in own] for name, own in vmas.items()},
        "smaps": {name: _smaps(system, own) for name, own in vmas.items()},
        "proc_ksm": {name: _proc_ksm(system, mm) for name, mm in system.processes()},
        "slab": _slab(system),
    }


def mapped_in(system: System, slots: tuple[int, ...]) -> Mapped:
    """What the processes map in these slots."""
    found = [
        Slot(name, number, entry.pfn, entry.special)
        for name, mm in system.processes()
        for number in slots
        if isinstance(entry := _entry(mm, number), Pte)
    ]
    pages = {slot.pfn: system.kernel.pfn_to_page(slot.pfn) for slot in found if not slot.zero}
    frames = {
        pfn: Frame(system.kernel.page_mapcount(page), bool(system.kernel.PageKsm(page)))
        for pfn, page in pages.items()
    }
    return Mapped([name for name, _ in system.processes()], slots, found, frames)


def _entry(mm: Any, number: int) -> Any:
    ptep = pte_offset_map(mm.pgd, address_of(number))
    return pte_get(ptep) if ptep is not None else None


def _label(system: System, slot: Slot) -> str:
    mm = system.tasks[slot.process].mm
    if not _is_readable(mm, address_of(slot.number)):
        return UNREADABLE
    return contents.label(system.contents_of(_entry(mm, slot.number)))


def _is_readable(mm: Any, address: int) -> bool:
    allowed = VM_READ | VM_WRITE | VM_EXEC
    vmas = rb_items(mm.mm_rb)
    return any(vma.vm_start <= address < vma.vm_end and vma.vm_flags & allowed for vma in vmas)


# vmas, smaps


def _watched_vmas(mm: Any, slots: tuple[int, ...]) -> list[Any]:
    """The VMAs that a slot lies in, whole."""
    addresses = [address_of(number) for number in slots]
    return [
        vma
        for vma in rb_items(mm.mm_rb)
        if any(vma.vm_start <= address < vma.vm_end for address in addresses)
    ]


def _vma(vma: Any) -> list[Any]:
    first = (vma.vm_start - BASE) >> PAGE_SHIFT
    count = (vma.vm_end - vma.vm_start) >> PAGE_SHIFT
    prot = "rw" if vma.vm_flags & VM_WRITE else "r" if vma.vm_flags & VM_READ else "none"
    return [first, count, prot, "mg"] if vma.vm_flags & VM_MERGEABLE else [first, count, prot]


def _smaps(system: System, vmas: list[Any]) -> dict[str, int]:
    """kB; the zero page does not count."""
    kernel = system.kernel
    pages = [page for vma in vmas for page in _pages_of(system, vma)]
    shared = sum(kernel.page_mapcount(page) > 1 for page in pages)
    counts = {
        "rss": len(pages),
        "shared": shared,
        "private": len(pages) - shared,
        "anon": len(pages),
        "ksm": sum(kernel.PageKsm(page) for page in pages),
    }
    return {name: count * KB_PER_PAGE for name, count in counts.items()}


def _pages_of(system: System, vma: Any) -> Iterator[Any]:
    pgd = vma.vm_mm.pgd
    for address in pgd_addresses(pgd, vma.vm_start, vma.vm_end):
        ptep = pte_offset_map(pgd, address)
        entry = pte_get(ptep) if ptep is not None else None
        if isinstance(entry, Pte) and not entry.special:
            yield system.kernel.pfn_to_page(entry.pfn)


# KSM


def _ksm(system: System) -> dict[str, int]:
    names = ("pages_shared", "pages_sharing", "pages_unshared", "pages_volatile")
    has = system.kernel.CONFIG_KSM
    shown = {
        name: getattr(system.kernel, f"{name}_show", None) for name in (*names, *LATER_COUNTERS)
    }
    return {name: show() if has and show is not None else 0 for name, show in shown.items()}


def _proc_ksm(system: System, mm: Any) -> dict[str, int]:
    has = system.kernel.CONFIG_KSM
    if has and hasattr(system.kernel, "ksm_stat"):
        return dict(system.kernel.ksm_stat(mm))
    live = system.kernel.rmap_item_cache.live() if has else ()
    items = [item for item in live if item.mm is mm]
    merging = sum(bool(item.address & STABLE_FLAG) for item in items)
    return {"rmap_items": len(items), "zero_pages": 0, "merging_pages": merging}


# Slab caches


def _slab(system: System) -> dict[str, int]:
    """The objects of the reverse map that are allocated; their numbers are those of slabinfo."""
    live = {cache.name: len(cache.live()) for cache in system.machine.caches}
    return {name: live.get(name, 0) for name in ("anon_vma", "anon_vma_chain")}
