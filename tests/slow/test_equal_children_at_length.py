"""Five and six equal children: what is left of their states when images are left out."""

from __future__ import annotations

import pytest
from agreement import ends
from protocols import Bench
from seed_toy import toy

from rmaplab.checker.options import EVERY, Limits, Reduction

ALL_BUT_SYMMETRY = EVERY - {Reduction.SYMMETRY}


@pytest.mark.parametrize(
    ("children", "without", "states"), [(4, 685, 91), (5, 2444, 138), (6, 9075, 198)]
)
def test_as_many_states_and_the_same_ends(children: int, without: int, states: int) -> None:
    walker = Bench(toy(children, fixed=True)).walker()
    reduced = Bench(toy(children, fixed=True)).walk(EVERY, Limits())
    other = walker.walk(ALL_BUT_SYMMETRY, Limits())

    assert (other.states, reduced.states) == (without, states)
    assert ends(other) == ends(walker.walk(EVERY, Limits()))
