"""mm/mmap.c, second part: moving the boundaries of VMAs, merging them, and sharing anon_vmas.

Memory policies, and the address_space that a file's VMAs are linked into, are left out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rmaplab.kernel.base import KernelBase
from rmaplab.kernel.mm_types import (
    ENOMEM,
    PAGE_SHIFT,
    VM_EXEC,
    VM_READ,
    VM_SPECIAL,
    VM_WRITE,
)
from rmaplab.machine import (
    BUG_ON,
    READ_ONCE,
    kmem_cache_free,
    list_is_singular,
    rb_erase,
)


class Adjustment(NamedTuple):
    """What vma_adjust() found out about the neighbour: its local variables."""

    end: int
    importer: Any = None
    exporter: Any = None
    adjust_next: int = 0
    remove_next: int = 0


class MmapMerge(KernelBase):
    """vma_adjust, vma_merge, find_mergeable_anon_vma and what they ask."""

    def _vma_unlink(self, mm: Any, vma: Any, prev: Any) -> None:
        """Take a VMA that has a predecessor out of list and tree. (The kernel's __vma_unlink.)"""
        prev.vm_next = vma.vm_next
        rb_erase(mm.mm_rb, vma)

    def vma_adjust(self, vma: Any, start: int, end: int, pgoff: int, insert: Any) -> int:
        """Move the boundaries of a VMA, its neighbour giving way; 0 or -ENOMEM.

        `insert` is a new VMA split off this one, to be linked in the same breath.
        If memory runs out in the second round of case 6, the first round stays done.
        """
        mm = vma.vm_mm
        next = vma.vm_next
        adjustment = Adjustment(end)
        if next is not None and insert is None:
            adjustment = self.vma_adjust_next(vma, next, end)
        while True:
            importer = adjustment.importer
            if importer is not None and self.vma_import_anon_vma(importer, adjustment.exporter):
                return -ENOMEM
            anon_vma = self.vma_adjust_lock(vma, next, insert, start, adjustment)
            self.vma_adjust_range(vma, next, start, pgoff, adjustment)
            if adjustment.remove_next:
                self._vma_unlink(mm, next, vma)
            elif insert is not None:
                self._insert_vm_struct(mm, insert)
            self.vma_adjust_unlock(vma, next, adjustment, anon_vma)
            if not adjustment.remove_next:
                return 0
            self.vma_adjust_remove(mm, vma, next)
            if adjustment.remove_next == 1:
                return 0
            next = vma.vm_next  # case 6: another one has to go, up to where the first one ended
            adjustment = self.vma_adjust_over(vma, next, adjustment.end)

    def vma_adjust_next(self, vma: Any, next: Any, end: int) -> Adjustment:
        """How the next VMA gives way, and which of the two gains pages of the other."""
        if end >= next.vm_end:
            return self.vma_adjust_over(vma, next, end)
        if end > next.vm_start:  # case 5
            pages = (end - next.vm_start) >> PAGE_SHIFT
            return Adjustment(end, importer=vma, exporter=next, adjust_next=pages)
        if end < vma.vm_end:  # case 4
            pages = (vma.vm_end - end) >> PAGE_SHIFT
            return Adjustment(end, importer=next, exporter=vma, adjust_next=-pages)
        return Adjustment(end)

    def vma_adjust_over(self, vma: Any, next: Any, end: int) -> Adjustment:
        """The VMA grows over the whole of the next, and perhaps over the one after it too."""
        remove_next = 1 + (end > next.vm_end)
        return Adjustment(next.vm_end, importer=vma, exporter=next, remove_next=remove_next)

    def vma_import_anon_vma(self, importer: Any, exporter: Any) -> int:
        """Let a VMA that grows over pages of another be found by the reverse map of these."""
        if exporter.anon_vma is not None and importer.anon_vma is None:
            if self.anon_vma_clone(importer, exporter):
                return -ENOMEM
            importer.anon_vma = exporter.anon_vma
        return 0

    def vma_adjust_lock(
        self, vma: Any, next: Any, insert: Any, start: int, adjustment: Adjustment
    ) -> Any:
        """The anon_vma locked while boundaries move: none.

        012f18004da3 "mm: always lock the root (oldest) anon_vma", 2.6.36, takes the root's lock.
        """
        return None

    def vma_adjust_unlock(self, vma: Any, next: Any, adjustment: Adjustment, anon_vma: Any) -> None:
        """Undo vma_adjust_lock."""

    def vma_adjust_range(
        self, vma: Any, next: Any, start: int, pgoff: int, adjustment: Adjustment
    ) -> None:
        """Move the boundaries.

        The kernel stores all three. Here what stays as it is is not stored, as walks that look at
        it meanwhile see the same: a data race that KCSAN does not report either.
        """
        if vma.vm_start != start:
            vma.vm_start = start
        vma.vm_end = adjustment.end
        if vma.vm_pgoff != pgoff:
            vma.vm_pgoff = pgoff
        if adjustment.adjust_next:
            next.vm_start += adjustment.adjust_next << PAGE_SHIFT
            next.vm_pgoff += adjustment.adjust_next

    def vma_adjust_remove(self, mm: Any, vma: Any, next: Any) -> None:
        """Free a VMA that another has grown over."""
        if next.anon_vma is not None:
            self.anon_vma_merge(vma, next)
        mm.map_count -= 1
        kmem_cache_free(self.vm_area_cachep, next)

    def is_mergeable_vma(self, vma: Any, file: Any, vm_flags: int) -> bool:
        """Whether a VMA agrees in flags and file."""
        return bool(vma.vm_flags == vm_flags and vma.vm_file == file)

    def is_mergeable_anon_vma(self, anon_vma1: Any, anon_vma2: Any, vma: Any) -> bool:
        """Whether two anon_vmas are the same, or one is still missing.

        `vma` has the second. 965f55dea0e3 "mmap: avoid merging cloned VMAs", v3.0, looks at it.
        """
        return anon_vma1 is None or anon_vma2 is None or bool(anon_vma1 == anon_vma2)

    def can_vma_merge_before(
        self, vma: Any, vm_flags: int, anon_vma: Any, file: Any, vm_pgoff: int
    ) -> bool:
        """Whether pages of these properties can join a VMA at its front."""
        return bool(
            self.is_mergeable_vma(vma, file, vm_flags)
            and self.is_mergeable_anon_vma(anon_vma, vma.anon_vma, vma)
            and vma.vm_pgoff == vm_pgoff
        )

    def can_vma_merge_after(
        self, vma: Any, vm_flags: int, anon_vma: Any, file: Any, vm_pgoff: int
    ) -> bool:
        """Whether pages of these properties can join a VMA at its end."""
        return bool(
            self.is_mergeable_vma(vma, file, vm_flags)
            and self.is_mergeable_anon_vma(anon_vma, vma.anon_vma, vma)
            and vma.vm_pgoff + ((vma.vm_end - vma.vm_start) >> PAGE_SHIFT) == vm_pgoff
        )

    # The range A of vma_merge(), between P and the next VMAs. In cases 1 to 3 it is not mapped; in
    # case 4 it is the end of P, in 5 the beginning of the VMA after P, in 6 to 8 the whole of that.
    #
    #     1  PPP AAA NNN -> PPPPPPPPP    4  PP[AA]NNN -> PPNNNNN    6  PPP[AAA]NNN -> PPPPPPPPP
    #     2  PPP AAA     -> PPPPPP       5  PPP[AA]NN -> PPPPPNN    7  PPP[AAA]NNN -> PPPPPPNNN
    #     3      AAA NNN -> NNNNNN                                  8  PPP[AAA]NNN -> PPPAAAAAA
    #
    # In case 8 the VMA that stays has the flags of A still: the caller changes them.

    def vma_merge(
        self, mm: Any, prev: Any, addr: int, end: int, vm_flags: int, anon_vma: Any, file: Any,
        pgoff: int,
    ) -> Any:  # fmt: skip
        """Merge a range that is to have these properties; the VMA that then holds it, or None."""
        if vm_flags & VM_SPECIAL:
            return None
        pglen = (end - addr) >> PAGE_SHIFT
        area = next = mm.mmap if prev is None else prev.vm_next
        if next is not None and next.vm_end == end:  # cases 6, 7, 8
            next = next.vm_next
        before_next = (
            next is not None
            and end == next.vm_start
            and self.can_vma_merge_before(next, vm_flags, anon_vma, file, pgoff + pglen)
        )
        if (
            prev is not None
            and prev.vm_end == addr
            and self.can_vma_merge_after(prev, vm_flags, anon_vma, file, pgoff)
        ):
            if before_next and self.is_mergeable_anon_vma(prev.anon_vma, next.anon_vma, None):
                end = next.vm_end  # cases 1, 6; else 2, 5, 7
            err = self.vma_adjust(prev, prev.vm_start, end, prev.vm_pgoff, None)
            return None if err else prev
        if not before_next:
            return None
        if prev is not None and addr < prev.vm_end:  # case 4
            err = self.vma_adjust(prev, prev.vm_start, addr, prev.vm_pgoff, None)
        else:  # cases 3, 8
            err = self.vma_adjust(area, addr, next.vm_end, next.vm_pgoff - pglen, None)
        return None if err else area

    def anon_vma_compatible(self, a: Any, b: Any) -> bool:
        """Whether two VMAs, in this order, are alike but for what mprotect may change."""
        return bool(
            a.vm_end == b.vm_start
            and a.vm_file == b.vm_file
            and not (a.vm_flags ^ b.vm_flags) & ~(VM_READ | VM_WRITE | VM_EXEC)
            and b.vm_pgoff == a.vm_pgoff + ((b.vm_start - a.vm_start) >> PAGE_SHIFT)
        )

    def reusable_anon_vma(self, old: Any, a: Any, b: Any) -> Any:
        """The anon_vma of `old`, one of two neighbours, if the other may take it; or None.

        With mmap_sem held for reading another fault may be setting it up: so read it once.
        """
        if self.anon_vma_compatible(a, b):
            anon_vma = READ_ONCE(old, "anon_vma")
            if anon_vma is not None and list_is_singular(old.anon_vma_chain):
                return anon_vma
        return None

    def find_mergeable_anon_vma(self, vma: Any) -> Any:
        """A neighbour's anon_vma that a VMA without one may take, or None."""
        near = vma.vm_next
        if near is not None:
            anon_vma = self.reusable_anon_vma(near, vma, near)
            if anon_vma is not None:
                return anon_vma
        found, near = self.find_vma_prev(vma.vm_mm, vma.vm_start)
        BUG_ON(found != vma, "find_mergeable_anon_vma: the VMA is not in its mm")
        return None if near is None else self.reusable_anon_vma(near, near, vma)
