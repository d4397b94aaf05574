"""Checks that need not be done again: what a litmus never asks of a kernel cannot matter to it.

All that kernel code and the runner ask of a kernel's class goes through the kernel object: its
functions, its structs, its constants, and whether it has them at all. A check on a kernel that
answers every one of these questions alike would go the very same way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from rmaplab.checker.verdict import Outcome
from rmaplab.kernel.kernel import Kernel
from rmaplab.litmus.model import Litmus

#: What a class has not.
MISSING = object()


def watched(kernel: type[Kernel]) -> tuple[type[Kernel], dict[str, object]]:
    """The kernel, and what will have been asked of it: the answers of its class, by name."""
    known = answers_of(kernel)
    answers = {"__init__": known["__init__"]}

    def missing(_: Kernel, name: str) -> Any:
        answers[name] = MISSING
        raise AttributeError(f"{kernel.__name__!r} object has no attribute {name!r}")

    questions: dict[str, Any] = {
        name: _Question(name, answer, answers)
        for name, answer in known.items()
        if not name.startswith("__")
    }
    return type(kernel.__name__, (kernel,), {**questions, "__getattr__": missing}), answers


def answers_of(kernel: type[Kernel]) -> dict[str, object]:
    """All that a class has, by name: the nearest in the order of its bases."""
    return _all_of(kernel.__mro__)


@cache
def _all_of(bases: tuple[type, ...]) -> dict[str, object]:
    return {name: item for base in reversed(bases) for name, item in vars(base).items()}


class _Question:
    """Stands for a name of a class: notes its answer, and gets out of the way."""

    def __init__(self, name: str, answer: Any, answers: dict[str, object]) -> None:
        self.name = name
        self.answer = answer
        self.answers = answers

    def __get__(self, kernel: Kernel, owner: type[Kernel]) -> Any:
        """The answer, kept by the kernel object from now on."""
        self.answers[self.name] = self.answer
        bind = getattr(type(self.answer), "__get__", None)
        found = bind(self.answer, kernel, owner) if bind is not None else self.answer
        if not isinstance(self.answer, property):
            vars(kernel)[self.name] = found
        return found


@dataclass(frozen=True)
class Done:
    """A check that was done: on which kernel, what was asked of it, and what came out."""

    name: str
    kernel: type[Kernel]
    answers: dict[str, object]
    outcome: Outcome

    def holds_on(self, kernel: type[Kernel]) -> bool:
        """Whether a kernel is made of the same parts, and answers alike."""
        here = answers_of(kernel)
        return _parts(kernel) == _parts(self.kernel) and all(
            here.get(name, MISSING) is answer for name, answer in self.answers.items()
        )


def _parts(kernel: type[Kernel]) -> list[type]:
    """The source files that it has: what `isinstance` asks for."""
    return [part for part in kernel.__mro__ if not issubclass(part, Kernel)]


class Memory:
    """The checks done in this process, of the litmus that is being checked."""

    def __init__(self) -> None:
        self._litmus: Litmus | None = None
        self._done: list[Done] = []

    def note(self, litmus: Litmus, done: Done) -> None:
        """Remember a check, and forget those of another litmus."""
        if self._litmus is not litmus:
            self._litmus, self._done = litmus, []
        self._done.append(done)

    def find(self, litmus: Litmus, kernel: type[Kernel]) -> Outcome | None:
        """What a check would come to, if that is known."""
        known = self._done if self._litmus is litmus else []
        for done in known:
            if done.holds_on(kernel):
                return replace(done.outcome, same_as=done.outcome.same_as or done.name)
        return None
