"""Which kernels a quick test is done on: a commit in between differs from its release by little."""

from __future__ import annotations

from rmaplab.history import ASIDE, KERNELS, RELEASES

#: The releases, and what is beside the mainline, in the order of time.
SHOWN: dict[str, type] = {
    name: kernel for name, kernel in KERNELS.items() if name in RELEASES or name in ASIDE
}
