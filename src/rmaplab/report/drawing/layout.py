"""Where each object stands, for a whole film: nothing moves when somebody steps through it.

VMAs are rows, by process; anon_vmas are columns; an anon_vma_chain stands where they cross, as it
links the one with the other. Frames stand to the right, KSM's objects below.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rmaplab.checker.film import Film
from rmaplab.report.drawing.view import View

LINE = 17
PAD = 9
GAP = 22
#: Widths of boxes by kind.
WIDTHS = {
    "mm_struct": 190, "vm_area_struct": 230, "anon_vma": 190, "anon_vma_chain": 100,
    "page": 190, "stable_node": 150, "rmap_item": 190, "mm_slot": 150,
}  # fmt: skip
BELOW = ("mm_slot", "rmap_item", "stable_node")


@dataclass(frozen=True)
class Place:
    """A rectangle."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Layout:
    """The place of each object by name, and the size of all."""

    places: dict[str, Place]
    width: int
    height: int


class Planner:
    """Places for all objects of a film; the lives of one memory share a place."""

    def __init__(self, film: Film, views: Sequence[View]) -> None:
        self.kinds = {thing.memory: thing.kind for thing in film.things}
        self.memories = {thing.name: thing.memory for thing in film.things}
        #: The most lines of text that the lives of a memory have, in the order they are met in.
        self.lines: dict[str, int] = {}
        #: To which memories those of others were ever linked, the latest last.
        self.linked: dict[str, list[str]] = {}
        self.places: dict[str, Place] = {}
        for view in views:
            self._note(view)

    def _note(self, view: View) -> None:
        for name, box in view.boxes.items():
            memory = self.memories[name]
            self.lines[memory] = max(self.lines.get(memory, 0), 1 + len(box.lines))
        for arrow in view.arrows:
            start, end = self.memories[arrow.start], self.memories[arrow.end]
            for one, other in ((start, end), (end, start)):
                known = self.linked.setdefault(one, [])
                if other not in known:
                    known.append(other)

    def layout(self) -> Layout:
        """The whole of it."""
        columns = self._memories("anon_vma")
        x = GAP + WIDTHS["mm_struct"] + GAP + WIDTHS["vm_area_struct"] + 2 * GAP
        top = max([self._put(each, x + n * (WIDTHS["anon_vma"] + GAP), 3 * GAP)
                   for n, each in enumerate(columns)], default=GAP)  # fmt: skip
        bottom = self._rows(top + 2 * GAP)
        right = x + len(columns) * (WIDTHS["anon_vma"] + GAP) + 2 * GAP
        low = self._column("page", right, 3 * GAP)
        bottom = self._chains(max(bottom, top))
        bottom = self._below(max(bottom, GAP))
        width = max((each.x + each.width for each in self.places.values()), default=0) + GAP
        names = {name: self.places[memory] for name, memory in self.memories.items()
                 if memory in self.places}  # fmt: skip
        return Layout(names, width, max(bottom, low) + GAP)

    def _memories(self, kind: str) -> list[str]:
        return [memory for memory in self.lines if self.kinds[memory] == kind]

    def _put(self, memory: str, x: int, y: int) -> int:
        """The y below it."""
        height = self.lines[memory] * LINE + PAD
        self.places[memory] = Place(x, y, WIDTHS[self.kinds[memory]], height)
        return y + height

    def _column(self, kind: str, x: int, y: int) -> int:
        for memory in self._memories(kind):
            y = self._put(memory, x, y) + GAP
        return y

    def _rows(self, y: int) -> int:
        """Each process with its VMAs."""
        left = GAP + WIDTHS["mm_struct"] + GAP
        vmas = dict.fromkeys(self._memories("vm_area_struct"))
        for mm in self._memories("mm_struct"):
            below = self._put(mm, GAP, y)
            own = [each for each in vmas if mm in self.linked.get(each, ())]
            for vma in own:
                del vmas[vma]
                y = self._put(vma, left, y) + GAP
            y = max(y, below + GAP)
        for vma in vmas:
            y = self._put(vma, left, y) + GAP
        return y

    def _chains(self, bottom: int) -> int:
        """Where row and column cross; below all, if it was never linked."""
        crowd: Counter[tuple[int, int]] = Counter()
        x = GAP
        for memory in self._memories("anon_vma_chain"):
            ends = [each for each in self.linked.get(memory, ()) if each in self.places]
            row = next((each for each in reversed(ends) if each.startswith("vm_area")), None)
            column = next((each for each in reversed(ends) if each.startswith("anon_vma#")), None)
            if row is None or column is None:
                self._put(memory, x, bottom + GAP)
                x += WIDTHS["anon_vma_chain"] + GAP
                continue
            vma, header = self.places[row], self.places[column]
            where = header.x + (header.width - WIDTHS["anon_vma_chain"]) // 2, vma.y
            self._put(memory, where[0], where[1] + crowd[where] * (LINE + PAD + 4))
            crowd[where] += 1
        return max([bottom, *(each.y + each.height + GAP for each in self.places.values())])

    def _below(self, y: int) -> int:
        """KSM's objects, a row for each kind."""
        for kind in BELOW:
            x, low = GAP, y
            for memory in self._memories(kind):
                low = max(low, self._put(memory, x, y) + GAP)
                x += WIDTHS[kind] + GAP
            y = low
        return y
