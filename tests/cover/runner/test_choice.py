"""Kernels and litmus files by the names that users give them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmaplab.errors import InputError, Place
from rmaplab.history import V2_6_34, V2_6_36
from rmaplab.litmus.model import Expectation, Litmus
from rmaplab.litmus.shipped import shipped
from rmaplab.runner.choice import expected, find_all, find_kernel, find_litmus, matrix_kernels


def expecting(*lines: str) -> Litmus:
    """A litmus with `KERNELS VERDICT` lines, at lines 1, 2, ..."""
    expectations = (
        Expectation(*line.split(), Place("x.litmus", number))  # type: ignore[misc]
        for number, line in enumerate(lines, 1)
    )
    return Litmus("x", expect=tuple(expectations))


class TestExpected:
    def test_the_last_line_that_means_a_kernel_counts(self) -> None:
        litmus = expecting("* clean", "v2.6.35.. leak", "v2.6.36 bug-on")

        assert [expected(litmus, name) for name in ("v2.6.34", "v2.6.35", "v2.6.36")] == [
            "clean", "leak", "bug-on",
        ]  # fmt: skip

    def test_a_later_line_counts_even_if_it_says_less(self) -> None:
        assert expected(expecting("v2.6.36 bug-on", "* clean"), "v2.6.36") == "clean"

    def test_no_line_is_no_expectation(self) -> None:
        assert expected(expecting("v2.6.35.. leak"), "v2.6.34") is None
        assert expected(expecting(), "v2.6.34") is None

    def test_a_range_does_not_mean_what_is_not_in_the_mainline(self) -> None:
        litmus = expecting("v2.6.34.. clean")

        assert expected(litmus, "seed-v2") is None
        assert expected(litmus, "mypatch.py:MyPatch") is None

    def test_a_star_means_the_users_own_kernel(self) -> None:
        assert expected(expecting("* leak"), "mypatch.py:MyPatch") == "leak"

    def test_an_unknown_kernel_is_told_with_its_line(self) -> None:
        with pytest.raises(InputError, match=r"^x\.litmus:2: there is no kernel `v2\.6\.3x`"):
            expected(expecting("* clean", "v2.6.3x.. leak"), "v2.6.34")

    def test_what_stands_aside_ends_no_range(self) -> None:
        with pytest.raises(InputError, match="not in the mainline"):
            expected(expecting("seed-v2.. leak"), "v2.6.34")


class TestMatrixKernels:
    def test_they_are_those_named_in_the_order_of_time(self) -> None:
        litmus = expecting("* clean", "v2.6.36.. leak", "seed-v2 leak", "v2.6.34..v2.6.35 bug-on")

        assert [each.name for each in matrix_kernels([litmus])] == [
            "v2.6.34", "v2.6.35", "seed-v2", "v2.6.36",
        ]  # fmt: skip

    def test_a_star_names_none(self) -> None:
        assert matrix_kernels([expecting("* clean")]) == []

    def test_the_shipped_collection_names_both_ends_of_the_history(self) -> None:
        names = [each.name for each in matrix_kernels(shipped())]

        assert (names[0], names[-1]) == ("v2.6.33", "v6.18")
        assert "seed-v2" in names


class TestFindKernel:
    def test_by_its_release(self) -> None:
        assert find_kernel("v2.6.34").kernel is V2_6_34

    def test_from_a_file_it_keeps_the_name_that_the_user_gave(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.py"
        path.write_text("from rmaplab.history import V2_6_36\nclass Mine(V2_6_36): pass\n")

        found = find_kernel(f"{path}:Mine")

        assert found.name == f"{path}:Mine"
        assert found.kernel.__bases__ == (V2_6_36,)

    @pytest.mark.parametrize("name", ["", "v2.6.99", "mine.py", "mine.py:Mine", "v2.6.34:Mine"])
    def test_what_there_is_not_is_bad_input(self, name: str) -> None:
        with pytest.raises(InputError, match=r"^--kernel "):
            find_kernel(name)


class TestFindLitmus:
    def test_a_file_of_that_name_goes_before_a_shipped_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "root-drops-itself").write_text("litmus mine\n")
        monkeypatch.chdir(tmp_path)

        assert find_litmus("root-drops-itself").name == "mine"

    def test_a_name_that_looks_like_a_file_is_one(self) -> None:
        with pytest.raises(InputError, match="no such file"):
            find_litmus("root-drops-itself.litmus")

    def test_a_name_far_from_all_others_is_answered_with_all(self) -> None:
        with pytest.raises(InputError) as caught:
            find_litmus("qqq")

        assert all(litmus.name in str(caught.value) for litmus in shipped())

    def test_each_is_found_once(self) -> None:
        names = ["scan-against-exit", "root-drops-itself", "scan-against-exit"]

        assert [each.name for each in find_all(names)] == names[:2]

    def test_one_file_by_two_paths_has_one_name_too_many(self, tmp_path: Path) -> None:
        path = tmp_path / "x.litmus"
        path.write_text("litmus scan-against-exit\n")

        with pytest.raises(InputError, match="rename one"):
            find_all(["scan-against-exit", str(path)])
