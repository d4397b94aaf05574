"""A native walk on disk, to go on after whatever ended it.

The file is written aside and then renamed, so that there is always a whole one.
Tables are not in it: they are filled again by the same questions in the same order, and so number
everything alike.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile

import numpy as np

from rmaplab.checker.tables import Tables, WidthExceededError
from rmaplab.errors import InputError

#: What a half is, apart from its arrays.
NUMBERS = ("bits", "stored", "level", "queued", "end", "next", "again")
ARRAYS = ("table", "log", "states", "following")


@dataclass(frozen=True)
class Checkpoint:
    """What was read: the facts, and the arrays by name and half."""

    facts: dict[str, Any]
    arrays: dict[str, Any]


def save(path: str, facts: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Replace the file; the old one stays until the new one is whole."""
    told = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    aside = f"{path}.new"
    with open(aside, "wb") as file:
        _write(file, {"facts": told, **arrays})
    os.replace(aside, path)


def _write(file: BinaryIO, arrays: dict[str, Any]) -> None:
    np.savez(file, **arrays)
    file.flush()
    os.fsync(file.fileno())


def load(path: str, identity: str) -> Checkpoint | None:
    """What the file holds, None if there is no file; InputError if it is another check's."""
    if not Path(path).exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        facts = json.loads(arrays.pop("facts").tobytes())
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(f"{path}: no checkpoint that can be read: {error}") from None
    if facts["identity"] != identity:
        raise InputError(
            f"{path}: of another check (litmus, kernel, options or rmaplab itself differ): "
            "name another file, or remove it"
        )
    return Checkpoint(facts, arrays)


def questions(tables: Tables) -> list[tuple[str, int, int]]:
    """What the tables were asked: states, as long as they were, and columns."""
    return [(state.rstrip("\0"), len(state), column) for state, column in tables.asked]


def ask_again(tables: Tables, asked: list[tuple[str, int, int]]) -> None:
    """Fill tables in which nothing was asked yet."""
    assert not tables.asked, "only empty tables can be filled from a checkpoint"
    tables.start()
    for state, width, column in asked:
        tables.width = width
        try:
            tables.step(state.ljust(width, "\0"), column)
        except WidthExceededError:
            continue
