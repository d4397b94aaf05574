"""The matrix and the bugs that the documents show: all checks, done again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))

import generate

SLOW = [
    block
    for document in generate.documents()
    for block in generate.blocks(document)
    if block.name in generate.SLOW
]


@pytest.mark.parametrize("block", SLOW, ids=lambda block: block.name)
def test_a_shown_output_is_what_is_printed_now(block: generate.Block) -> None:
    """But for the seconds: those shown are of the day when the table was made."""
    assert generate.without_seconds(block.text) == generate.without_seconds(block.now())
