"""A moment for Graphviz."""

from __future__ import annotations

import json

from rmaplab.checker.film import Film
from rmaplab.report.drawing.view import Box, Projector


def render_dot(film: Film, moment: int) -> str:
    """The objects and arrows after a step, in the DOT language."""
    view = list(Projector(film).views())[moment]
    boxes = [f"  {_quoted(name)} [{_shape(box)}];" for name, box in view.boxes.items()]
    arrows = [
        f"  {_quoted(arrow.start)} -> {_quoted(arrow.end)} [label={_quoted(arrow.what)}"
        f"{', color=red' if dangling else ''}];"
        for arrow, dangling in view.arrows.items()
    ]
    head = ["digraph rmap {", "  rankdir=LR;", '  node [shape=box, fontname="monospace"];']
    return "\n".join([*head, *boxes, *arrows, "}"]) + "\n"


def _shape(box: Box) -> str:
    # DOT's \l ends a line that stands to the left.
    label = json.dumps("\n".join([box.title, *box.lines]) + "\n", ensure_ascii=False)
    return "label=" + label.replace("\\n", "\\l") + (", style=dashed" if box.freed else "")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
