"""What swap does when others come between, by every interleaving."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rmaplab.checker.check import check
from rmaplab.checker.program import Call, Flow, Scenario
from rmaplab.checker.verdict import CLEAN
from rmaplab.history import KERNELS
from rmaplab.kernel.pgtable import SwapEntry
from rmaplab.machine.traced import TracedMachine
from rmaplab.runner.system import System
from rmaplab.runner.truths import check_truths

ENTRY = SwapEntry(1)


class Race:
    """A and its child B have page 0 on the device only; then calls run beside each other."""

    def __init__(self, kernel: str) -> None:
        self.machine = TracedMachine(2)
        with self.machine.running(0, "boot"):
            self.system = system = System(
                KERNELS[kernel], self.machine, ("A",), {"CONFIG_SWAP": True}
            )
            steps = (system.mmap("A", 0), system.write("A", 0, c=1), system.fork("A", "B"))
            assert (*steps, system.swap_out("A", 0)) == (0, 0, 0, 0)

    def run(self, *calls: Callable[[], Any]) -> Any:
        flows = tuple(
            Flow(cpu, (Call(f"CPU{cpu}", "call", call),)) for cpu, call in enumerate(calls)
        )
        return check(Scenario(self.machine, flows, lambda: check_truths(self.system), []))


@pytest.fixture(params=["v2.6.34", "v2.6.38"])
def race(request: pytest.FixtureRequest) -> Race:
    return Race(request.param)


def test_two_who_read_the_same_slot_read_it_once(race: Race) -> None:
    kernel = race.system.kernel

    def read() -> None:
        page = kernel.read_swap_cache_async(ENTRY, None, 0)
        assert page.private == ENTRY and page.swapcache
        kernel.put_page(page)

    outcome = race.run(read, read)

    assert (outcome.verdict, outcome.complete) == (CLEAN, True)


def test_who_finds_a_page_that_moves_gets_the_new_one(race: Race) -> None:
    system, kernel = race.system, race.system.kernel
    with race.machine.running(0, "A"):
        assert system.swap_in("A", 0) == 0

    def find() -> None:
        page = kernel.lookup_swap_cache(ENTRY)
        assert page.private == ENTRY
        kernel.put_page(page)

    outcome = race.run(find, lambda: system.migrate("A", 0))

    assert (outcome.verdict, outcome.complete) == (CLEAN, True)


def test_swapoff_waits_for_who_changes_the_address_space(race: Race) -> None:
    system = race.system
    with race.machine.running(0, "A"):
        assert system.exit("B") == 0

    outcome = race.run(system.kernel.sys_swapoff, lambda: system.mmap("A", 1))

    assert (outcome.verdict, outcome.complete) == (CLEAN, True)
