"""How much of its new memory a replayed program is taken to write, where no faults tell."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rmaplab.errors import InputError


@dataclass(frozen=True)
class Touch:
    """The first pages of each new mapping: a share of them, and no more than `most`."""

    share: float
    most: float = math.inf

    def pages(self, pages: int) -> int:
        """How many of so many pages are written."""
        return int(min(math.ceil(pages * self.share), self.most))


ALL = Touch(1.0)
NONE = Touch(0.0)
#: What is taken for likely where nothing is said.
FIRST_PAGES = Touch(1.0, most=64)


def read_touch(text: str) -> Touch:
    """`all`, `none`, or a number from 0 to 1; InputError for anything else."""
    named = {"all": ALL, "none": NONE}.get(text)
    if named:
        return named
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise InputError(f"--touch {text}: write all, none, or a number from 0 to 1")
    return Touch(share)
