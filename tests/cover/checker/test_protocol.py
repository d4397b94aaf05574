"""A protocol of the user's own becomes a scenario, or is refused with what to write instead."""

from __future__ import annotations

from typing import Any

import pytest

from rmaplab.checker.protocol import Protocol, build, check_protocol
from rmaplab.errors import InputError
from rmaplab.machine import (
    SLAB_DESTROY_BY_RCU,
    Struct,
    atomic_dec_and_test,
    atomic_inc,
    atomic_inc_not_zero,
    atomic_set,
    kmem_cache_alloc,
    kmem_cache_free,
    rcu_read_lock,
    rcu_read_unlock,
    refcount,
    spin_lock,
    spin_unlock,
    spinlock,
    value,
)


class Account(Struct):
    lock = spinlock()
    sum = value(0)
    count = refcount(0)


class Deposits(Protocol):
    cpus = ("deposit", "deposit; deposit")

    def setup(self) -> None:
        self.account = self.static(Account, "account")

    def deposit(self) -> None:
        spin_lock(self.account.lock)
        self.account.sum = self.account.sum + 1
        spin_unlock(self.account.lock)

    def check_end(self) -> None:
        assert self.account.sum == 3


class Unlocked(Deposits):
    def deposit(self) -> None:
        self.account.sum = self.account.sum + 1


def test_each_name_is_a_cpu_and_a_semicolon_one_after_the_other() -> None:
    scenario = build(Deposits)

    assert [(flow.cpu, len(flow.calls)) for flow in scenario.flows] == [(0, 1), (1, 2)]
    assert {call.task for flow in scenario.flows for call in flow.calls} == {"deposit"}


def test_a_result_has_the_names_of_the_class_and_of_its_file() -> None:
    result = check_protocol(Deposits)

    assert result.title == "Deposits of test_protocol.py"
    assert (result.verdict, result.as_expected) == ("clean", True)


def test_an_access_without_the_lock_is_a_race_and_an_update_is_lost() -> None:
    result = check_protocol(Unlocked)

    assert not result.as_expected
    assert {violation.kind for violation in result.outcome.violations} == {"data-race", "bug-on"}


class Counting(Deposits):
    def deposit(self) -> None:
        self.times = 1


def test_an_attribute_that_is_set_while_the_cpus_run_is_told() -> None:
    (violation,) = check_protocol(Counting).outcome.violations

    assert violation.kind == "bug-on"
    assert violation.message == (
        "Counting.times is set while the CPUs run: what changes has to be a field of a struct"
    )


class Left(Protocol):
    cpus = ("take",)

    def setup(self) -> None:
        self.accounts = self.kmem_cache_create("account", Account)

    def take(self) -> None:
        kmem_cache_alloc(self.accounts)


class LeftOnPurpose(Left):
    def check_end(self) -> None:
        pass


@pytest.mark.parametrize(("protocol", "verdict"), [(Left, "leak"), (LeftOnPurpose, "clean")])
def test_what_is_left_is_a_leak_unless_the_protocol_says_otherwise(
    protocol: type[Protocol], verdict: str
) -> None:
    assert check_protocol(protocol).verdict == verdict


class Twice(Left):
    def setup(self) -> None:
        super().setup()
        account = kmem_cache_alloc(self.accounts)
        kmem_cache_free(self.accounts, account)
        kmem_cache_free(self.accounts, account)


class Misspelt(Left):
    def setup(self) -> None:
        self.acounts = self.accounts.no_such_thing  # type: ignore[attr-defined]


@pytest.mark.parametrize(("protocol", "verdict"), [(Twice, "double-free"), (Misspelt, "bug-on")])
def test_a_set_up_that_goes_wrong_is_a_verdict(protocol: type[Protocol], verdict: str) -> None:
    result = check_protocol(protocol)

    assert result.verdict == verdict
    assert result.outcome.violation is not None
    assert result.outcome.violation.message.startswith("in the set-up: ")


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ({"cpus": ()}, 'Bad: say what runs at once, as in cpus = ("reader", "writer")'),
        ({"cpus": ["take"]}, "Bad: say what runs at once"),
        ({"cpus": ("tkae",)}, "Bad: cpus names `tkae`, which is no method of it: take"),
        ({"cpus": ("take; ",)}, "Bad: cpus names ``"),
        ({"expect": "uaf"}, "Bad: expect = 'uaf': write one of clean, use-after-free"),
    ],
)
def test_a_class_that_says_nothing_sensible_is_refused(says: dict[str, Any], told: str) -> None:
    body = {"cpus": ("take",), "take": lambda self: None, **says}

    with pytest.raises(InputError) as refused:
        build(type("Bad", (Protocol,), body))

    assert str(refused.value).startswith(told)


class Reader(Protocol):
    """A reader asks for a reference on what the last user may be freeing."""

    cpus = ("read", "put")
    careful = True

    def setup(self) -> None:
        self.accounts = self.kmem_cache_create("account", Account, SLAB_DESTROY_BY_RCU)
        self.account = kmem_cache_alloc(self.accounts)
        atomic_set(self.account.count, 1)
        self.listed = self.static(Listed, "listed")
        self.listed.account = self.account

    def read(self) -> None:
        rcu_read_lock()
        account = self.listed.account
        found = account is not None and self.get(account)
        rcu_read_unlock()
        if found:
            self.drop(account)

    def get(self, account: Any) -> bool:
        return atomic_inc_not_zero(account.count)

    def put(self) -> None:
        account = self.listed.account
        self.listed.account = None
        self.drop(account)

    def drop(self, account: Any) -> None:
        if atomic_dec_and_test(account.count):
            kmem_cache_free(self.accounts, account)


class Listed(Struct):
    account = value(None, marked="read under RCU")


class Greedy(Reader):
    def get(self, account: Any) -> bool:
        atomic_inc(account.count)
        return True


class Late(Reader):
    """No section: nothing keeps the memory of its type."""

    def read(self) -> None:
        account = self.listed.account
        if account is not None and self.get(account):
            self.drop(account)


@pytest.mark.parametrize(
    ("protocol", "verdict"),
    [(Reader, "clean"), (Greedy, "use-after-free"), (Late, "use-after-free")],
)
def test_an_rcu_reader_may_ask_whether_an_object_is_still_there(
    protocol: type[Protocol], verdict: str
) -> None:
    assert check_protocol(protocol).verdict == verdict
