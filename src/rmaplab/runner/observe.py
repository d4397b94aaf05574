"""What is mapped where after a step: the fields of a recorded case, taken from the model.

Nothing here runs a step of the kernel. A slot is a page number that any step of the litmus names.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
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
from rmaplab.runner.places import BASE, address_of
from rmaplab.runner.scenario import every_step
from rmaplab.runner.system import System

Observation = dict[str, Any]
Frames = dict[str, dict[int, int]]
Runs = list[list[Any]]

#: Counters that not all kernels have.
LATER_COUNTERS = ("ksm_zero_pages", "stable_node_chains", "stable_node_dups", "pages_skipped")
KB_PER_PAGE = PAGE_SIZE >> 10


@dataclass(frozen=True)
class Slot:
    """A watched page of a process that maps something there."""

    process: str
    number: int
    entry: Pte
    readable: bool


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
    names = [name for name, _ in system.processes()]
    found: Frames = {name: {} for name in names}
    for slot in _present(system, tuple(slots)):
        found[slot.process][slot.number] = slot.entry.pfn
    return found


def observe(system: System, slots: tuple[int, ...], before: Frames, ret: int) -> Observation:
    """The state after a step that returned `ret`; `before` is frames_of() before the step."""
    present = _present(system, slots)
    names = _names(system, present)
    vmas = {name: _watched_vmas(mm, slots) for name, mm in system.processes()}
    return {
        "ret": errno.errorcode.get(-ret, str(ret)) if ret else 0,
        "pages": _pages(system, slots, present, names),
        "frames": _frames(system, present, names),
        "bytes": _bytes(system, present),
        "changed": _changed(before, frames_of(system, slots)),
        "ksm": _ksm(system),
        "vmas": {name: [_vma(vma) for vma in own] for name, own in vmas.items()},
        "smaps": {name: _smaps(system, own) for name, own in vmas.items()},
        "proc_ksm": {name: _proc_ksm(system, mm) for name, mm in system.processes()},
    }


def _runs(labelled: Iterable[tuple[int, Any]]) -> Runs:
    """[first, count, label] for neighbours with the same label."""
    runs: Runs = []
    for number, label in labelled:
        if runs and runs[-1][0] + runs[-1][1] == number and runs[-1][2] == label:
            runs[-1][1] += 1
        else:
            runs.append([number, 1, label])
    return runs


def _present(system: System, slots: tuple[int, ...]) -> list[Slot]:
    return [slot for name, mm in system.processes() for slot in _present_in(name, mm, slots)]


def _present_in(name: str, mm: Any, slots: tuple[int, ...]) -> Iterator[Slot]:
    for number in slots:
        ptep = pte_offset_map(mm.pgd, address_of(number))
        entry = pte_get(ptep) if ptep is not None else None
        if isinstance(entry, Pte):
            yield Slot(name, number, entry, _is_readable(mm, address_of(number)))


def _is_readable(mm: Any, address: int) -> bool:
    allowed = VM_READ | VM_WRITE | VM_EXEC
    vmas = rb_items(mm.mm_rb)
    return any(vma.vm_start <= address < vma.vm_end and vma.vm_flags & allowed for vma in vmas)


# pages, frames, bytes, changed


def _names(system: System, present: list[Slot]) -> dict[int, str]:
    """What to call each frame: `own`, or f0, f1, ... and k0, k1, ... as they first appear."""
    shown = [slot.entry.pfn for slot in present if not slot.entry.special]
    names: dict[int, str] = {}
    counts = {"f": 0, "k": 0}
    for pfn in shown:
        if pfn in names:
            continue
        page = system.kernel.pfn_to_page(pfn)
        kind = "k" if system.kernel.PageKsm(page) else "f"
        if kind == "f" and system.kernel.page_mapcount(page) == 1 and shown.count(pfn) == 1:
            names[pfn] = "own"
        else:
            names[pfn] = f"{kind}{counts[kind]}"
            counts[kind] += 1
    return names


def _pages(
    system: System, slots: tuple[int, ...], present: list[Slot], names: Mapping[int, str]
) -> dict[str, Runs]:
    what = {
        (slot.process, slot.number): "zero" if slot.entry.special else names[slot.entry.pfn]
        for slot in present
    }
    return {
        name: _runs((number, what.get((name, number), "none")) for number in slots)
        for name, _ in system.processes()
    }


def _frames(
    system: System, present: list[Slot], names: Mapping[int, str]
) -> dict[str, dict[str, int]]:
    shown = [slot.entry.pfn for slot in present]
    return {
        name: {
            "maps": system.kernel.page_mapcount(system.kernel.pfn_to_page(pfn)),
            "slots": shown.count(pfn),
        }
        for pfn, name in names.items()
        if name != "own"
    }


def _bytes(system: System, present: list[Slot]) -> dict[str, Runs]:
    """Labels of contents. A frame is read once, by the slot first seen with it.

    So a process can seem unable to read a page of its own: a relative before it cannot.
    """
    read: dict[int, str] = {}
    labels: dict[str, list[tuple[int, str]]] = {name: [] for name, _ in system.processes()}
    for slot in present:
        if slot.entry.special:
            label = _label(system, slot)
        else:
            label = read.setdefault(slot.entry.pfn, _label(system, slot))
        labels[slot.process].append((slot.number, label))
    return {name: _runs(found) for name, found in labels.items()}


def _label(system: System, slot: Slot) -> str:
    return contents.label(system.contents_of(slot.entry)) if slot.readable else "EFAULT"


def _changed(before: Frames, after: Frames) -> dict[str, Runs]:
    """Slots whose frame is another one now."""
    changed: dict[str, Runs] = {}
    for name, frames in after.items():
        old = before.get(name, {})
        moved = [number for number, pfn in frames.items() if old.get(number, pfn) != pfn]
        if moved:
            changed[name] = [run[:2] for run in _runs((number, None) for number in moved)]
    return changed


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
