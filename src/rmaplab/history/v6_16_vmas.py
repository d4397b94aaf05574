"""v6.16, VMAs: what has no page yet merges with what has some again."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v6_3_vmas import VmaMerge
from rmaplab.history.v6_11_ksm import Commita0b856b617c5
from rmaplab.kernel.mm_types import PAGE_SHIFT
from rmaplab.machine import list_is_singular


class Commit879bca0a2c4f(Commita0b856b617c5):
    """879bca0a2c4f "mm/vma: fix incorrectly disallowed anonymous VMA merges".

    2025-03-17, v6.16. 965f55dea0e3 "mmap: avoid merging cloned VMAs", v3.0, meant to keep apart the
    chains of a parent and of its children only.
    """

    def vma_had_uncowed_parents(self, vma: Any) -> bool:
        """New: whether a VMA was forked from another."""
        if vma is None or vma.anon_vma is None:
            return False
        return not list_is_singular(vma.anon_vma_chain)

    def vmg_anon_vma_mergeable(self, vmg: VmaMerge, target: Any) -> bool:
        """New: whether the range can share its chain with a VMA beside it.

        The kernel's is_mergeable_anon_vma. Of mremap's, where there is no `middle`, it takes the
        chain to be at hand, but nobody copies it: see 61f67c230a5e.
        """
        if target.anon_vma is None and vmg.anon_vma is not None:
            return not self.vma_had_uncowed_parents(vmg.middle)
        if target.anon_vma is not None and vmg.anon_vma is None:
            return not self.vma_had_uncowed_parents(target)
        return bool(target.anon_vma == vmg.anon_vma)

    def vma_merges_after(self, vmg: VmaMerge) -> bool:
        """By the new rule."""
        prev = vmg.prev
        return bool(
            self.is_mergeable_vma(prev, vmg.file, vmg.vm_flags)
            and self.vmg_anon_vma_mergeable(vmg, prev)
            and prev.vm_pgoff + ((prev.vm_end - prev.vm_start) >> PAGE_SHIFT) == vmg.pgoff
        )

    def vma_merges_before(self, vmg: VmaMerge) -> bool:
        """By the new rule."""
        return bool(
            self.is_mergeable_vma(vmg.next, vmg.file, vmg.vm_flags)
            and self.vmg_anon_vma_mergeable(vmg, vmg.next)
            and vmg.next.vm_pgoff == vmg.pgoff + ((vmg.end - vmg.start) >> PAGE_SHIFT)
        )
