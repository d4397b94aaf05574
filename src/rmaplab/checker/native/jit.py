"""What the compiled code asks of numba, and where numba keeps it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from llvmlite import ir
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from rmaplab.checker.native.ready import folder

config.CACHE_DIR = str(folder())

F = TypeVar("F", bound=Callable[..., Any])


def inner(function: F) -> F:
    """Compile a function that only compiled functions call."""
    return cast(F, njit(nogil=True)(function))


def entry(function: F) -> F:
    """Compile a function that Python calls, and keep the code on disk."""
    return cast(F, njit(nogil=True, cache=True)(function))


def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Begin to fetch an element of a one-dimensional array from memory."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        view = context.make_array(kind)(context, builder, arguments[0])
        pointer = cgutils.get_item_pointer(context, builder, kind, view, [arguments[1]])
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        declared = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, declared, "llvm.prefetch.p0")
        hints = [number(1), number(3), number(1)]  # to write; keep in all caches; data
        builder.call(function, [builder.bitcast(pointer, byte), *hints])
        return context.get_dummy_value()

    return types.void(array, types.int64), build


prefetch: Any = intrinsic(_prefetch)
