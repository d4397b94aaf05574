"""Reads a litmus from text. Reading never executes code."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from rmaplab.errors import InputError, Place
from rmaplab.litmus.builder import Builder
from rmaplab.litmus.cases import read_case
from rmaplab.litmus.model import Litmus
from rmaplab.litmus.operations import CPUS
from rmaplab.litmus.wording import nearest, one_of, shown

if TYPE_CHECKING:
    from lark import Lark, UnexpectedInput

MOST_BYTES = 1 << 20
#: What the grammar's terminals are to the user; all others are keywords.
TERMINALS = {
    "_NL": "the end of the line",
    "WORD": "a name",
    "NAME": "a name",
    "ITEM": "KERNEL VERDICT",
    "NUMBER": "a number",
    "DOCSTRING": '"""text"""',
    "EQUAL": "=",
    "EQUALS": "=",
    "AT": "@",
    "COLON": ":",
    "CPU": CPUS[0],
}


def read_file(path: str | os.PathLike[str]) -> Litmus:
    """Reads a litmus, in the text language or as a JSON case; InputError if it is neither."""
    name = os.fspath(path)
    text = _decoded(_bytes(name), name)
    if name.endswith(".json") or text.lstrip().startswith("{"):
        return read_case(text, name)
    return read_text(text, name)


def read_text(text: str, path: str = "") -> Litmus:
    """Reads a litmus in the text language; InputError, with its place, if it is none."""
    from lark import UnexpectedInput

    if len(text) > MOST_BYTES:
        raise _too_long(path)
    if "\0" in text:
        raise _binary(path)
    lines = text.replace("\r\n", "\n").replace("\r", "\n") + "\n"
    try:
        tree = _parser().parse(lines)
    except UnexpectedInput as error:
        raise _syntax_error(error, lines, path) from None
    return Builder(path).build(tree)


@cache
def _parser() -> Lark:
    from importlib.resources import files

    from lark import Lark

    grammar = files("rmaplab.litmus").joinpath("grammar.lark").read_text("utf-8")
    return Lark(grammar, parser="lalr", propagate_positions=True, maybe_placeholders=False)


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except IsADirectoryError:
        raise InputError("is a directory: name the files in it", Place(path)) from None
    except FileNotFoundError:
        raise InputError("there is no such file: check the name", Place(path)) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", Place(path)) from None
    if len(content) > MOST_BYTES:
        raise _too_long(path)
    return content


def _decoded(content: bytes, path: str) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _binary(path) from None
    if "\0" in text:
        raise _binary(path)
    return text


def _too_long(path: str) -> InputError:
    return InputError("is longer than 1 MiB: write a smaller scenario", Place(path))


def _binary(path: str) -> InputError:
    return InputError("is no text: write a litmus in UTF-8", Place(path))


def _syntax_error(error: UnexpectedInput, text: str, path: str) -> InputError:
    token = getattr(error, "token", None)
    if token is not None and token.type == "$END":
        return InputError("is empty: write `litmus NAME`, then its blocks", Place(path))
    place = Place(path, error.line, error.column)
    rest = text[error.pos_in_stream :]
    if rest.startswith('"""') and '"""' not in rest[3:]:
        return InputError('the text has no end: write `"""` after it', place)
    expected = getattr(error, "expected", None) or getattr(error, "allowed", None) or ()
    words = sorted({TERMINALS.get(name, name.lower()) for name in expected})
    if (token is not None and token.type == "_NL") or rest.startswith("\n"):
        return InputError(f"the line ends too early: {one_of(words)}", place)
    found = rest.split(None, 1)[0]
    if "LITMUS" in expected:
        return InputError(f"{shown(found)} cannot stand here: write `litmus NAME` first", place)
    guess = nearest(found, words)
    question = f" did you mean `{guess}`?" if guess else ""
    return InputError(f"{shown(found)} cannot stand here:{question} {one_of(words)}", place)
