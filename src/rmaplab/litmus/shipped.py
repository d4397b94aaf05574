"""The collection of litmus files that comes with the package."""

from __future__ import annotations

from importlib.resources import files

from rmaplab.litmus.model import Litmus
from rmaplab.litmus.reader import read_text


def shipped() -> list[Litmus]:
    """Every shipped litmus, sorted by name."""
    entries = files("rmaplab.litmus.collection").iterdir()
    texts = [entry for entry in entries if entry.name.endswith(".litmus")]
    read = [read_text(entry.read_text("utf-8"), str(entry)) for entry in texts]
    return sorted(read, key=lambda litmus: litmus.name)
