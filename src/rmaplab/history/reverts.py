"""Kernels before a fix that v2.6.34 has already: the release with that commit taken back.

None of them was released; each shows what the commit was for.
"""

from __future__ import annotations

from typing import Any

from rmaplab.kernel.kernel import Kernel
from rmaplab.kernel.mm_types import (
    ENOMEM,
    PAGE_MAPPING_ANON,
    PAGE_SHIFT,
    VM_EXEC,
    VM_READ,
    VM_WRITE,
)
from rmaplab.machine import BUG_ON, list_for_each_entry


class Before4946d54cb55e(Kernel):
    """Without 4946d54cb55e "rmap: fix anon_vma_fork() memory leak".

    2010-04-05, v2.6.34. A fork that runs out of memory half way frees a VMA that the anon_vmas of
    its parent still list.
    """

    def anon_vma_fork(self, vma: Any, pvma: Any) -> int:
        """What anon_vma_clone linked stays linked if there is no memory for the child's own."""
        if pvma.anon_vma is None:
            return 0
        if self.anon_vma_clone(vma, pvma):
            return -ENOMEM
        anon_vma = self.anon_vma_alloc()
        if anon_vma is None:
            return -ENOMEM
        avc = self.anon_vma_chain_alloc()
        if avc is None:
            self.anon_vma_free(anon_vma)
            return -ENOMEM
        self.anon_vma_fork_link(vma, pvma, avc, anon_vma)
        return 0


class BeforeD0e9fe1758f2(Kernel):
    """Without d0e9fe1758f2 "Simplify and comment on anon_vma re-use for anon_vma_prepare()".

    2010-04-12, v2.6.34. A VMA may take the anon_vma of a neighbour that has others besides: when
    the two merge, those of the one that goes are lost.
    """

    def find_mergeable_anon_vma(self, vma: Any) -> Any:
        """A neighbour's anon_vma, however long its chain is, if mprotect could merge the two."""
        near = vma.vm_next
        if near is not None and near.anon_vma is not None and vma.vm_end == near.vm_start:
            pgoff = vma.vm_pgoff + ((vma.vm_end - vma.vm_start) >> PAGE_SHIFT)
            flags = self.flags_after_mprotect(vma, near)
            if self.can_vma_merge_before(near, flags, None, vma.vm_file, pgoff):
                return near.anon_vma
        found, near = self.find_vma_prev(vma.vm_mm, vma.vm_start)
        BUG_ON(found != vma, "find_mergeable_anon_vma: the VMA is not in its mm")
        if near is not None and near.anon_vma is not None and near.vm_end == vma.vm_start:
            flags = self.flags_after_mprotect(vma, near)
            if self.can_vma_merge_after(near, flags, None, vma.vm_file, vma.vm_pgoff):
                return near.anon_vma
        return None

    # These lines stand twice in find_mergeable_anon_vma.

    def flags_after_mprotect(self, vma: Any, near: Any) -> int:
        """The flags of a VMA once it has the protection of a neighbour."""
        protection = VM_READ | VM_WRITE | VM_EXEC
        return int(vma.vm_flags & ~protection | near.vm_flags & protection)


class Before287d97ac0321(Kernel):
    """Without 287d97ac0321 "vma_adjust: fix the copying of anon_vma chains".

    2010-04-12, v2.6.34. A VMA that grows over the next one's pages, and has no anon_vma yet, gets
    the pointer to that of the next, and a copy of its own chain: of nothing.
    """

    def vma_import_anon_vma(self, importer: Any, exporter: Any) -> int:
        """The chain is copied from whom vma_adjust was called for, even if he is the importer.

        The lower of the two VMAs: the other is the next one.
        """
        if exporter.anon_vma is not None and importer.anon_vma is None:
            vma = exporter if exporter.vm_next == importer else importer
            if self.anon_vma_clone(importer, vma):
                return -ENOMEM
            importer.anon_vma = exporter.anon_vma
        return 0


class Before646d87b481da(Kernel):
    """Without 646d87b481da "anon_vma: clone the anon_vma chain in the right order".

    2010-04-12, v2.6.34. A chain that is copied turns round, so that its last entry, which
    __page_set_anon_rmap takes for the oldest, is not. 012f18004da3 "mm: always lock the root
    (oldest) anon_vma", v2.6.36, needs the order too: the root has to be freed last.
    """

    def anon_vma_clone(self, dst: Any, src: Any) -> int:
        """Newest first: each is put before the one that was newer."""
        for pavc in list_for_each_entry(src.anon_vma_chain):
            avc = self.anon_vma_chain_alloc()
            if avc is None:
                self.unlink_anon_vmas(dst)
                return -ENOMEM
            self.anon_vma_chain_link(dst, avc, pavc.anon_vma)
        return 0


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


#: The reverts by what they are called, in the order of time.
REVERTS: dict[str, type[Kernel]] = {
    "before-4946d54cb55e": Before4946d54cb55e,
    "before-d0e9fe1758f2": BeforeD0e9fe1758f2,
    "before-287d97ac0321": Before287d97ac0321,
    "before-646d87b481da": Before646d87b481da,
    "before-ea90002b0fa7": BeforeEa90002b0fa7,
}
