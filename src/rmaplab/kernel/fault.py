"""arch/x86/mm/fault.c: page faults of a task, and the user's own accesses that cause them.

Assumed: an access looks its entry up and is on the page at once. Who takes an entry away flushes
it from every TLB before going on, so no change of the entry comes between the two; here the access
holds the lock of the entries for that, which no processor does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from rmaplab.kernel.base import KernelBase
from rmaplab.kernel.contents import ZERO
from rmaplab.kernel.memory import VM_FAULT_ERROR, VM_FAULT_OOM
from rmaplab.kernel.mm_types import EFAULT, ENOMEM, VM_EXEC, VM_GROWSDOWN, VM_READ, VM_WRITE
from rmaplab.kernel.pgtable import Pte, is_migration_entry, pte_mkdirty
from rmaplab.machine import (
    down_read,
    pte_get,
    pte_offset_map,
    pte_wait_while,
    set_pte_at,
    spin_lock,
    spin_unlock,
    up_read,
)

#: What a try at an access gives when the instruction is to be run again: the return from a fault.
RETRY: Final[Any] = True


class Fault(KernelBase):
    """The page fault handler and the accesses of user programs."""

    def access_error(self, write: bool, vma: Any) -> bool:
        """Whether a VMA forbids the access. On x86 what can be written can be read."""
        return not vma.vm_flags & (VM_WRITE if write else VM_READ | VM_EXEC | VM_WRITE)

    def do_page_fault(self, mm: Any, address: int, write: bool) -> int:
        """Handle a fault of the user: 0 to try the access again, -EFAULT (SIGSEGV), -ENOMEM."""
        down_read(mm.mmap_sem)
        vma = self.find_vma(mm, address)
        if self.bad_area(vma, address) or self.access_error(write, vma):
            up_read(mm.mmap_sem)
            return -EFAULT
        fault = self.handle_mm_fault(mm, vma, address, write)
        up_read(mm.mmap_sem)
        if fault & VM_FAULT_ERROR:
            return -ENOMEM if fault & VM_FAULT_OOM else -EFAULT
        return 0

    # Cut out of do_page_fault. That a fault far below the stack pointer is an error is left out.

    def bad_area(self, vma: Any, address: int) -> bool:
        """Whether nothing is mapped at an address, and no stack above it can grow down to it."""
        if vma is None or vma.vm_start <= address:
            return vma is None
        return not vma.vm_flags & VM_GROWSDOWN or bool(self.expand_stack(vma, address))

    def user_write(self, mm: Any, address: int, contents_of: Callable[[Any], Any]) -> int:
        """A store by the user: the page gets `contents_of` what it held; 0 or an error."""
        done = RETRY
        while done is RETRY:
            done = self.user_write_once(mm, address, contents_of)
        return int(done)

    def user_read(self, mm: Any, address: int) -> Any:
        """A load by the user: the contents of the page, or an error (a negative int)."""
        got = RETRY
        while got is RETRY:
            got = self.user_read_once(mm, address)
        return got

    def user_write_once(self, mm: Any, address: int, contents_of: Callable[[Any], Any]) -> Any:
        """One try at a store, with one fault if it needs one: 0, an error, or RETRY."""

        def store(entry: Pte) -> int:
            page = self.pfn_to_page(entry.pfn)
            page.contents = contents_of(page.contents)
            return 0

        return self.user_access(mm, address, True, store)

    def user_read_once(self, mm: Any, address: int) -> Any:
        """One try at a load, with one fault if it needs one: contents, an error, or RETRY."""
        return self.user_access(
            mm,
            address,
            False,
            lambda entry: ZERO if entry.special else self.pfn_to_page(entry.pfn).contents,
        )

    def user_access(self, mm: Any, address: int, write: bool, use: Callable[[Pte], Any]) -> Any:
        """Use the entry if it allows the access, else fault once: what comes of it, or RETRY."""
        ptep = pte_offset_map(mm.pgd, address)
        entry = None
        if ptep is not None:
            spin_lock(mm.page_table_lock)
            entry = pte_get(ptep)
            allowed = isinstance(entry, Pte) and entry.young and (entry.write or not write)
            used = use(entry) if allowed else RETRY
            if allowed and write and not entry.dirty:
                set_pte_at(ptep, pte_mkdirty(entry))
            spin_unlock(mm.page_table_lock)
            if allowed:
                return used
        err = self.do_page_fault(mm, address, write)
        if err:
            return err
        if ptep is not None and is_migration_entry(entry) and pte_get(ptep) == entry:
            pte_wait_while(ptep, entry)  # until then the fault would come back again and again
        return RETRY
