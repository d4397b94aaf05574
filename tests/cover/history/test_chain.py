"""The names of kernels, their order, and what each commit overrides."""

from __future__ import annotations

import re
from inspect import getdoc, getmembers, isfunction
from itertools import pairwise

import pytest

from rmaplab.history import ASIDE, KERNELS, RELEASES, V2_6_34, V2_6_36, RootLock, SeedV2
from rmaplab.history.lookup import chain, find, in_range
from rmaplab.kernel.kernel import Kernel

COMMITS = [name for name in KERNELS if re.fullmatch("[0-9a-f]{12}", name)]


#: `ID "SUBJECT".  DATE, RELEASE.` and, where the cure of a stable release counts, `, RELEASE.`
HEAD = re.compile(
    r'(\w{12}) "[^.]*?.*?"\.\s+20\d\d-\d\d-\d\d, v([\d.]*\d)(?:, v([\d.]*\d))?[.;]', re.S
)


def release_of(name: str) -> str:
    """The release in whose mainline a commit came first, as its docstring has it."""
    head = HEAD.match(getdoc(KERNELS[name]) or "")
    assert head is not None, name
    release = head[3] if head[2] == "6.19" else head[2]  # v6.18 is a stable release here
    return "v" + ".".join(release.split(".")[: 3 if release.startswith("2.6") else 2])


def number_of(release: str) -> tuple[int, ...]:
    return tuple(map(int, release[1:].split(".")))


def test_the_mainline_is_in_the_order_of_its_releases() -> None:
    releases = [number_of(release_of(name)) for name in COMMITS]

    assert releases == sorted(releases)


def test_each_kernel_derives_from_the_one_before_it() -> None:
    aside = ("before-", "v2.6.33")
    line = [kernel for name, kernel in KERNELS.items() if not name.startswith(aside)]
    for before, after in pairwise(line):
        assert issubclass(after, before)


@pytest.mark.parametrize("name", [name for name in KERNELS if name.startswith("before-")])
def test_a_revert_is_aside_and_derives_from_the_release_that_has_the_commit(name: str) -> None:
    assert name in ASIDE
    assert KERNELS[name].__bases__ == (V2_6_34,)
    assert name.removeprefix("before-") in (getdoc(KERNELS[name]) or "")


def test_a_release_is_a_name_for_its_last_commit() -> None:
    last = {release_of(name): KERNELS[name] for name in COMMITS}

    named = {name: kernel for name, kernel in RELEASES.items() if name.startswith("v")}
    assert named == {"v2.6.34": V2_6_34, **last}
    assert KERNELS["root-lock"] is KERNELS["012f18004da3"]


@pytest.mark.parametrize("name", COMMITS)
def test_a_commit_tells_its_subject_date_and_release(name: str) -> None:
    head = HEAD.match(getdoc(KERNELS[name]) or "")

    assert head is not None and head[1] == name


@pytest.mark.parametrize("name", [*COMMITS, "seed-v2"])
def test_a_commit_says_of_each_function_what_changed(name: str) -> None:
    own = [item for item in vars(KERNELS[name]).values() if isfunction(item)]

    assert own
    assert all(item.__doc__ for item in own)


@pytest.mark.parametrize("name", [*COMMITS, "seed-v2"])
def test_a_commit_overrides_with_the_same_arguments(name: str) -> None:
    """What is new says so; what is not takes the place of a function that there was."""
    parent = KERNELS[name].__bases__[0]
    there = dict(getmembers(parent, isfunction))
    for key, item in vars(KERNELS[name]).items():
        if isfunction(item):
            new = (item.__doc__ or "").startswith(("New", "Let an anon_vma go"))
            assert new == (key not in there), key
            if not new:
                assert (
                    item.__code__.co_varnames[: item.__code__.co_argcount]
                    == (there[key].__code__.co_varnames[: there[key].__code__.co_argcount])
                )


# Lookups


def test_a_kernel_is_found_by_its_name() -> None:
    assert find("v2.6.34") is V2_6_34 is Kernel
    assert find("root-lock") is RootLock
    assert find("seed-v2") is SeedV2


def test_an_unknown_name_gets_those_that_come_near() -> None:
    with pytest.raises(LookupError, match=r"no kernel `v2\.6\.63`: did you mean .*v2\.6\.36"):
        find("v2.6.63")


def test_a_name_like_no_other_gets_the_releases() -> None:
    with pytest.raises(
        LookupError, match=r"there are v2\.6\.34, .*, v6\.18, and commits: `rmaplab k"
    ):
        find("???")


def test_a_chain_has_the_commits_up_to_a_kernel() -> None:
    names = ["v2.6.34", *COMMITS[: COMMITS.index("012f18004da3") + 1]]

    assert chain(RootLock) == [KERNELS[name] for name in names]
    assert chain(V2_6_34) == [Kernel]


def test_a_patch_aside_is_only_in_its_own_chain() -> None:
    assert chain(SeedV2) == [*chain(RootLock), SeedV2]
    assert chain(find("76545066c852")) == [*chain(RootLock), find("76545066c852")]


def test_a_users_patch_ends_its_chain() -> None:
    class MyPatch(V2_6_36):
        pass

    assert chain(MyPatch) == [*chain(V2_6_36), MyPatch]


def meant(wanted: str) -> list[str]:
    return [name for name in KERNELS if in_range(wanted, name)]


def test_a_range_has_both_its_ends() -> None:
    assert meant("v2.6.35..76545066c852") == [
        "748446bb6b5f", "v2.6.35", "5c341ee1dfc8", "012f18004da3", "root-lock", "76545066c852",
    ]  # fmt: skip


def test_a_range_may_lack_an_end() -> None:
    assert meant("..7f60c214fd3a") == ["v2.6.34", "3f6c82728f4e", "7f60c214fd3a"]
    assert meant("4e31635c367a..") == list(KERNELS)[list(KERNELS).index("4e31635c367a") :]


def test_a_name_means_its_commit() -> None:
    assert meant("root-lock") == ["012f18004da3", "root-lock"]


def test_ranges_begin_with_chains() -> None:
    assert meant("v2.6.33") == ["v2.6.33"]
    assert meant("..v2.6.34") == ["v2.6.34"]


def test_a_star_means_every_kernel() -> None:
    assert meant("*") == list(KERNELS)
    assert in_range("*", "mine.py:Patch")


def test_all_reverts_are_meant_at_once() -> None:
    reverts = [name for name in KERNELS if name.startswith("before-")]

    assert meant("before-*") == reverts
    assert not in_range("before-*", "before-mine.py:Patch")


def test_what_is_not_in_the_mainline_is_meant_by_its_name_only() -> None:
    assert meant("seed-v2") == ["seed-v2"]
    assert "seed-v2" not in meant("v2.6.34..")
    assert in_range("mine.py:Patch", "mine.py:Patch")
    assert not in_range("v2.6.34..", "mine.py:Patch")


@pytest.mark.parametrize("name", sorted(ASIDE))
def test_what_is_not_in_the_mainline_ends_no_range(name: str) -> None:
    with pytest.raises(LookupError, match="not in the mainline"):
        in_range(f"{name}..", "v2.6.36")


def test_a_range_of_unknown_kernels_is_refused() -> None:
    with pytest.raises(LookupError, match=r"no kernel `v2\.6\.1`"):
        in_range("v2.6.1..v2.6.36", "v2.6.35")
