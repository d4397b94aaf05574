"""A moment as SVG: all boxes and arrows of the film, of which some are to be seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from rmaplab.checker.film import Film
from rmaplab.report.drawing.colours import in_light, style
from rmaplab.report.drawing.layout import LINE, PAD, Layout, Place, Planner
from rmaplab.report.drawing.view import Arrow, Box, Projector, View


class Drawing:
    """A film's drawing: what is the same at all moments."""

    def __init__(self, film: Film) -> None:
        self.film = film
        self.views = list(Projector(film).views())
        self.layout: Layout = Planner(film, self.views).layout()
        self.names = list(dict.fromkeys(name for view in self.views for name in view.boxes))
        self.kinds = {thing.name: thing.kind for thing in film.things}
        self.arrows = list(dict.fromkeys(arrow for view in self.views for arrow in view.arrows))

    def moment(self, number: int, prefix: str = "") -> str:
        """The SVG element, with the view of a moment: 0 is before the first step."""
        view = self.views[number]
        lit = self.lit(number)
        parts = [
            *(self._arrow(each, view, f"{prefix}e{n}") for n, each in enumerate(self.arrows)),
            *(self._box(name, view.boxes.get(name), name in lit, f"{prefix}b{n}")
              for n, name in enumerate(self.names)),
        ]  # fmt: skip
        size = f'width="{self.layout.width}" height="{self.layout.height}"'
        box = f'viewBox="0 0 {self.layout.width} {self.layout.height}"'
        space = 'xmlns="http://www.w3.org/2000/svg"'
        return "\n".join([f'<svg {space} class="drawing" {size} {box}>', *parts, "</svg>"])

    def picture(self, number: int) -> str:
        """A whole SVG document, its style in it."""
        head, _, rest = self.moment(number).partition("\n")
        return f"{head}\n<style>\n{in_light(style('drawing.css'))}</style>\n{rest}\n"

    def lit(self, number: int) -> frozenset[str]:
        """The objects that the step before a moment changed; in the end, what it is about."""
        if number == 0:
            return frozenset()
        shot = self.film.shots[number - 1]
        about = {shot.step.object} if shot is self.film.shots[-1] else set()
        return frozenset({change.thing for change in shot.changes} or about)

    def _box(self, name: str, box: Box | None, is_lit: bool, identity: str) -> str:
        place = self.layout.places[name]
        shown = box or Box(name, ())
        classes = ["box", self.kinds[name], *["off"] * (box is None), *["freed"] * shown.freed,
                   *["lit"] * is_lit]  # fmt: skip
        rows = [shown.title, *shown.lines]
        rows += [""] * ((place.height - PAD) // LINE - len(rows))
        texts = [_text(place, n, row, n - 1 in shown.dangling) for n, row in enumerate(rows)]
        rect = f'<rect x="{place.x}" y="{place.y}" width="{place.width}" height="{place.height}"/>'
        return f'<g id="{identity}" class="{" ".join(classes)}">{rect}{"".join(texts)}</g>'

    def _arrow(self, arrow: Arrow, view: View, identity: str) -> str:
        classes = ["arrow", arrow.what]
        classes += ["off"] * (arrow not in view.arrows) + ["dangling"] * view.arrows.get(
            arrow, False
        )
        ends = self.layout.places[arrow.start], self.layout.places[arrow.end]
        return f'<path id="{identity}" class="{" ".join(classes)}" d="{_path(*ends)}"/>'


def _text(place: Place, number: int, text: str, is_dangling: bool) -> str:
    y = place.y + (number + 1) * LINE - 2
    of = "title" if number == 0 else "dangling" if is_dangling else ""
    known = f' class="{of}"' if of else ""
    return f'<text x="{place.x + PAD}" y="{y}"{known}>{escape(text)}</text>'


def _path(start: Place, end: Place) -> str:
    """From the border of one box to that of the other."""
    if start.y == end.y and start.width == end.width:  # along the top: over the boxes between
        x, to = start.x + start.width // 2, end.x + end.width // 2
        return f"M{x} {start.y}C{x} {start.y - 40} {to} {start.y - 40} {to} {end.y}"
    if start.y + start.height <= end.y or end.y + end.height <= start.y:
        x, to = start.x + start.width // 2, end.x + end.width // 2
        y, until = _facing(start.y, start.height, end.y, end.height)
        bend = (y + until) // 2
        return f"M{x} {y}C{x} {bend} {to} {bend} {to} {until}"
    y, until = start.y + min(start.height, 26) // 2, end.y + min(end.height, 26) // 2
    x, to = _facing(start.x, start.width, end.x, end.width)
    bend = (x + to) // 2
    return f"M{x} {y}C{bend} {y} {bend} {until} {to} {until}"


def _facing(start: int, size: int, end: int, other: int) -> tuple[int, int]:
    """The sides of two ranges that face each other."""
    return (start + size, end) if start < end else (start, end + other)


def diff(drawing: Drawing, number: int) -> dict[str, object]:
    """What a moment shows otherwise than the one before, by numbers of boxes and arrows."""
    before = drawing.views[number - 1] if number else View()
    view = drawing.views[number]
    boxes = {
        n: _told(view.boxes.get(name))
        for n, name in enumerate(drawing.names)
        if view.boxes.get(name) != before.boxes.get(name)
    }
    arrows = {
        n: view.arrows.get(arrow)
        for n, arrow in enumerate(drawing.arrows)
        if view.arrows.get(arrow) != before.arrows.get(arrow)
    }
    return {"boxes": boxes, "arrows": arrows, "lit": _numbers(drawing.names, drawing.lit(number))}


def _told(box: Box | None) -> object:
    return None if box is None else [[box.title, *box.lines], box.freed, list(box.dangling)]


def _numbers(names: Sequence[str], some: Iterable[str]) -> list[int]:
    places = {name: n for n, name in enumerate(names)}
    return sorted(places[name] for name in some if name in places)
