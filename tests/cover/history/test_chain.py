"""The names of kernels, their order, and what each commit overrides."""

from __future__ import annotations

import re
from inspect import getdoc, getmembers, isfunction
from itertools import pairwise

import pytest

from rmaplab.history import ASIDE, KERNELS, V2_6_34, V2_6_36, RootLock, SeedV2
from rmaplab.history.lookup import chain, find, in_range
from rmaplab.kernel.kernel import Kernel

COMMITS = [name for name in KERNELS if re.fullmatch("[0-9a-f]{12}", name)]


def test_the_mainline_is_in_the_order_of_the_git_log() -> None:
    assert COMMITS == [
        "3f6c82728f4e",
        "7f60c214fd3a",
        "67b9509b2c68",
        "3fe2011ff51e",
        "a8bef8ff6ea1",
        "748446bb6b5f",
        "5c341ee1dfc8",
        "012f18004da3",
        "76545066c852",
        "26ba0cb63cb8",
        "ba6f0ff3981e",
        "288468c334e9",
        "21d0d443cdc1",
        "44ab57a06ded",
        "ad8c2ee801ad",
        "f18194275c39",
        "4969c1192d15",
        "31c4a3d3a0f8",
        "a247c3a97a02",
        "2aeadc30de45",
        "4829b906cc06",
        "4e31635c367a",
        "1ce82b69e96c",
        "fed067da46ad",
        "5ddd36b9c598",
        "198214a7ee50",
        "36f881883c57",
        "854e9ed09ded",
        "19be0eaffa3a",
        "f7ad2a6cb9f7",
        "93e06c7a6453",
        "52d1e606ee73",
        "9c276cc65a58",
        "1a4e58cce84e",
        "09854ba94c6a",
        "12e967fd8e4e",
        "008cfe4418b3",
        "70e806e4e645",
        "53a05ad9f21d",
        "c145e0b47c77",
        "6c8e2a256915",
        "6c54dc6c7437",
        "6c287605fd56",
        "1493a1913e34",
        "64fe24a3e05e",
        "5535be309971",
    ]


def test_each_kernel_derives_from_the_one_before_it() -> None:
    line = [kernel for name, kernel in KERNELS.items() if not name.startswith("before-")]
    for before, after in pairwise(line):
        assert issubclass(after, before)


@pytest.mark.parametrize("name", [name for name in KERNELS if name.startswith("before-")])
def test_a_revert_is_aside_and_derives_from_the_release_that_has_the_commit(name: str) -> None:
    assert name in ASIDE
    assert KERNELS[name].__bases__ == (V2_6_34,)
    assert name.removeprefix("before-") in (getdoc(KERNELS[name]) or "")


@pytest.mark.parametrize(
    ("release", "commit"),
    [
        ("v2.6.35", "748446bb6b5f"),
        ("root-lock", "012f18004da3"),
        ("v2.6.36", "4e31635c367a"),
        ("v2.6.38", "1ce82b69e96c"),
        ("v5.9", "70e806e4e645"),
        ("v6.0", "5535be309971"),
    ],
)
def test_a_release_is_a_name_for_its_last_commit(release: str, commit: str) -> None:
    assert KERNELS[release] is KERNELS[commit]


@pytest.mark.parametrize("name", COMMITS)
def test_a_commit_tells_its_subject_date_and_release(name: str) -> None:
    head = (getdoc(KERNELS[name]) or "").replace("\n", " ")

    assert re.match(rf'{name} "[^"]+"\.  20\d\d-\d\d-\d\d, v\d(\.\d+)+\.', head)


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


def test_a_name_like_no_other_gets_them_all() -> None:
    with pytest.raises(
        LookupError,
        match=r"there are before-4946d54cb55e, .*, v2\.6\.34, 3f6c82728f4e, .*v2\.6\.38",
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
    later = list(KERNELS)[list(KERNELS).index("v2.6.38") + 1 :]
    assert meant("4e31635c367a..") == [
        "4e31635c367a", "v2.6.36", "1ce82b69e96c", "v2.6.38", *later,
    ]  # fmt: skip


def test_a_name_means_its_commit() -> None:
    assert meant("root-lock") == ["012f18004da3", "root-lock"]


def test_a_star_means_every_kernel() -> None:
    assert meant("*") == list(KERNELS)
    assert in_range("*", "mine.py:Patch")


def test_all_reverts_are_meant_at_once() -> None:
    reverts = [name for name in KERNELS if name in ASIDE and name != "seed-v2"]

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
