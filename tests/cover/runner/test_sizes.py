"""Bytes of structs, against what the kernel's headers add up to on x86-64."""

from __future__ import annotations

import pytest

from rmaplab.history import KERNELS
from rmaplab.runner.sizes import size_of


@pytest.mark.parametrize(
    ("kernel", "size"),
    [
        ("v2.6.33", 4 + 4 + 16),  # lock, ksm_refcount, head
        ("v2.6.34", 4 + 4 + 16),
        ("v2.6.36", 4 + 4 + 16 + 8),  # and root
        ("v3.0", 8 + 32 + 4 + 4 + 16),  # root, mutex, refcount and a hole, head
    ],
)
def test_an_anon_vma_takes_so_many_bytes(kernel: str, size: int) -> None:
    assert size_of("anon_vma", KERNELS[kernel].AnonVma) == size


@pytest.mark.parametrize(
    ("kernel", "size"),
    [("v2.6.34", 8 + 8 + 16 + 16), ("v3.7", 8 + 8 + 16 + 24 + 8), ("v6.18", 64)],
)
def test_a_chain_entry_takes_so_many_bytes(kernel: str, size: int) -> None:
    assert size_of("anon_vma_chain", KERNELS[kernel].AnonVmaChain) == size
