"""The heap, against its model: it ends where the last call that could be done put it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rmaplab.kernel.contents import ZERO, fill

RW = 3
WALL = 6  # another mapping is there


def heap(lab: Any) -> Any:
    mm = lab.kernel.mm_alloc()
    mm.start_brk = mm.brk = lab.address(0)
    return mm


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 8), st.booleans()), max_size=12))
def test_the_heap_ends_where_the_last_possible_call_put_it(new_lab: Any, ends: list[Any]) -> None:
    with new_lab() as lab:
        mm = heap(lab)
        lab.mmap(mm, WALL, 1)
        model: dict[int, int] = {}
        size = 0
        for word, (end, odd) in enumerate(ends, 1):
            brk = lab.address(end) - (8 if odd else 0)  # in the page before the end, or at its end
            if brk >= mm.start_brk and (end <= size or end < WALL):
                assert lab.kernel.sys_brk(mm, brk) == brk
                size = end
            else:
                assert lab.kernel.sys_brk(mm, brk) == mm.brk
            model = {page: held for page, held in model.items() if page < size}
            assert lab.layout(mm) == [(0, size, RW)] * bool(size) + [(WALL, 1, RW)]
            for page in range(size):
                assert lab.read(mm, page) == (fill(model[page]) if page in model else ZERO)
            if size:
                assert lab.write(mm, size - 1, word) == 0
                model[size - 1] = word
            lab.check_rmap(mm)
        lab.check_exit(mm)


def test_a_child_has_the_heap_of_its_parent(lab: Any) -> None:
    mm = heap(lab)
    lab.kernel.sys_brk(mm, lab.address(2))
    lab.write(mm, 1, 5)
    child = lab.kernel.dup_mm(mm)

    assert lab.kernel.sys_brk(child, lab.address(3)) == lab.address(3)

    assert (lab.read(child, 1), mm.brk) == (fill(5), lab.address(2))
    assert lab.layout(mm) == [(0, 2, RW)]
    lab.check_exit(mm, child)


def test_without_memory_the_heap_stays_as_it_is(lab: Any) -> None:
    mm = heap(lab)

    assert lab.failing(1, lambda: lab.kernel.sys_brk(mm, lab.address(2))) == (lab.address(0), True)
    assert lab.kernel.sys_brk(mm, lab.address(3)) == lab.address(3)
    lab.mprotect(mm, 1, 2, 1)
    lab.mprotect(mm, 1, 2, RW)
    assert lab.kernel.sys_brk(mm, lab.address(1)) == lab.address(1)
    assert lab.layout(mm) == [(0, 1, RW)]
    lab.check_exit(mm)
