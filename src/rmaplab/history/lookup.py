"""From names to kernels: by name, by range, and from the user's own file."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

from rmaplab.history import ASIDE, KERNELS, RELEASES
from rmaplab.kernel.kernel import Kernel
from rmaplab.userfile import run_file


def find(name: str) -> type[Kernel]:
    """The kernel of that name; LookupError, with the names that come near, if there is none."""
    if name not in KERNELS:
        close = get_close_matches(name, KERNELS, n=4, cutoff=0.5)
        names = ", ".join(close or RELEASES)
        all_names = f"there are {names}, and commits: `rmaplab kernels` has all"
        hint = f"did you mean one of {names}?" if close else all_names
        raise LookupError(f"there is no kernel `{name}`: {hint}")
    return KERNELS[name]


def chain(kernel: type[Kernel]) -> list[type[Kernel]]:
    """The kernel and what it was made from in the mainline, the oldest first."""
    aside = {KERNELS[name] for name in ASIDE} - {kernel}
    line = [cls for cls in reversed(kernel.__mro__) if issubclass(cls, Kernel)]
    return [cls for cls in line if cls not in aside]


def in_range(wanted: str, name: str) -> bool:
    """Whether a kernel's name is meant by `A..B` (with both ends), `A..`, `..B`, `A` or `*`.

    A name means its commit: `root-lock` is in `012f18004da3`. What is not in the mainline, such
    as `seed-v2` or a user's own, is meant by its own name and by `*` only; `before-*` means every
    release without one of its commits.
    """
    if wanted in ("*", name):
        return True
    if wanted == "before-*":
        return name in ASIDE and name.startswith("before-")
    first, dots, last = wanted.partition("..")
    if not dots and first in ASIDE:
        return False
    low = _position(first) if first else 0
    high = low if not dots else _position(last) if last else len(KERNELS)
    return name in KERNELS and name not in ASIDE and low <= _position(name) <= high


def _position(name: str) -> int:
    """Where a kernel stands in the mainline; LookupError if it does not."""
    kernel = find(name)
    if name in ASIDE:
        raise LookupError(f"`{name}` is not in the mainline from v2.6.34 on: it ends no range")
    return len(chain(kernel))


def load(path: str | Path, class_name: str) -> type[Kernel]:
    """The user's own kernel: a class of a Python file, which is run.

    LookupError if there is no such file, or no such kernel in it; ImportError if it does not run.
    """
    module = run_file(Path(path))
    kernels = [name for name, item in vars(module).items() if _is_own_kernel(item, module)]
    there = f"it has the kernels {', '.join(kernels)}" if kernels else "it has no kernel at all"
    found = getattr(module, class_name, None)
    if found is None:
        raise LookupError(f"{path} has no class `{class_name}`: {there}")
    if not (isinstance(found, type) and issubclass(found, Kernel)):
        base = "derive it from one of rmaplab.history, as in `class MyPatch(V2_6_36):`"
        raise LookupError(f"`{class_name}` in {path} is not a kernel: {base}; {there}")
    return found


def _is_own_kernel(item: object, module: ModuleType) -> bool:
    """Whether a name of a module is a kernel written there, not one imported."""
    own = getattr(item, "__module__", "") == module.__name__
    return own and isinstance(item, type) and issubclass(item, Kernel)
