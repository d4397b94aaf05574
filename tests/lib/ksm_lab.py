"""A kernel of the history on which ksmd runs, and processes with mergeable pages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rmaplab.history import KERNELS
from rmaplab.kernel.contents import fill
from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.madvise import MADV_MERGEABLE
from rmaplab.kernel.mm_types import PAGE_SIZE
from rmaplab.machine.context import RUNNING
from rmaplab.machine.direct import DirectMachine

BASE = 0x200000
RW = 3


class Lab:
    """A kernel on which ksmd runs, and processes with pages from BASE on."""

    def __init__(self, name: str, **config: bool) -> None:
        self.kernel: Kernel = KERNELS[name](DirectMachine(), **config)
        self.kernel.run_store(1)

    def process(self, *words: int) -> Any:
        """A process with a mergeable page for each word."""
        mm = self.kernel.mm_alloc()
        self.kernel.sys_mmap(mm, BASE, len(words) * PAGE_SIZE, RW)
        for page, word in enumerate(words):
            self.write(mm, page, word)
        self.madvise(mm, MADV_MERGEABLE, len(words))
        return mm

    def madvise(self, mm: Any, advice: int, n: int = 1) -> int:
        return int(self.kernel.sys_madvise(mm, BASE, n * PAGE_SIZE, advice))

    def write(self, mm: Any, page: int, word: int) -> None:
        self.kernel.user_write(mm, BASE + page * PAGE_SIZE, lambda _: fill(word))

    def page(self, mm: Any, number: int = 0) -> Any:
        address = BASE + number * PAGE_SIZE
        page = self.kernel.follow_page(self.kernel.find_vma(mm, address), address)
        if page is not None:
            self.kernel.put_page(page)
        return page

    def node(self, mm: Any, number: int = 0) -> Any:
        return self.kernel.page_stable_node(self.page(mm, number))

    def scan(self, passes: int = 2) -> None:
        for _ in range(passes):
            while self.kernel.ksm_scan_thread(1000):
                pass

    def migrate(self, page: Any) -> int:
        self.kernel.isolate_lru_page(page)
        return int(self.kernel.migrate_pages([page], lambda _: self.kernel.alloc_page()))

    @property
    def counts(self) -> tuple[int, int]:
        return self.kernel.pages_shared_show(), self.kernel.pages_sharing_show()

    @contextmanager
    def before(self, function: str, meddle: Any) -> Iterator[None]:
        """Do something just before a kernel function is called the first time, as another CPU."""
        real, done = getattr(self.kernel, function), []

        def meddled(*arguments: Any, **named: Any) -> Any:
            if not done:
                done.append(True)
                meddle()
            return real(*arguments, **named)

        setattr(self.kernel, function, meddled)
        yield
        assert done
        delattr(self.kernel, function)


@contextmanager
def failing(number: int = 1) -> Iterator[None]:
    """The nth allocation from here on fails."""
    context = RUNNING.context
    context.fail_at = context.allocations + number
    yield
    context.fail_at = 0
