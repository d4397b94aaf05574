"""How a struct is declared, and what a patch makes of an inherited one."""

from __future__ import annotations

from typing import Any

import pytest

from rmaplab.machine import (
    Atomic,
    Struct,
    atomic,
    atomic_read,
    pointer,
    refcount,
    removed,
    spinlock,
    value,
)
from rmaplab.machine.struct import RESERVED, Kind


class Old(Struct):
    """A struct, and what it is for."""

    lock: Any = spinlock()
    count: Atomic = refcount(2, least=1)
    title: Any = pointer(marked="read without the lock")

    def method(self) -> str:
        return "kept"


class New(Old):
    count: Any = removed()
    users: Atomic = atomic(7)
    title: Any = value("x")


class Newest(New):
    count: Atomic = refcount(3)


def test_a_struct_lists_its_fields_in_order() -> None:
    assert list(Old.fields) == ["lock", "count", "title"]
    assert [field.kind for field in Old.fields.values()] == [
        Kind.SPINLOCK,
        Kind.ATOMIC,
        Kind.VALUE,
    ]


def test_a_declaration_keeps_what_it_says() -> None:
    assert (Old.fields["count"].initial, Old.fields["count"].least) == (2, 1)
    assert New.fields["users"].least is None
    assert Old.fields["title"].marked == "read without the lock"


def test_a_patch_inherits_adds_changes_and_removes_fields() -> None:
    assert list(New.fields) == ["lock", "title", "users"]
    assert New.fields["title"].initial == "x" and not New.fields["title"].marked
    assert list(Old.fields) == ["lock", "count", "title"]


def test_a_removed_field_may_come_back() -> None:
    assert Newest.fields["count"].initial == 3


def test_a_field_of_two_bases_is_that_of_the_first() -> None:
    class Other(Struct):
        count: Atomic = atomic(9)

    class Both(Old, Other):
        pass

    assert Both.fields["count"].initial == 2


def test_the_class_itself_has_methods_but_no_fields() -> None:
    assert Old.method(None) == "kept"  # type: ignore[arg-type]
    assert not hasattr(Old, "lock") and not hasattr(New, "count")


def test_an_object_begins_as_declared(machine) -> None:
    item = machine.static(New, "item")

    assert item.title == "x" and atomic_read(item.users) == 7
    assert not hasattr(item, "count") and not item.lock.is_locked()
    assert item.method() == "kept"


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_field_has_no_name_that_the_machines_need(name: str) -> None:
    with pytest.raises(TypeError, match=f"call it `{name}_`"):
        type(Struct)("Bad", (Struct,), {name: pointer()})
