"""v6.18 and its stable releases, VMAs: what 879bca0a2c4f got wrong."""

from __future__ import annotations

from typing import Any

from rmaplab.history.v6_3_vmas import Plan, VmaMerge
from rmaplab.history.v6_18_ksm import Commit4d6fc29f3634


class Commit61f67c230a5e(Commit4d6fc29f3634):
    """61f67c230a5e "mm/vma: fix anon_vma UAF on mremap() faulted, unfaulted merge".

    2026-01-05, v6.19, v6.18.8; CVE-2026-23077. Pages that mremap moved into a VMA without an
    anon_vma were of an anon_vma that nothing kept.
    """

    def copy_vma_merge(self, vma: Any, prev: Any, addr: int, end: int, pgoff: int) -> Any:
        """The VMA that is copied is known to the merge."""
        vmg = self.vma_merge_struct(vma.vm_mm, prev, addr, end)
        return self.vma_merge_range(
            vmg._replace(
                vm_flags=vma.vm_flags, anon_vma=vma.anon_vma, file=vma.vm_file, pgoff=pgoff,
                copied_from=vma,
            )
        )  # fmt: skip

    def vma_merge_plan(self, vmg: VmaMerge, merge_prev: bool, merge_next: bool) -> Plan:
        """Its chain is copied, unless the next VMA's is."""
        plan = super().vma_merge_plan(vmg, merge_prev, merge_next)
        if vmg.copied_from is None or (plan.src is not None and plan.src.anon_vma is not None):
            return plan
        return plan._replace(src=vmg.copied_from)


class Commit3b617fd3d317(Commit61f67c230a5e):
    """3b617fd3d317 "mm/vma: enforce VMA fork limit on unfaulted,faulted mremap merge too".

    2026-01-05, v6.19, v6.18.8.
    """

    def vmg_anon_vma_mergeable(self, vmg: VmaMerge, target: Any) -> bool:
        """Not where the VMA that is copied was forked."""
        copied = target.anon_vma is None and vmg.anon_vma is not None
        if copied and self.vma_had_uncowed_parents(vmg.copied_from):
            return False
        return super().vmg_anon_vma_mergeable(vmg, target)
