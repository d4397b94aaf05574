"""Lines reached, put together over several checks."""

from __future__ import annotations

from rmaplab.checker.coverage import merged, untouched
from rmaplab.checker.verdict import Coverage


def test_a_line_that_any_check_reached_is_reached() -> None:
    one = Coverage("f", "rmap.py", (2, 3), (4, 5))
    two = Coverage("f", "rmap.py", (2, 5), (3, 4))

    assert merged((one, two)) == (Coverage("f", "rmap.py", (2, 3, 5), (4,)),)


def test_two_functions_of_one_name_in_a_file_stay_two() -> None:
    older = Coverage("f", "history.py", (2,), ())
    newer = Coverage("f", "history.py", (12,), (13,))

    assert merged((newer, older)) == (older, newer)


def test_a_function_that_nobody_entered_has_all_its_lines() -> None:
    def f(number: int) -> int:
        """Twice a number."""
        twice = 2 * number
        return twice

    (found,) = untouched([f])

    first = f.__code__.co_firstlineno
    assert (found.function, found.reached) == ("f", ())
    assert found.missed == (first + 2, first + 3)
