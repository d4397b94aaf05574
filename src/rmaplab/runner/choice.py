"""What the user named: kernels and litmus files, found or refused with what to write instead."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from rmaplab import history
from rmaplab.checker.coverage import untouched
from rmaplab.checker.verdict import Coverage
from rmaplab.errors import InputError, Place
from rmaplab.history import lookup
from rmaplab.kernel.kernel import Kernel
from rmaplab.litmus.model import Litmus
from rmaplab.litmus.reader import read_file
from rmaplab.litmus.shipped import shipped


@dataclass(frozen=True)
class NamedKernel:
    """A kernel, and what the user calls it."""

    name: str
    kernel: type[Kernel]


def find_kernel(name: str) -> NamedKernel:
    """A kernel by its name, or `FILE.py:Class`; InputError if there is none."""
    path, colon, class_name = name.rpartition(":")
    try:
        if colon:
            return NamedKernel(name, lookup.load(path, class_name))
        if name.endswith(".py"):
            raise LookupError(f"name the class too: {name}:MyPatch")
        return NamedKernel(name, lookup.find(name))
    except (LookupError, ImportError, OSError) as error:
        message = str(error.args[0]) if isinstance(error, LookupError) else str(error)
        raise InputError(f"--kernel {name}: {message}") from error


def newest_release() -> str:
    """The name of the last release there is."""
    return [name for name in history.KERNELS if name.startswith("v")][-1]


def find_litmus(name: str) -> Litmus:
    """A litmus by its file, or by its name in the shipped collection."""
    if name.partition(":")[0].endswith(".py"):
        raise InputError(f"{name} is Python: is it a protocol? Write `rmaplab protocol {name}`")
    if os.path.sep in name or name.endswith((".litmus", ".json")) or os.path.exists(name):
        return read_file(name)
    known = {litmus.name: litmus for litmus in shipped()}
    if name not in known:
        close = get_close_matches(name, known, n=3, cutoff=0.4)
        names = ", ".join(close or sorted(known))
        raise InputError(f"there is no file and no shipped litmus `{name}`: there are {names}")
    return known[name]


def find_all(names: Sequence[str]) -> list[Litmus]:
    """Each litmus that is named, once; InputError where two files' have one name."""
    found: dict[str, Litmus] = {}
    for litmus in (find_litmus(name) for name in dict.fromkeys(names)):
        other = found.setdefault(litmus.name, litmus)
        if other.path != litmus.path:
            message = f"`{litmus.name}` is also the litmus of {other.path}: rename one"
            raise InputError(message, Place(litmus.path))
    return list(found.values())


def matrix_kernels(collection: Sequence[Litmus]) -> list[NamedKernel]:
    """The kernels that the expectations of a collection name, in the order of time."""
    named = {
        end
        for litmus in collection
        for expectation in litmus.expect
        for end in expectation.kernels.split("..")
    }
    return [NamedKernel(name, cls) for name, cls in history.KERNELS.items() if name in named]


def expected(litmus: Litmus, name: str) -> str | None:
    """The verdict that a litmus expects of a kernel: the last line that means it counts."""
    found = None
    for expectation in litmus.expect:
        try:
            if lookup.in_range(expectation.kernels, name):
                found = expectation.verdict
        except LookupError as error:
            raise InputError(str(error.args[0]), expectation.place) from error
    return found


def functions_of(kernel: type[Kernel]) -> tuple[Coverage, ...]:
    """The kernel functions that a kernel has, with their lines, none of them reached.

    Of a function that a later commit replaces only what it is replaced by.
    """
    methods = [inspect.getattr_static(kernel, name) for name in dir(kernel)]
    modules = {sys.modules[cls.__module__] for cls in kernel.__mro__ if cls is not object}
    helpers = [
        each
        for module in modules
        for each in vars(module).values()
        if getattr(each, "__module__", "") == module.__name__
    ]
    return untouched(each for each in (*methods, *helpers) if _is_kernels(each))


def _is_kernels(item: object) -> bool:
    return inspect.isfunction(item) and not item.__name__.startswith("__")
