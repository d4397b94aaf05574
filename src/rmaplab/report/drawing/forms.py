"""The forms in which a film, or a moment of it, can be had: by the ending of the file's name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rmaplab.checker.film import Film


def _page(films: Sequence[Film], moment: int) -> str | bytes:
    from rmaplab.report.drawing.page import render_page

    return render_page(films, moment)


def _svg(films: Sequence[Film], moment: int) -> str | bytes:
    from rmaplab.report.drawing.svg import Drawing

    return Drawing(films[0]).picture(moment)


def _png(films: Sequence[Film], moment: int) -> str | bytes:
    from rmaplab.report.drawing.png import render_png
    from rmaplab.report.drawing.svg import Drawing

    return render_png(Drawing(films[0]).picture(moment))


def _dot(films: Sequence[Film], moment: int) -> str | bytes:
    from rmaplab.report.drawing.dot import render_dot

    return render_dot(films[0], moment)


def _text(films: Sequence[Film], moment: int) -> str | bytes:
    from rmaplab.report.drawing.plain import render_plain

    return render_plain(films[0], moment)


#: The moment is the number of the step that was taken last. A page has all moments.
FORMS: dict[str, Callable[[Sequence[Film], int], str | bytes]] = {
    ".html": _page, ".svg": _svg, ".png": _png, ".dot": _dot, ".txt": _text
}  # fmt: skip
