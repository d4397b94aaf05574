"""What every part of the kernel has: its machine, its configuration, its structs and caches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rmaplab.kernel import mm_types
from rmaplab.machine import SLAB_STATIC, KmemCache, Machine, Struct


class KernelBase:
    """The parts of a kernel are classes on top of this; a patch is a subclass of the whole.

    A struct that a patch extends is a class attribute here (`Page`, `AnonVma`, ...).
    """

    CONFIG_KSM: bool = True
    CONFIG_MIGRATION: bool = True
    CONFIG_SWAP: bool = False

    Page: ClassVar[type[Struct]] = mm_types.Page
    VmAreaStruct: ClassVar[type[Struct]] = mm_types.VmAreaStruct
    MmStruct: ClassVar[type[Struct]] = mm_types.MmStruct
    #: Of the cache of VMAs.
    vm_area_flags: ClassVar[int] = 0

    def __init__(
        self,
        machine: Machine,
        CONFIG_KSM: bool = True,
        CONFIG_MIGRATION: bool = True,
        CONFIG_SWAP: bool = False,
    ) -> None:
        self.machine = machine
        self.CONFIG_KSM = CONFIG_KSM
        self.CONFIG_MIGRATION = CONFIG_MIGRATION
        self.CONFIG_SWAP = CONFIG_SWAP
        self.boot()

    def boot(self) -> None:
        """Create the caches and global variables; each part extends this."""
        self.page_cachep: KmemCache = self.machine.kmem_cache_create("page", self.Page, SLAB_STATIC)
        self.vm_area_cachep = self.machine.kmem_cache_create(
            "vm_area_struct", self.VmAreaStruct, self.vm_area_flags
        )
        self.mm_cachep = self.machine.kmem_cache_create("mm_struct", self.MmStruct)

    if TYPE_CHECKING:  # parts call each other across modules, as C does

        def __getattr__(self, name: str) -> Any: ...
