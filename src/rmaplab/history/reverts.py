"""Kernels before a fix that v2.6.34 has already: the release with that commit taken back.

None of them was released; each shows what the commit was for.
"""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.mm_types import PAGE_MAPPING_ANON
from rmaplab.machine import BUG_ON


class BeforeEa90002b0fa7(Kernel):
    """Without ea90002b0fa7 "anonvma: when setting up page->mapping, we need to pick the _oldest_
    anonvma".

    2010-04-12, v2.6.34. Whoever maps a page first gives it his own anon_vma, and may be the first
    to go.
    """

    def _page_set_anon_rmap(self, page: Any, vma: Any, address: int, exclusive: bool) -> None:
        """The VMA's own anon_vma, for every page."""
        anon_vma = vma.anon_vma
        BUG_ON(anon_vma is None, "__page_set_anon_rmap: the VMA has no anon_vma")
        page.mapping = (PAGE_MAPPING_ANON, anon_vma)
        page.index = self.linear_page_index(vma, address)
