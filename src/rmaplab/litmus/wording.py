"""Words that every reader of a litmus uses in its errors, and the form of a docstring."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable

MOST_SHOWN = 40
MOST_LISTED = 32


def shown(value: object) -> str:
    """The user's own word in an error: quoted, on one line, not too long."""
    text = value if isinstance(value, str) else repr(value)
    if not text.isprintable():
        text = ascii(text)[1:-1]
    return f"`{text}`" if len(text) <= MOST_SHOWN else f"`{text[: MOST_SHOWN - 3]}...`"


def one_of(words: Iterable[str]) -> str:
    """Tells the user to write one of the words; a long row of them is cut."""
    row = list(words)
    if len(row) == 1:
        return f"write {row[0]}"
    tail = [f"and {len(row) - MOST_LISTED} more"] if len(row) > MOST_LISTED else []
    return f"write one of: {', '.join(row[:MOST_LISTED] + tail)}"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    folded = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower()[:MOST_SHOWN], folded, n=1)
    return folded[close[0]] if close else None


def unknown(what: str, word: object, known: Iterable[str], also: Iterable[str] = ()) -> str:
    """Says that `word` is no known `what`, and what there is; a guess may also be from `also`."""
    names = list(known)
    guess = nearest(word, [*names, *also]) if isinstance(word, str) else None
    question = f" did you mean `{guess}`?" if guess else ""
    return f"unknown {what} {shown(word)}:{question} {one_of(names)}"


def tidy(docstring: str) -> str:
    """A docstring without the indentation and the empty lines that only frame it."""
    return inspect.cleandoc(docstring.replace("\r\n", "\n").replace("\r", "\n")).strip()
