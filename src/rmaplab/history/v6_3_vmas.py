"""v6.3, VMAs: vma_merge() moves the boundaries itself, and fails before it has changed any.

Left out: the interval trees of files, and the tree of VMAs but for the memory that it needs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rmaplab.history.v6_2_ksm import Commit6cce3314b928
from rmaplab.kernel.mm_types import PAGE_SHIFT, VM_SPECIAL
from rmaplab.machine import Struct, kmem_cache_alloc, kmem_cache_free, rb_erase, value


class VmaMerge(NamedTuple):
    """What is to be merged: struct vma_merge_struct of v6.12, the arguments of vma_merge() here.

    `middle` is the VMA that the range is of, if any.
    """

    mm: Any
    prev: Any
    middle: Any
    next: Any
    start: int
    end: int
    vm_flags: int = 0
    anon_vma: Any = None
    file: Any = None
    pgoff: int = 0
    copied_from: Any = None


class Plan(NamedTuple):
    """How it is merged: `vma` gets a new range, `adjust` a new start, and `removed` go.

    `dst` gets the anon_vma of `src`; it is the VMA that holds the range then.
    """

    vma: Any
    start: int
    end: int
    pgoff: int
    dst: Any
    src: Any = None
    adjust: Any = None
    adjust_start: int = 0
    removed: tuple[Any, ...] = ()


class MapleNode(Struct):
    """struct maple_node: memory that a change of the tree of VMAs needs. It is given back here."""

    parent: Any = value(None)


class Commit0503ea8f5ba7(Commit6cce3314b928):
    """0503ea8f5ba7 "mm/mmap: remove __vma_adjust()".

    2023-01-20, v6.3. With its sisters, which introduce dup_anon_vma(), vma_prepare() and
    vma_complete(). A split, and exec's stack, moved boundaries by __vma_adjust() before; in the
    same steps as now.
    """

    def boot(self) -> None:
        """The nodes of the tree of VMAs have a cache."""
        super().boot()
        self.maple_node_cache = self.machine.kmem_cache_create("maple_node", MapleNode)

    def vma_merge(
        self, mm: Any, prev: Any, addr: int, end: int, vm_flags: int, anon_vma: Any, file: Any,
        pgoff: int,
    ) -> Any:  # fmt: skip
        """The chain is copied first; then nothing can fail but the tree of VMAs."""
        vmg = self.vma_merge_struct(mm, prev, addr, end)
        return self.vma_merge_range(
            vmg._replace(vm_flags=vm_flags, anon_vma=anon_vma, file=file, pgoff=pgoff)
        )

    def vma_merge_struct(self, mm: Any, prev: Any, addr: int, end: int) -> VmaMerge:
        """New: what is at a range and beside it. `prev` begins before the range."""
        area = mm.mmap if prev is None else prev.vm_next
        current = area if area is not None and area.vm_start < end else None
        next = area if current is None else current.vm_next if current.vm_end == end else None
        if next is not None and next.vm_start != end:
            next = None
        middle = prev if prev is not None and addr < prev.vm_end else current
        return VmaMerge(mm, prev, middle, next, addr, end)

    def vma_merge_range(self, vmg: VmaMerge) -> Any:
        """New: merge what can be merged; the VMA that holds the range then, or None."""
        if vmg.vm_flags & VM_SPECIAL:
            return None
        prev, next = vmg.prev, vmg.next
        at_its_end = prev is not None and prev.vm_end == vmg.start
        merge_prev = at_its_end and self.vma_merges_after(vmg)
        merge_next = next is not None and self.vma_merges_before(vmg)
        if merge_prev and merge_next:
            merge_next = self.is_mergeable_anon_vma(prev.anon_vma, next.anon_vma, None)
        if not merge_prev and not merge_next:
            return None
        return self.commit_merge(vmg.mm, self.vma_merge_plan(vmg, merge_prev, merge_next))

    def vma_merges_after(self, vmg: VmaMerge) -> bool:
        """New: whether the range can join the VMA before it."""
        return self.can_vma_merge_after(vmg.prev, vmg.vm_flags, vmg.anon_vma, vmg.file, vmg.pgoff)

    def vma_merges_before(self, vmg: VmaMerge) -> bool:
        """New: whether the range can join the VMA behind it."""
        pgoff = vmg.pgoff + ((vmg.end - vmg.start) >> PAGE_SHIFT)
        return self.can_vma_merge_before(vmg.next, vmg.vm_flags, vmg.anon_vma, vmg.file, pgoff)

    def vma_merge_plan(self, vmg: VmaMerge, merge_prev: bool, merge_next: bool) -> Plan:
        """New: which VMA grows over what. Numbers are of the cases above MmapMerge.vma_merge.

        In case 8 the next VMA stays, no longer the one whose flags change.
        """
        prev, middle, next = vmg.prev, vmg.middle, vmg.next
        if merge_prev and merge_next:  # 1, 6
            plan = Plan(prev, prev.vm_start, next.vm_end, prev.vm_pgoff, prev, next)
            if middle is None:
                return plan._replace(removed=(next,))
            src = middle if next.anon_vma is None else next
            return plan._replace(src=src, removed=(middle, next))
        if merge_prev:
            plan = Plan(prev, prev.vm_start, vmg.end, prev.vm_pgoff, prev, middle)  # 2
            if middle is None:
                return plan
            if vmg.end == middle.vm_end:  # 7
                return plan._replace(removed=(middle,))
            return plan._replace(adjust=middle, adjust_start=vmg.end)  # 5
        if middle is not None and vmg.start > middle.vm_start:  # 4
            return Plan(
                middle, middle.vm_start, vmg.start, middle.vm_pgoff, next, middle,
                adjust=next, adjust_start=vmg.start,
            )  # fmt: skip
        pgoff = next.vm_pgoff - ((vmg.end - vmg.start) >> PAGE_SHIFT)  # 3, 8
        plan = Plan(next, vmg.start, next.vm_end, pgoff, next, middle)
        return plan if middle is None else plan._replace(removed=(middle,))

    # v6.12 has a function of this name for the second half of it.

    def commit_merge(self, mm: Any, plan: Plan) -> Any:
        """New: merge as planned; the VMA that holds the range, or None without memory."""
        had_anon_vma = plan.dst.anon_vma is not None
        if plan.src is not None and self.dup_anon_vma(plan.dst, plan.src):
            return None
        node = kmem_cache_alloc(self.maple_node_cache)
        if node is None:
            self.merge_undo(plan, had_anon_vma)
            return None
        anon_vma = self.vma_prepare(plan)
        for vma in plan.removed:
            self._vma_detach(mm, vma)
        self.vma_set_range(plan.vma, plan.start, plan.end, plan.pgoff)
        if plan.adjust is not None:
            pgoff = plan.adjust.vm_pgoff + (
                (plan.adjust_start - plan.adjust.vm_start) >> PAGE_SHIFT
            )
            self.vma_set_range(plan.adjust, plan.adjust_start, plan.adjust.vm_end, pgoff)
        self.vma_complete(mm, plan, anon_vma)
        kmem_cache_free(self.maple_node_cache, node)
        return plan.dst

    def merge_undo(self, plan: Plan, had_anon_vma: bool) -> None:
        """New: without memory for the tree, what is copied stays. See 824135c46b00, v6.6."""

    def dup_anon_vma(self, dst: Any, src: Any) -> int:
        """New: let a VMA that grows over pages of another be found by the reverse map of these."""
        return int(self.vma_import_anon_vma(dst, src))

    def vma_prepare(self, plan: Plan) -> Any:
        """New: lock the anon_vma of the VMAs whose boundaries move, and take them out of the trees
        of the reverse map; that, or None.
        """
        anon_vma = plan.vma.anon_vma
        if anon_vma is None and plan.adjust is not None:
            anon_vma = plan.adjust.anon_vma
        if anon_vma is not None:
            self.anon_vma_lock(anon_vma)
            self.anon_vma_interval_tree_pre_update_vma(plan.vma)
            if plan.adjust is not None:
                self.anon_vma_interval_tree_pre_update_vma(plan.adjust)
        return anon_vma

    def vma_complete(self, mm: Any, plan: Plan, anon_vma: Any) -> None:
        """New: put them back, and free the VMAs that another has grown over."""
        if anon_vma is not None:
            self.anon_vma_interval_tree_post_update_vma(plan.vma)
            if plan.adjust is not None:
                self.anon_vma_interval_tree_post_update_vma(plan.adjust)
            self.anon_vma_unlock(anon_vma)
        for vma in plan.removed:
            if vma.anon_vma is not None:
                self.anon_vma_merge(plan.vma, vma)
            mm.map_count -= 1
            kmem_cache_free(self.vm_area_cachep, vma)

    def vma_set_range(self, vma: Any, start: int, end: int, pgoff: int) -> None:
        """New: where a VMA is. What stays as it is is not stored: see vma_adjust_range."""
        for name, there in (("vm_start", start), ("vm_end", end), ("vm_pgoff", pgoff)):
            if getattr(vma, name) != there:
                setattr(vma, name, there)

    def _vma_detach(self, mm: Any, vma: Any) -> None:
        """New: take a VMA out of list and tree, which are one in these kernels."""
        _, prev = self.find_vma_prev(mm, vma.vm_start)
        if prev is None:
            mm.mmap = vma.vm_next
        else:
            prev.vm_next = vma.vm_next
        rb_erase(mm.mm_rb, vma)
