"""The estimate of what a program writes."""

from __future__ import annotations

import pytest

from rmaplab.errors import InputError
from rmaplab.runner.touch import FIRST_PAGES, read_touch


@pytest.mark.parametrize(
    ("text", "of_ten", "of_thousand"),
    [("all", 10, 1000), ("none", 0, 0), ("0.25", 3, 250), ("1", 10, 1000), ("0", 0, 0)],
)
def test_a_share_of_the_pages_is_rounded_up(text: str, of_ten: int, of_thousand: int) -> None:
    touch = read_touch(text)

    assert (touch.pages(10), touch.pages(1000)) == (of_ten, of_thousand)


def test_unasked_the_first_64_pages_are_written() -> None:
    assert (FIRST_PAGES.pages(10), FIRST_PAGES.pages(1000)) == (10, 64)


@pytest.mark.parametrize("text", ["half", "1.5", "-1", "nan", "inf", ""])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="write all, none, or a number from 0 to 1"):
        read_touch(text)
