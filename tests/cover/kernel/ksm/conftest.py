"""Processes with pages, and ksmd passing over them, on the direct machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from rmaplab.kernel.contents import fill
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.madvise import MADV_MERGEABLE, MADV_UNMERGEABLE
from rmaplab.kernel.mm_types import PAGE_SIZE, VM_READ, VM_WRITE
from rmaplab.machine.context import current
from rmaplab.machine.direct import DirectMachine

BASE = 0x100000


class Lab:
    """A kernel, and the system calls of its processes in pages from one base."""

    def __init__(self, **config: bool) -> None:
        self.machine = DirectMachine()
        self.kernel = Kernel(self.machine, **config)
        if self.kernel.CONFIG_KSM:
            self.kernel.run_store(1)

    def address(self, page: int) -> int:
        return BASE + page * PAGE_SIZE

    def process(self, *words: int, mergeable: bool = True) -> Any:
        """A process with a page for each word, in one VMA."""
        mm = self.kernel.mm_alloc()
        length = len(words) * PAGE_SIZE
        prot = VM_READ | VM_WRITE
        assert self.kernel.sys_mmap(mm, BASE, length, prot, fixed=True) == BASE
        for page, word in enumerate(words):
            self.write(mm, page, word)
        if mergeable:
            assert self.madvise(mm, MADV_MERGEABLE, len(words)) == 0
        return mm

    def write(self, mm: Any, page: int, word: int) -> int:
        return self.kernel.user_write(mm, self.address(page), lambda _: fill(word))

    def read(self, mm: Any, page: int) -> int:
        return self.kernel.user_read(mm, self.address(page)).word

    def madvise(self, mm: Any, advice: int, n: int, at: int = 0) -> int:
        return self.kernel.sys_madvise(mm, self.address(at), n * PAGE_SIZE, advice)

    def unmergeable(self, mm: Any, n: int, at: int = 0) -> int:
        return self.madvise(mm, MADV_UNMERGEABLE, n, at)

    def munmap(self, mm: Any, page: int, n: int = 1) -> int:
        return self.kernel.sys_munmap(mm, self.address(page), n * PAGE_SIZE)

    def exit(self, *mms: Any) -> None:
        for mm in mms:
            self.kernel.mmput(mm)

    def vma(self, mm: Any, page: int = 0) -> Any:
        return self.kernel.find_vma(mm, self.address(page))

    def frame(self, mm: Any, page: int = 0) -> Any:
        """The struct page that is mapped there."""
        frame = self.kernel.follow_page(self.vma(mm, page), self.address(page))
        if frame is not None:
            self.kernel.put_page(frame)
        return frame

    def item(self, mm: Any, page: int = 0) -> Any:
        """The rmap_item of a page, if it has one."""
        slot = self.kernel.get_mm_slot(mm)
        item = None if slot is None else slot.rmap_list
        while item is not None and item.address & -PAGE_SIZE != self.address(page):
            item = item.rmap_list
        return item

    def scan(self, passes: int = 1) -> None:
        for _ in range(passes):
            while self.kernel.ksm_scan_one_page():
                pass

    def failing(self, nth: int) -> Any:
        """Let the nth allocation from here on fail."""
        context = current()
        context.allocations, context.fail_at = 0, nth
        return context

    def just_before(self, name: str, meddle: Callable[[], Any], nth: int = 1) -> None:
        """Do something else just before the nth call of a kernel function, as another CPU may."""
        function, calls = getattr(self.kernel, name), count(1)

        def meddled(*arguments: Any, **named: Any) -> Any:
            if next(calls) == nth:
                meddle()
            return function(*arguments, **named)

        setattr(self.kernel, name, meddled)

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """pages_shared, pages_sharing, pages_unshared, pages_volatile."""
        kernel = self.kernel
        return (
            kernel.pages_shared_show(),
            kernel.pages_sharing_show(),
            kernel.pages_unshared_show(),
            kernel.pages_volatile_show(),
        )

    @property
    def living(self) -> dict[str, int]:
        """How many objects each cache has, of those that have any."""
        return {cache.name: len(cache.live()) for cache in self.machine.caches if cache.live()}


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab()
    with lab.machine.running(cpu=0, task="test"):
        yield lab


@pytest.fixture
def lab_without_ksm() -> Iterator[Lab]:
    lab = Lab(CONFIG_KSM=False)
    with lab.machine.running(cpu=0, task="test"):
        yield lab
