"""A check is done again only where a kernel answers otherwise what the litmus makes it ask."""

from __future__ import annotations

from typing import Any

import pytest

from rmaplab.checker.options import Options
from rmaplab.checker.verdict import Result
from rmaplab.history import KERNELS, V2_6_38
from rmaplab.litmus.shipped import shipped
from rmaplab.runner.checks import plan, run_check, run_checks
from rmaplab.runner.choice import NamedKernel
from rmaplab.runner.reuse import answers_of, watched

FIRST = Options(first=True)
#: Among them: neighbours that differ in nothing, in locks, in structs, in what migration does.
SOME = ("v2.6.34", "3f6c82728f4e", "v2.6.35", "v2.6.36", "v2.6.38", "v2.6.39", "v6.17", "v6.18")


def results(name: str, *kernels: NamedKernel) -> list[Result]:
    """Of all checks of a litmus, on one process."""
    litmus = [litmus for litmus in shipped() if litmus.name == name]
    return [result for _, result in run_checks(plan(litmus, kernels), FIRST, jobs=1)]


def named(*names: str) -> list[NamedKernel]:
    return [NamedKernel(name, KERNELS[name]) for name in names]


@pytest.mark.parametrize("name", ["root-drops-itself", "cow-both-write"])
def test_what_is_not_done_again_would_come_to_the_same(name: str) -> None:
    (litmus,) = (litmus for litmus in shipped() if litmus.name == name)

    recalled = results(name, *named(*SOME))

    assert any(each.outcome.same_as for each in recalled)
    for todo, result in zip(plan([litmus], named(*SOME)), recalled, strict=True):
        done = run_check(todo, FIRST).outcome
        told = result.outcome
        assert (done.verdict, done.states, done.transitions) == (
            told.verdict,
            told.states,
            told.transitions,
        )
        assert done.violations == told.violations


def test_a_commit_of_migration_matters_to_migration_only() -> None:
    pair = named("4e31635c367a", "1ce82b69e96c")

    assert results("root-drops-itself", *pair)[1].outcome.same_as == "4e31635c367a"
    assert results("migration-pins-freed-anon-vma", *pair)[1].outcome.same_as == ""


def test_a_function_that_is_called_matters() -> None:
    class Patched(V2_6_38):
        def exit_mmap(self, mm: Any) -> None:
            super().exit_mmap(mm)

    pair = [NamedKernel("old", V2_6_38), NamedKernel("new", Patched)]

    assert results("root-drops-itself", *pair)[1].outcome.same_as == ""


def test_a_name_that_was_asked_for_in_vain_matters() -> None:
    class Patched(V2_6_38):
        wanted = True

    kernel, answers = watched(V2_6_38)
    item = kernel.__new__(kernel)

    assert not hasattr(item, "wanted")
    assert answers_of(Patched)["wanted"] is not answers["wanted"]


def test_a_constant_and_a_struct_matter() -> None:
    kernel, answers = watched(V2_6_38)
    item = kernel.__new__(kernel)

    assert (item.CONFIG_KSM, item.AnonVma) == (V2_6_38.CONFIG_KSM, V2_6_38.AnonVma)
    assert answers["AnonVma"] is V2_6_38.AnonVma
    assert answers["CONFIG_KSM"] is V2_6_38.CONFIG_KSM


def test_what_is_not_asked_does_not_matter() -> None:
    class Patched(V2_6_38):
        def never_called(self) -> None: ...

    pair = [NamedKernel("old", V2_6_38), NamedKernel("new", Patched)]

    assert results("root-drops-itself", *pair)[1].outcome.same_as == "old"
