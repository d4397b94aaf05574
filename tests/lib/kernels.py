"""Which kernels a quick test is done on; tests/slow is done on all."""

from __future__ import annotations

from rmaplab.history import ASIDE, KERNELS

#: What is beside the mainline, and releases between which much has changed, in the order of time.
SHOWN: dict[str, type] = {
    name: kernel
    for name, kernel in KERNELS.items()
    if name in ASIDE
    or name in (
        "v2.6.34", "v2.6.35", "root-lock", "v2.6.36", "v2.6.38", "v2.6.39", "v3.0", "v3.8", "v3.18",
        "v3.19", "v4.0", "v4.5", "v4.13", "v5.9", "v5.19", "v6.0", "v6.3", "v6.4", "v6.7", "v6.18",
    )
}  # fmt: skip
