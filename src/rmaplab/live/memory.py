"""The steps of a process, as system calls that it makes."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable

from rmaplab.kernel import contents
from rmaplab.kernel.contents import Contents
from rmaplab.live.frames import frames_behind
from rmaplab.live.process import Family, Process

#: Where page 0 of a litmus is: 2 MiB aligned, above an interpreter's heap, below its libraries.
BASE = 1 << 32
PAGE_SIZE = mmap.PAGESIZE
#: Pages above BASE that are the litmus's own.
WINDOW = 1 << 24
ESRCH = 3

PROT_READ, PROT_WRITE = 1, 2
PROTECTIONS = {"none": 0, "r": PROT_READ, "rw": PROT_READ | PROT_WRITE}
MAP_PRIVATE, MAP_ANONYMOUS, MAP_FIXED_NOREPLACE = 0x2, 0x20, 0x100000
MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4
PR_SET_MEMORY_MERGE = 67
MADV_UNMERGEABLE = 13
ADVICE = {
    "mergeable": 12, "unmergeable": MADV_UNMERGEABLE, "dontneed": 4, "free": 8, "dontfork": 10,
    "dofork": 11, "wipeonfork": 18, "cold": 20, "pageout": 21,
}  # fmt: skip


def address_of(page: int) -> int:
    """The address of a page of the litmus."""
    return BASE + page * PAGE_SIZE


class Memory:
    """Each method is an operation; it returns 0 or a negative error number."""

    def __init__(self, family: Family) -> None:
        self.family = family

    def _call(self, p: str, name: str, *operands: int) -> int:
        process = self.family.members.get(p)
        return -ESRCH if process is None else process.call(name, *operands)

    def _ranged(self, p: str, name: str, at: int, n: int, *operands: int) -> int:
        return min(self._call(p, name, address_of(at), n * PAGE_SIZE, *operands), 0)

    def mmap(self, p: str, at: int, n: int = 1, prot: str = "rw") -> int:
        """Map fresh pages; refuses to replace."""
        flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE
        return self._ranged(p, "mmap", at, n, PROTECTIONS[prot], flags, -1, 0)

    def munmap(self, p: str, at: int, n: int = 1) -> int:
        """Unmap pages."""
        return self._ranged(p, "munmap", at, n)

    def mprotect(self, p: str, at: int, n: int = 1, prot: str = "rw") -> int:
        """Change what is allowed."""
        return self._ranged(p, "mprotect", at, n, PROTECTIONS[prot])

    def mlock(self, p: str, at: int, n: int = 1) -> int:
        """Lock pages."""
        return self._ranged(p, "mlock", at, n)

    def munlock(self, p: str, at: int, n: int = 1) -> int:
        """Undo it."""
        return self._ranged(p, "munlock", at, n)

    def madvise(self, p: str, at: int, n: int = 1, advice: str = "") -> int:
        """Give advice."""
        return self._ranged(p, "madvise", at, n, ADVICE[advice])

    def mremap(
        self,
        p: str,
        at: int,
        n: int = 1,
        new_n: int | None = None,
        to: int | None = None,
        dontunmap: bool = False,
    ) -> int:
        """Resize a mapping in place or, if there is a `to`, move it there; it replaces.

        With `dontunmap` an empty mapping stays; without a `to`, the kernel picks the place then.
        """
        flags = 0 if to is None else MREMAP_MAYMOVE | MREMAP_FIXED
        flags |= MREMAP_MAYMOVE | MREMAP_DONTUNMAP if dontunmap else 0
        size = (n if new_n is None else new_n) * PAGE_SIZE
        there = 0 if to is None else address_of(to)
        return self._ranged(p, "mremap", at, n, size, flags, there)

    def prctl_merge(self, p: str, on: bool) -> int:
        """PR_SET_MEMORY_MERGE, but the interpreter's own memory stays out of it."""
        ret = self._call(p, "prctl", PR_SET_MEMORY_MERGE, int(on), 0, 0, 0)
        return min(ret, 0)

    # Accesses: the kernel copies between the page and a file in memory, so that a refused one is
    # an error and no signal. Its fault is that of the process itself.

    def write(
        self,
        p: str,
        at: int,
        n: int = 1,
        c: int = 0,
        cs: tuple[int, ...] = (),
    ) -> int:
        """Fill pages with words."""
        filled = [contents.to_bytes(contents.fill(word)) for word in cs or (c,) * n]
        return self._store(p, (address_of(page) for page in range(at, at + n)), filled)

    def poke(self, p: str, at: int, n: int = 1, off: int = 0, v: int = 0) -> int:
        """Store one byte in each page."""
        places = (address_of(page) + off for page in range(at, at + n))
        return self._store(p, places, [bytes([v])] * n)

    def read(self, p: str, at: int, n: int = 1) -> int:
        """Load a byte of each page."""
        return self._load(p, (address_of(page) for page in range(at, at + n)), 1)

    def fault(self, p: str, at: int, n: int = 1, write: bool = False) -> int:
        """Fault pages in without changing them: what is stored is there already."""
        if not write:
            return self.read(p, at, n)
        for page in range(at, at + n):
            error = self._store(p, [address_of(page)], [self._first_byte(p, page)])
            if error:
                return error
        return 0

    def _first_byte(self, p: str, page: int) -> bytes:
        """What a page begins with; one that is not there is not touched, and is zero."""
        process = self.family.members.get(p)
        place = {page: address_of(page) // PAGE_SIZE}
        if process is None or not frames_behind(process.proc("pagemap"), place):
            return bytes(1)
        self.read(p, page)
        return os.pread(self.family.scratch, 1, 0)

    def mem_write(self, p: str, at: int, n: int = 1, c: int = 0, step: int = 1) -> int:
        """Write every `step`-th of some pages through the process's mem file."""
        process = self.family.members.get(p)
        if process is None:
            return -ESRCH
        filled = contents.to_bytes(contents.fill(c))
        file = os.open(process.proc("mem"), os.O_RDWR)
        try:
            for page in range(at, at + n, step):
                os.pwrite(file, filled, address_of(page))
        except OSError as error:
            return -(error.errno or 0)
        finally:
            os.close(file)
        return 0

    def _store(self, p: str, addresses: Iterable[int], stored: Iterable[bytes]) -> int:
        held = None
        for address, data in zip(addresses, stored, strict=True):
            if data != held:
                os.pwrite(self.family.scratch, data, 0)
                held = data
            done = self._call(p, "pread", self.family.scratch, address, len(data), 0)
            if done < 0:
                return done
        return 0

    def _load(self, p: str, addresses: Iterable[int], size: int) -> int:
        for address in addresses:
            done = self._call(p, "pwrite", self.family.scratch, address, size, 0)
            if done < 0:
                return done
        return 0

    def label(self, process: Process, page: int) -> Contents | None:
        """What the process reads in a page that is there; None if it may not."""
        scratch = self.family.scratch
        done = process.call("pwrite", scratch, address_of(page), PAGE_SIZE, 0)
        if done < 0:
            return None
        data = os.pread(scratch, PAGE_SIZE, 0)
        word = data[: contents.WORD_BYTES]
        if data == word * contents.WORDS:
            return contents.fill(int.from_bytes(word, "little"))
        return contents.from_bytes(data)
