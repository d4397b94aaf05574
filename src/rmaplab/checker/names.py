"""What the objects of a recorded trace are called where it is followed."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: The name of an object's memory within a text: `anon_vma#1` of `anon_vma#1.2`.
MEMORY = re.compile(r"\w+#\d+")


class Names:
    """The names of a trace beside those here.

    Memory is numbered in the order in which it is first looked at: in a walk that is another one
    than along a single trace. What was there before both has the same name in both.
    """

    def __init__(self, settled: Iterable[str]) -> None:
        self._here = {name: name for name in settled}

    def are_one(self, recorded: str, here: str) -> bool:
        """Whether two names can be of one object; if they can, they are from now on."""
        theirs, _, their_life = recorded.partition(".")
        ours, _, our_life = here.partition(".")
        if their_life != our_life:
            return False
        if theirs not in self._here:
            if not self._can_be(theirs, ours):
                return False
            self._here[theirs] = ours
        return self._here[theirs] == ours

    def _can_be(self, theirs: str, ours: str) -> bool:
        """Whether it is of the same kind and stands for no other yet."""
        same_kind = ours.partition("#")[0] == theirs.partition("#")[0]
        return same_kind and ours not in self._here.values()

    def as_here(self, text: str) -> str:
        """A recorded text with the names that are used here."""
        return MEMORY.sub(lambda name: self._here.get(name[0], name[0]), text)
