"""A kernel on the direct machine, with short ways to do and to see what tests of memory need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rmaplab.kernel.contents import fill
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.mm_types import PAGE_SIZE, TASK_SIZE
from rmaplab.kernel.mmap import VM_ACCOUNT
from rmaplab.kernel.pgtable import pte_present
from rmaplab.machine import (
    list_for_each_entry,
    pgd_addresses,
    pte_get,
    pte_offset_map,
    rb_items,
)
from rmaplab.machine.context import RUNNING
from rmaplab.machine.direct import DirectMachine

FIRST = 0x100  # page 0 of the tests
RW = 3


class Lab:
    """A kernel, its processes named by their mm, and memory named by pages counted from FIRST."""

    def __init__(self, version: type[Kernel] = Kernel, **config: bool) -> None:
        self.machine = DirectMachine()
        self.kernel = version(self.machine, **config)

    @classmethod
    @contextmanager
    def running(cls, version: type[Kernel] = Kernel, **config: bool) -> Iterator[Lab]:
        lab = cls(version, **config)
        with lab.machine.running(cpu=0, task="A"):
            yield lab

    # What a process does

    def address(self, page: int) -> int:
        return (FIRST + page) * PAGE_SIZE

    def process(self, count: int = 1, prot: int = RW) -> Any:
        """A process with some pages mapped from page 0 on."""
        mm = self.kernel.mm_alloc()
        if count:
            assert self.mmap(mm, 0, count, prot) == self.address(0)
        return mm

    def mmap(self, mm: Any, page: int, count: int, prot: int = RW) -> int:
        return self.kernel.sys_mmap(mm, self.address(page), count * PAGE_SIZE, prot, fixed=True)

    def munmap(self, mm: Any, page: int, count: int) -> int:
        return self.kernel.sys_munmap(mm, self.address(page), count * PAGE_SIZE)

    def mprotect(self, mm: Any, page: int, count: int, prot: int) -> int:
        return self.kernel.sys_mprotect(mm, self.address(page), count * PAGE_SIZE, prot)

    def madvise(self, mm: Any, page: int, count: int, advice: int) -> int:
        return self.kernel.sys_madvise(mm, self.address(page), count * PAGE_SIZE, advice)

    def write(self, mm: Any, page: int, word: int) -> int:
        return self.kernel.user_write(mm, self.address(page), lambda _: fill(word))

    def read(self, mm: Any, page: int = 0) -> Any:
        return self.kernel.user_read(mm, self.address(page))

    def failing(self, number: int, call: Callable[[], Any]) -> tuple[Any, bool]:
        """Let the `number`-th allocation of a call fail: what it returns, and if it got there."""
        context = RUNNING.context
        context.fail_at = context.allocations + number
        try:
            return call(), context.allocations >= context.fail_at
        finally:
            context.fail_at = 0

    # What there is then

    def entry(self, mm: Any, page: int = 0) -> Any:
        pte = pte_offset_map(mm.pgd, self.address(page))
        return None if pte is None else pte_get(pte)

    def page_of(self, mm: Any, page: int = 0) -> Any:
        return self.kernel.pfn_to_page(self.entry(mm, page).pfn)

    def vmas(self, mm: Any) -> list[Any]:
        """The VMAs of an mm by its list, which must be those of its tree and in order."""
        found = []
        vma = mm.mmap
        while vma is not None:
            assert vma.vm_mm is mm and vma.vm_start < vma.vm_end
            assert not found or found[-1].vm_end <= vma.vm_start
            found.append(vma)
            vma = vma.vm_next
        assert tuple(found) == rb_items(mm.mm_rb)
        assert mm.map_count == len(found)
        return found

    def pages(self, vma: Any) -> range:
        return range(vma.vm_start // PAGE_SIZE - FIRST, vma.vm_end // PAGE_SIZE - FIRST)

    def layout(self, mm: Any) -> list[tuple[int, int, int]]:
        """(first page, pages, flags but for VM_ACCOUNT) of each VMA."""
        return [
            (self.pages(vma).start, len(self.pages(vma)), vma.vm_flags & ~VM_ACCOUNT)
            for vma in self.vmas(mm)
        ]

    def live(self) -> dict[str, int]:
        """How many objects there are, by cache."""
        return {cache.name: len(cache.live()) for cache in self.machine.caches if cache.live()}

    def check_rmap(self, *mms: Any) -> None:
        """The reverse map of each page finds just the entries that map it, by brute force."""
        mapped: dict[Any, set[tuple[Any, int]]] = {}
        for mm in mms:
            for where in pgd_addresses(mm.pgd, 0, TASK_SIZE):
                entry = pte_get(pte_offset_map(mm.pgd, where))
                if pte_present(entry) and not entry.special:
                    mapped.setdefault(self.kernel.pfn_to_page(entry.pfn), set()).add((mm, where))
        assert set(self.kernel.page_cachep.live()) == set(mapped)
        for page, places in mapped.items():
            assert self.found_by_rmap(page) == places
            assert self.kernel.page_mapcount(page) == len(places)
            assert self.kernel.page_count(page) == len(places)

    def found_by_rmap(self, page: Any) -> set[tuple[Any, int]]:
        found = set()
        for avc in list_for_each_entry(self.kernel.page_anon_vma(page).head):
            mm, where = avc.vma.vm_mm, self.kernel.vma_address(page, avc.vma)
            pte = pte_offset_map(mm.pgd, where) if where > 0 else None
            entry = None if pte is None else pte_get(pte)
            if pte_present(entry) and entry.pfn == self.kernel.page_to_pfn(page):
                found.add((mm, where))
        return found

    def check_exit(self, *mms: Any) -> None:
        """When all have gone, nothing is left in any cache."""
        for mm in mms:
            self.kernel.mmput(mm)
        assert self.live() == {}


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A laboratory that runs as task A."""
    with Lab.running() as lab:
        yield lab


@pytest.fixture(scope="session")
def new_lab() -> Callable[..., Any]:
    """Makes laboratories: `with new_lab(Version) as lab`."""
    return Lab.running
