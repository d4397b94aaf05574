"""Films as one page that needs nothing else: steps, memory, code and ledgers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from string import Template

from rmaplab.checker.film import Film
from rmaplab.report.drawing.colours import DARK, LIGHT, style, variables
from rmaplab.report.drawing.svg import Drawing, diff


def render_page(films: Sequence[Film], moment: int) -> str:
    """The page: one film, or two side by side. It opens at a moment, if its link names none."""
    drawings = [Drawing(film) for film in films]
    data = json.dumps([_told(each, moment) for each in drawings], ensure_ascii=False)
    return Template(style("page.html")).substitute(
        title=escape(films[0].title),
        style=_style(),
        films="\n".join(_section(each, n) for n, each in enumerate(drawings)),
        data=data.replace("</", "<\\/"),
        script=style("page.js"),
    )


def _style() -> str:
    light, dark = variables(LIGHT), variables(DARK)
    return "\n".join([
        f":root {{ color-scheme: light; {light} }}",
        "@media (prefers-color-scheme: dark) "
        f"{{ :root:not([data-theme=light]) {{ color-scheme: dark; {dark} }} }}",
        f":root[data-theme=dark] {{ color-scheme: dark; {dark} }}",
        style("page.css"),
        style("drawing.css"),
    ])  # fmt: skip


def _section(drawing: Drawing, number: int) -> str:
    film = drawing.film
    return Template(style("film.html")).substitute(
        number=number,
        kernel=escape(film.kernel),
        verdict=escape(film.verdict),
        last=len(film.shots),
        drawing=drawing.moment(len(film.shots), f"f{number}"),
    )


def _told(drawing: Drawing, moment: int) -> dict[str, object]:
    """What the page's script knows of a film."""
    film = drawing.film
    cpus: dict[int, str] = {}
    for shot in film.shots:
        cpus.setdefault(shot.step.cpu, shot.step.task)
    counted = {
        label: [[at, each.cpu, each.task, each.before, each.after, each.call, each.source]
                for at, each in changes]
        for label, changes in film.counted.items()
    }  # fmt: skip
    return {
        "steps": [vars(shot.step) for shot in film.shots],
        "moments": [diff(drawing, number) for number in range(len(drawing.views))],
        "boxes": drawing.names,
        "arrows": [arrow.what for arrow in drawing.arrows],
        "cpus": sorted(cpus.items()),
        "sources": film.sources,
        "counted": counted,
        "about": _most_told(film),
        "begin": moment,
    }


def _most_told(film: Film) -> str:
    """The count that the ledger shows first: of the last object that a step counted on."""
    last = {label: changes[-1][0] for label, changes in film.counted.items()}
    anon = [label for label in last if label.startswith("anon_vma#")]
    return max(anon or last, key=lambda label: last[label], default="")
