"""What v2.6.39 changed for pages: writing to the memory of a process through /proc."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rmaplab.history.v2_6_39 import Commit01d8b20dec5f
from rmaplab.machine import KernelStateError, down_read, up_read

EIO = 5


class Commit5ddd36b9c598(Commit01d8b20dec5f):
    """5ddd36b9c598 "mm: implement access_remote_vm".

    2011-03-23, v2.6.39. It is the body of access_process_vm(), which only ptrace used.
    """

    def access_remote_vm(self, mm: Any, addr: int, contents_of: Callable[[Any], Any]) -> int:
        """New: write a page whatever its protection; how many pages were written, 1 or 0."""
        down_read(mm.mmap_sem)
        error, pages = self._get_user_pages(mm, addr, 1, write=True, force=True)
        if not error:
            self.write_user_page(pages[0], contents_of)
        up_read(mm.mmap_sem)
        return int(not error)

    # The inner part of access_remote_vm(), cut out for length.

    def write_user_page(self, page: Any, contents_of: Callable[[Any], Any]) -> None:
        """New: store into a page that get_user_pages() found, and let it go."""
        if page is None:
            raise KernelStateError("wrong-data", "a forced write goes to the kernel's zero page")
        page.contents = contents_of(page.contents)
        self.lock_page(page)  # set_page_dirty_lock()
        page.dirty = True
        self.unlock_page(page)
        self.put_page(page)


class Commit198214a7ee50(Commit5ddd36b9c598):
    """198214a7ee50 "proc: enable writing to /proc/pid/mem".

    2011-03-23, v2.6.39. Who may open the file (until v3.3 the process itself, or who traces it) is
    left out: here it is the process itself.
    """

    def mem_write(self, mm: Any, addr: int, contents_of: Callable[[Any], Any]) -> int:
        """-EIO where nothing could be written."""
        return 0 if self.access_remote_vm(mm, addr, contents_of) else -EIO
