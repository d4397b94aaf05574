"""Objects that a trace made may be numbered otherwise where it is followed."""

from __future__ import annotations

from rmaplab.checker.names import Names


def test_what_was_there_before_keeps_its_name() -> None:
    names = Names(["anon_vma#1", "anon_vma#2"])

    assert names.are_one("anon_vma#1", "anon_vma#1")
    assert not names.are_one("anon_vma#1", "anon_vma#2")
    assert not names.are_one("anon_vma#3", "anon_vma#2")


def test_what_is_new_is_known_by_where_it_turned_up_first() -> None:
    names = Names(["anon_vma#1"])

    assert names.are_one("anon_vma#3", "anon_vma#2")
    assert not names.are_one("anon_vma#3", "anon_vma#4")
    assert not names.are_one("anon_vma#2", "anon_vma#2")
    assert names.are_one("anon_vma#2", "anon_vma#3")


def test_another_kind_or_life_is_another_object() -> None:
    names = Names([])

    assert not names.are_one("anon_vma#3", "page#3")
    assert not names.are_one("anon_vma#3.2", "anon_vma#3")
    assert names.are_one("A", "A") and not names.are_one("A", "B")


def test_values_are_told_with_the_names_used_here() -> None:
    names = Names(["page#1"])
    assert names.are_one("avc#5", "avc#7")

    assert names.as_here("[avc#5, avc#5.2, page#1, avc#6]") == "[avc#7, avc#7.2, page#1, avc#6]"
