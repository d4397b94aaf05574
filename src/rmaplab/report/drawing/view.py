"""What is to be seen at a moment of a film: boxes with lines of text, and lines between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rmaplab.checker.film import Change, Film, Thing

#: The fields that a box shows, by kind of object; other kinds are not drawn.
LINES: dict[str, tuple[str, ...]] = {
    "mm_struct": ("mm_users", "mmap_sem", "mmap_lock", "page_table_lock"),
    "vm_area_struct": ("anon_vma", "vm_lock", "vm_refcnt"),
    "anon_vma": (
        "external_refcount", "ksm_refcount", "refcount", "lock", "mutex", "rwsem", "root", "parent",
        "degree", "num_children", "num_active_vmas",
    ),
    "anon_vma_chain": (),
    "page": ("_count", "_mapcount", "mapping", "locked", "contents"),
    "stable_node": ("kpfn",),
    "rmap_item": ("address", "anon_vma"),
    "mm_slot": ("mm",),
}  # fmt: skip

#: Between which kinds a field that points to an object is drawn as a line, and what it is called.
ARROWS = {
    ("vm_area_struct", "mm_struct"): "mm",
    ("vm_area_struct", "anon_vma_chain"): "same_vma",
    ("anon_vma", "anon_vma_chain"): "same_anon_vma",
    ("anon_vma", "vm_area_struct"): "anon_vma_node",
    ("anon_vma", "anon_vma"): "root",
    ("page", "anon_vma"): "mapping",
    ("page", "stable_node"): "mapping",
    ("mm_struct", "page"): "pte",
    ("stable_node", "rmap_item"): "hlist",
    ("rmap_item", "anon_vma"): "item",
}

#: How the names of fields begin that make a difference to how other objects look.
FAR = ("life", "_count", "mm", "pgd", "vm_")

PAGE_SHIFT = 12
PERMISSIONS = ((1, "r"), (2, "w"), (4, "x"))


@dataclass(frozen=True)
class Box:
    """An object that is there, or was: its title, its lines, and which are wrong."""

    title: str
    lines: tuple[str, ...]
    freed: bool = False
    #: Numbers of lines that name an object which is freed.
    dangling: tuple[int, ...] = ()


@dataclass(frozen=True)
class Arrow:
    """A line between two objects; dangling if the second is freed."""

    start: str
    end: str
    what: str


@dataclass
class View:
    """A moment: boxes by name of the object, arrows and whether they dangle."""

    boxes: dict[str, Box] = field(default_factory=dict)
    arrows: dict[Arrow, bool] = field(default_factory=dict)


class Projector:
    """Goes through a film, and has the view of each moment."""

    def __init__(self, film: Film) -> None:
        self.film = film
        self.things: dict[str, Thing] = {thing.name: thing for thing in film.things}
        self._statics = [thing.name for thing in film.things if thing.is_static]
        self._held: dict[str, dict[str, Change]] = {}
        self._now: dict[str, str] = {}
        self._take(film.start)

    def views(self) -> Iterator[View]:
        """Before the first step, then after each."""
        view = self._view()
        yield view
        for shot in self.film.shots:
            self._take(shot.changes)
            view = self._next(view, shot.changes)
            yield view

    def _next(self, view: View, changes: Iterable[Change]) -> View:
        """The view after some changes; of most of them only the objects themselves look different.

        Who lives, and which VMA an entry lies in, makes a difference to others.
        """
        if any(each.field.startswith(FAR) for each in changes):
            return self._view()
        changed = {each.thing for each in changes} & view.boxes.keys()
        boxes = {**view.boxes, **{name: self._box(self.things[name]) for name in changed}}
        arrows = {
            each: dangles for each, dangles in view.arrows.items() if each.start not in changed
        }
        return View(boxes, {**arrows, **self._from(changed, boxes)}) if changed else view

    def _take(self, changes: Iterable[Change]) -> None:
        for change in changes:
            self._held.setdefault(change.thing, {})[change.field] = change
            if change.field == "life":
                self._now[self.things[change.thing].memory] = change.thing

    def _view(self) -> View:
        things = [self.things[name] for name in self._now.values()]
        drawn = [each for each in things if each.kind in LINES and not self._is_unused(each)]
        boxes = {each.name: self._box(each) for each in drawn}
        return View(boxes, self._from(boxes, boxes))

    def _from(self, starts: Iterable[str], boxes: Mapping[str, Box]) -> dict[Arrow, bool]:
        """The arrows that begin at some objects, and whether they dangle."""
        return {
            arrow: self._is_freed(arrow.end)
            for start in starts
            if not self._is_freed(start)
            for arrow in self._arrows(start)
            if self._drawn(arrow.end) in boxes
        }

    # Objects

    def _text(self, thing: str, name: str) -> str:
        change = self._held.get(thing, {}).get(name)
        return change.text if change is not None else ""

    def _number(self, thing: str, name: str) -> int:
        return int(self._text(thing, name) or 0)

    def _is_freed(self, thing: str) -> bool:
        """Whether an object is gone: freed, or its memory is another's."""
        known = self.things.get(thing)
        if known is None:
            return False
        return self._now.get(known.memory) != thing or self._text(thing, "life") == "freed"

    def _is_unused(self, thing: Thing) -> bool:
        """A frame that nobody has."""
        return thing.kind == "page" and self._text(thing.name, "_count") in ("", "0")

    def _drawn(self, name: str) -> str:
        """The object that the memory of one is now."""
        return self._now.get(self.things[name].memory, name)

    def _box(self, thing: Thing) -> Box:
        held = self._held[thing.name]
        shown = [held[name] for name in LINES[thing.kind] if name in held]
        lines = tuple(f"{each.field} {self._value(each)}" for each in shown)
        dangling = tuple(
            number for number, each in enumerate(shown) if any(map(self._is_freed, each.to))
        )
        return Box(self._title(thing), lines, self._is_freed(thing.name), dangling)

    def _value(self, change: Change) -> str:
        if change.field == "address":
            return self.place(int(change.text) >> PAGE_SHIFT << PAGE_SHIFT)
        if change.field == "mapping" and change.to:
            return change.to[0]
        return change.text

    def _title(self, thing: Thing) -> str:
        name = thing.name
        if thing.kind == "mm_struct":
            tasks = [each for each in self._statics if self._points(each, "mm", name)]
            return " ".join([", ".join(tasks), name]).strip()
        if thing.kind == "vm_area_struct":
            start, end = self._number(name, "vm_start"), self._number(name, "vm_end")
            flags = self._number(name, "vm_flags")
            bits = "".join(letter if flags & bit else "-" for bit, letter in PERMISSIONS)
            short = name.replace("vm_area_struct", "vma")
            return f"{short} {self.place(start)}..{self.place(end)} {bits}"
        return name.replace("anon_vma_chain", "avc")

    def place(self, address: int) -> str:
        """An address, as a page number of the litmus where it has one."""
        base = self.film.base
        if base and 0 <= address - base < 1 << 32:
            return str((address - base) >> PAGE_SHIFT)
        return f"{address:#x}"

    def _points(self, thing: str, name: str, to: str) -> bool:
        change = self._held.get(thing, {}).get(name)
        return change is not None and to in change.to

    # Arrows

    def _arrows(self, start: str) -> Iterator[Arrow]:
        kind = self.things[start].kind
        for change in self._held[start].values():
            for end in change.to:
                other = self.things.get(end)
                what = ARROWS.get((kind, other.kind)) if other is not None else None
                if what == "pte":
                    yield Arrow(self._vma_at(start, change.field), end, what)
                elif what == "root":
                    if end != start:
                        yield Arrow(start, end, change.field)
                elif what is not None:
                    yield Arrow(start, end, what)

    def _vma_at(self, mm: str, entry: str) -> str:
        """The VMA in which a page table entry lies; the mm itself if there is none."""
        address = int(entry.split()[-1], 16)
        for name in self._now.values():
            if self.things[name].kind == "vm_area_struct" and self._points(name, "vm_mm", mm):
                start, end = self._number(name, "vm_start"), self._number(name, "vm_end")
                if start <= address < end and not self._is_freed(name):
                    return name
        return mm
