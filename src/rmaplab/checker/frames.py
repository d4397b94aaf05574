"""Call stacks of kernel code: which frames are kernel code, and how sources are named."""

from __future__ import annotations

import os
from functools import cache
from types import FrameType

from rmaplab.checker.verdict import Frame
from rmaplab.machine.faults import KernelStateError

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
#: Our own machinery under and around kernel code: no part of a kernel's call stack.
_HIDDEN = tuple(os.path.join(_PACKAGE, room, "") for room in ("machine", "checker", "runner"))
_LIBRARY = os.path.join(os.path.dirname(os.__file__), "")
_STARTERS = _HIDDEN[1:]

#: A call stack, innermost first: (function, file, line).
Stack = tuple[tuple[str, str, int], ...]


def stack_of(frame: FrameType | None) -> Stack:
    """The calls of a suspended or current frame, innermost first."""
    calls = []
    while frame is not None:
        calls.append((frame.f_code.co_name, frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return tuple(calls)


def stack_of_error(error: BaseException) -> Stack:
    """The calls in which an exception was raised, innermost first."""
    calls = []
    trace = error.__traceback__
    while trace is not None:
        calls.append(
            (trace.tb_frame.f_code.co_name, trace.tb_frame.f_code.co_filename, trace.tb_lineno)
        )
        trace = trace.tb_next
    return tuple(reversed(calls))


def is_kernel_code(function: str, file: str) -> bool:
    """Whether a function is kernel code: ours, or of the user's own file."""
    library = file.startswith(_LIBRARY) and "-packages" not in file
    return not (library or file.startswith((*_HIDDEN, "<")) or function.startswith("<"))


def is_ours(error: Exception) -> bool:
    """Whether an assertion of our own failed, rather than one in the user's kernel."""
    stack = stack_of_error(error)
    return isinstance(error, AssertionError) and not (stack and is_users(stack[0][1]))


def is_users(file: str) -> bool:
    """Whether a source file is not of this package."""
    return not file.startswith(os.path.join(_PACKAGE, ""))


def kernel_frames(stack: Stack) -> tuple[Frame, ...]:
    """The frames of kernel code, innermost first; who started the checker is none."""
    outermost = [place for place, call in enumerate(stack) if call[1].startswith(_STARTERS)]
    return tuple(
        Frame(function, f"{short(file)}:{line}")
        for function, file, line in stack[: outermost[-1] if outermost else None]
        if is_kernel_code(function, file)
    )


@cache
def short(file: str) -> str:
    """A source file as reports name it: within the package, or by its last part."""
    if file.startswith(_PACKAGE):
        return os.path.relpath(file, _PACKAGE)
    return os.path.basename(file)


def oops(error: Exception) -> KernelStateError:
    """Kernel code that raised: an oops of the modelled kernel, with the place of it."""
    frames = kernel_frames(stack_of_error(error))
    where = f" at {frames[0].source}" if frames else ""
    return KernelStateError("bug-on", f"{_complaint(error)}{where}")


def _complaint(error: Exception) -> str:
    """What was raised, in the kernel's words where it has some: None stands for NULL."""
    text = str(error)
    if isinstance(error, AttributeError) and text.startswith("'NoneType' object"):
        field = text.split("'")[3]
        return f"NULL pointer dereference: ->{field}"
    return f"{type(error).__name__}: {text}"


def call_path(stack: Stack) -> str:
    """`exit_mmap > unlink_anon_vmas > anon_vma_unlink`."""
    return " > ".join(frame.function for frame in reversed(kernel_frames(stack)))
