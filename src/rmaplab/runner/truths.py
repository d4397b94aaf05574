"""The truths that a state at rest must keep, held against a brute-force look at everything.

1 every mapping is found, 2 private memory is private, 3 what nobody can reach is gone and what
is linked is there, a slot of the swap device is counted as often as it is used, and there are
no more objects than the litmus allows.
(4, the locks, is the machines' own.) Nothing here runs kernel code: structures are only read.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from rmaplab.kernel import contents
from rmaplab.kernel.mm_types import PAGE_MAPPING_KSM, PAGE_SHIFT
from rmaplab.kernel.pgtable import Pte, SwapEntry, is_migration_entry
from rmaplab.kernel.swapfile import SWAP_HAS_CACHE, swap_count
from rmaplab.machine import (
    KernelStateError,
    atomic_read,
    list_for_each_entry,
    pgd_addresses,
    pte_get,
    pte_offset_map,
    rb_items,
)
from rmaplab.runner.places import page_of
from rmaplab.runner.shadow import possible
from rmaplab.runner.system import System

EVERYWHERE = 1 << 60


def check_truths(system: System) -> None:
    """Raise KernelStateError where a truth does not hold."""
    for error in broken_truths(system):
        raise error


def broken_truths(system: System) -> Iterator[KernelStateError]:
    """Every page, process or cache for which a truth does not hold, one error each."""
    mapped = _mappings(system)
    checks = [
        *(partial(_found, system, system.kernel.pfn_to_page(p), mapped[p]) for p in mapped),
        *(partial(_private, system, name, mm) for name, mm in system.processes()),
        *(partial(_slot, system, *each) for each in _slots(system)),
        partial(_reachable, system, mapped),
        partial(check_bound, system),
        partial(_linked, system),
    ]
    for check in checks:
        try:
            check()
        except KernelStateError as error:
            yield error


def entries_of(mm: Any) -> Iterator[tuple[int, Any]]:
    """All page table entries of an address space that are not empty."""
    for address in pgd_addresses(mm.pgd, 0, EVERYWHERE):
        ptep = pte_offset_map(mm.pgd, address)
        entry = pte_get(ptep) if ptep is not None else None
        if entry is not None:
            yield address, entry


# 1: every mapping is found


def _mappings(system: System) -> dict[int, list[tuple[Any, int]]]:
    """By frame: every page table entry that maps it."""
    found: dict[int, list[tuple[Any, int]]] = {}
    for name, mm in system.processes():
        for address, entry in entries_of(mm):
            if is_migration_entry(entry):
                where = f"page {page_of(address)} of {name}"
                raise KernelStateError(
                    "missed-mapping", f"a migration entry is left at {where}", mm
                )
            if isinstance(entry, Pte) and not entry.special:
                found.setdefault(entry.pfn, []).append((mm, address))
    return found


def _found(system: System, page: Any, entries: list[tuple[Any, int]]) -> None:
    walked = list(walk(system, page))
    if walked is not None and page.mapping is not None and page.mapping[1] is None:
        return  # a page that KSM merged with nobody: no list leads to it
    name = system.machine.name_of(page)
    if len(walked) != len(set(walked)):
        raise KernelStateError("missed-mapping", f"a walk of {name} visits an entry twice", page)
    if set(walked) != set(entries):
        where = ", ".join(_where(system, *entry) for entry in entries)
        message = f"{name} is mapped at {where}; its reverse map finds {len(walked)} of these"
        raise KernelStateError("missed-mapping", message, page)
    count = atomic_read(page._mapcount) + 1
    if count != len(entries):
        message = f"{name} is mapped {len(entries)} times, its _mapcount says {count}"
        raise KernelStateError("missed-mapping", message, page)


def _where(system: System, mm: Any, address: int) -> str:
    return f"page {page_of(address)} of {system.name_of_mm(mm)}"


def walk(system: System, page: Any) -> Iterator[tuple[Any, int]]:
    """The entries that map a page, as its reverse map leads to them."""
    if page.mapping is None or page.mapping[1] is None:
        return
    tags, target = page.mapping
    if tags & PAGE_MAPPING_KSM:
        yield from _walk_ksm(system, page, target)
        return
    for vma in vmas_of_anon_vma(target):
        address = vma.vm_start + ((page.index - vma.vm_pgoff) << PAGE_SHIFT)
        if vma.vm_start <= address < vma.vm_end and _maps(system, vma.vm_mm, address, page):
            yield vma.vm_mm, address


def _walk_ksm(system: System, page: Any, stable_node: Any) -> Iterator[tuple[Any, int]]:
    """A KSM page's: each item's own mm first, then those forked from it since; once each."""
    seen: set[tuple[Any, int]] = set()
    for item in list_for_each_entry(stable_node.hlist):
        address = item.address & ~0xFFF
        for vma in vmas_of_anon_vma(item.anon_vma):
            place = (vma.vm_mm, address)
            inside = vma.vm_start <= address < vma.vm_end
            if inside and place not in seen and _maps(system, *place, page):
                seen.add(place)
                yield place


def vmas_of_anon_vma(anon_vma: Any) -> Iterator[Any]:
    """The VMAs of an anon_vma: by the chain entries on its list or (since bf181b9f9d8d, v3.7) in
    its tree; before chains, in v2.6.33, they are on the list themselves."""
    listed = "head" in anon_vma.fields
    entries = list_for_each_entry(anon_vma.head) if listed else rb_items(anon_vma.rb_root)
    for entry in entries:
        yield entry.vma if "vma" in entry.fields else entry


def _maps(system: System, mm: Any, address: int, page: Any) -> bool:
    ptep = pte_offset_map(mm.pgd, address)
    entry = pte_get(ptep) if ptep is not None else None
    return (
        isinstance(entry, Pte)
        and not entry.special
        and entry.pfn == system.kernel.page_to_pfn(page)
    )


# 2: private memory is private


def _private(system: System, name: str, mm: Any) -> None:
    shadow = dict(system.shadow(name))
    for address, entry in entries_of(mm):
        expected = possible(shadow.pop(address, None))
        if isinstance(entry, Pte | SwapEntry):
            actual = system.contents_of(entry)
            if actual not in expected:
                page = page_of(address)
                message = (
                    f"{name} wrote {contents.label(expected[-1])} to page {page}"
                    f" and finds {contents.label(actual)}"
                )
                raise KernelStateError("wrong-data", message, mm)
    for address, held in shadow.items():
        expected = possible(held)
        if contents.ZERO not in expected and _has_vma(mm, address):
            page = page_of(address)
            message = f"{name} wrote {contents.label(expected[-1])} to page {page} and it is gone"
            raise KernelStateError("wrong-data", message, mm)


def _has_vma(mm: Any, address: int) -> bool:
    return any(vma.vm_start <= address < vma.vm_end for vma in rb_items(mm.mm_rb))


# 3: what nobody can reach is gone


def _reachable(system: System, mapped: dict[int, list[tuple[Any, int]]]) -> None:
    """Complain, as kmemleak does, about objects that no pointer leads to any more."""
    roots = [*system.machine.statics(), *(mm for _, mm in system.processes())]
    live = {id(item) for item in roots}
    live.update(id(item) for cache in system.machine.caches for item in cache.live())
    seen: set[int] = set()
    todo = roots
    while todo:
        item = todo.pop()
        if id(item) in seen or id(item) not in live:  # nothing is reached through freed memory
            continue
        seen.add(id(item))
        todo.extend(system.machine.references(item))
    cached = [*(slot.page for slot, _ in _slots(system)), *system.kernel.batched_pages()]
    for cache in system.machine.caches:
        for item in cache.live():
            if cache is system.kernel.page_cachep:
                reached = system.kernel.page_to_pfn(item) in mapped or item in cached
            else:
                reached = id(item) in seen
            if not reached:
                _leaked(system, item)


def _linked(system: System) -> None:
    """No list leads to a VMA that is free: the next walk would go there."""
    live = {id(vma) for vma in system.kernel.vm_area_cachep.live()}
    for holder, vma in _links(system):
        if vma is not None and id(vma) not in live:
            name = system.machine.name_of
            message = f"{name(holder)} is allocated and its {name(vma)} is free"
            raise KernelStateError("use-after-free", message, holder)


def _links(system: System) -> Iterator[tuple[Any, Any]]:
    """Every pointer from the reverse map to a VMA, and who has it."""
    chains = getattr(system.kernel, "anon_vma_chain_cachep", None)
    if chains is not None:
        yield from ((avc, avc.vma) for avc in chains.live())
    else:
        for anon_vma in system.kernel.anon_vma_cachep.live():
            yield from ((anon_vma, vma) for vma in vmas_of_anon_vma(anon_vma))


# The swap device


def _slots(system: System) -> list[tuple[Any, int]]:
    """The slots of the device, and how many entries of page tables name each."""
    if not system.kernel.CONFIG_SWAP:
        return []
    named = [
        entry.offset
        for _, mm in system.processes()
        for _, entry in entries_of(mm)
        if isinstance(entry, SwapEntry)
    ]
    return [(slot, named.count(number)) for number, slot in enumerate(system.kernel.swap_slots)]


def _slot(system: System, slot: Any, entries: int) -> None:
    """A slot's count is that of its entries, and its page and it know each other."""
    name = system.machine.name_of(slot)
    count = swap_count(slot.swap_map)
    if count != entries:
        message = f"{entries} page table entries name {name}, its swap_map says {count}"
        raise KernelStateError("leak" if count > entries else "missed-mapping", message, slot)
    page = slot.page
    if (page is not None) != bool(slot.swap_map & SWAP_HAS_CACHE):
        message = f"swap_map and swap cache disagree whether {name} has a page"
        raise KernelStateError("leak", message, slot)
    if page is not None and not (page.swapcache and system.kernel.swap_slot(page.private) is slot):
        message = f"{system.machine.name_of(page)} does not know that it is in {name}"
        raise KernelStateError("missed-mapping", message, page)


def _leaked(system: System, item: Any) -> None:
    counts = [
        f"{name} {atomic_read(getattr(item, name))}"
        for name, field in item.fields.items()
        if field.least is not None
    ]
    detail = f" ({', '.join(counts)})" if counts else ""
    message = f"{system.machine.name_of(item)} is allocated and nobody can reach it{detail}"
    raise KernelStateError("leak", message, item)


# What the litmus bounds


def check_bound(system: System) -> None:
    """Raise KernelStateError, `growth`, where there are more objects than the litmus allows.

    That all of them can be reached, so that none is a leak, does not make them few.
    """
    for cache in system.machine.caches:
        live = cache.live() if cache.name in system.bound else ()
        if len(live) > system.bound.get(cache.name, 0):
            most = system.bound[cache.name]
            message = f"there are {len(live)} {cache.name}s, more than the bound of {most}"
            raise KernelStateError("growth", message, live[-1])


def tree_matches_list(mm: Any) -> bool:
    """Whether an address space has the same VMAs in its tree as on its list, in order."""
    listed = []
    vma = mm.mmap
    while vma is not None:
        listed.append(vma)
        vma = vma.vm_next
    return listed == list(rb_items(mm.mm_rb))
