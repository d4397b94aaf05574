"""mm_take_all_locks: every lock that a walk into an mm needs is held, and once each."""

from __future__ import annotations

from typing import Any

import pytest

from rmaplab.history import KERNELS
from rmaplab.machine import BugOn, down_write, up_write


@pytest.mark.parametrize(
    ("kernel", "locks"), [("v2.6.34", 3), ("5c341ee1dfc8", 3), ("root-lock", 2), ("v2.6.38", 2)]
)
def test_every_anon_vma_of_an_mm_is_locked_once(new_lab: Any, kernel: str, locks: int) -> None:
    """The child has its parent's anon_vma and one of its own, of one root, for the old pages in
    two VMAs, and one more for its new page."""
    with new_lab(KERNELS[kernel]) as lab:
        mm = lab.process(3)
        lab.write(mm, 0, 1)
        child = lab.kernel.dup_mm(mm)
        lab.munmap(child, 1, 1)
        lab.mmap(child, 9, 1)
        lab.mmap(child, 20, 1)
        lab.write(child, 9, 1)
        anon_vmas = lab.kernel.anon_vma_cachep.live()
        assert len(anon_vmas) == 3
        down_write(child.mmap_sem)

        assert lab.kernel.mm_take_all_locks(child) == 0
        assert sum(anon_vma.lock.is_locked() for anon_vma in anon_vmas) == locks
        lab.kernel.mm_drop_all_locks(child)

        assert not any(anon_vma.lock.is_locked() or anon_vma.all_locked for anon_vma in anon_vmas)
        up_write(child.mmap_sem)
        lab.check_exit(mm, child)


@pytest.mark.parametrize("name", ["mm_take_all_locks", "mm_drop_all_locks"])
def test_mmap_sem_has_to_be_held(lab: Any, name: str) -> None:
    mm = lab.process(1)

    with pytest.raises(BugOn, match="mmap_sem is not held"):
        getattr(lab.kernel, name)(mm)
