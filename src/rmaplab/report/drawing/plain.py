"""A moment as text: who is linked to whom, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rmaplab.checker.film import Film
from rmaplab.report.drawing.view import Projector, View
from rmaplab.report.words import in_a_line, innermost

#: The lists and entries that are told of the objects that they are in.
LISTS = ("same_vma", "same_anon_vma", "anon_vma_node", "pte", "hlist")

#: The kinds of objects, in the order in which they are told.
KINDS = ("mm_struct", "vm_area_struct", "anon_vma", "page", "mm_slot", "stable_node", "rmap_item")


def render_plain(film: Film, moment: int) -> str:
    """The objects after a step: a line each, with what they are linked to."""
    view = list(Projector(film).views())[moment]
    kinds = {thing.name: thing.kind for thing in film.things}
    lines = [f"{film.kernel}: {film.verdict}", _step(film, moment)]
    for kind in KINDS:
        names = [name for name in view.boxes if kinds[name] == kind]
        lines += [f"  {_line(view, name)}" for name in names]
    return "\n".join(lines) + "\n"


def _step(film: Film, moment: int) -> str:
    if moment == 0:
        return f"before the first of {len(film.shots)} steps"
    step = film.shots[moment - 1].step
    where = f"{innermost(step.call)} {step.source}"
    return f"after step {moment} of {len(film.shots)}: CPU{step.cpu} {in_a_line(step)}, {where}"


def _line(view: View, name: str) -> str:
    box = view.boxes[name]
    if box.freed:
        return f"{box.title}  freed"
    linked = [f"{what}: {', '.join(ends)}" for what, ends in _linked(view, name)]
    lines = [each for each in box.lines if not each.endswith(" NULL")]
    return "  ".join([box.title, *lines, *linked])


def _linked(view: View, name: str) -> Iterator[tuple[str, list[str]]]:
    """What an object's lists and entries lead to."""
    found: dict[str, list[str]] = {}
    for arrow, dangling in view.arrows.items():
        if arrow.start == name and arrow.what in LISTS:
            end = arrow.end.replace("anon_vma_chain", "avc").replace("vm_area_struct", "vma")
            found.setdefault(arrow.what, []).append(f"{end} (freed)" if dangling else end)
    yield from found.items()
