"""The user's own kernel: a class of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmaplab.history import V2_6_36
from rmaplab.history.lookup import load

PATCH = """
from rmaplab.history import V2_6_36

class MyPatch(V2_6_36):
    '''Mine.'''

class Helper:
    pass

LIMIT = 3
"""


@pytest.fixture
def patch(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(PATCH)
    return path


def test_a_class_of_a_file_is_a_kernel(patch: Path) -> None:
    kernel = load(patch, "MyPatch")

    assert kernel.__doc__ == "Mine."
    assert kernel.__bases__ == (V2_6_36,)


def test_a_file_may_name_a_kernel_of_ours(patch: Path) -> None:
    assert load(str(patch), "V2_6_36") is V2_6_36


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"there is no file .*nowhere\.py"):
        load(tmp_path / "nowhere.py", "MyPatch")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text(PATCH)

    with pytest.raises(LookupError, match=r"not a Python file: its name should end in \.py"):
        load(path, "MyPatch")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("class MyPatch(", "SyntaxError"),
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_file_that_does_not_run_says_why(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)

    with pytest.raises(ImportError, match=rf"broken\.py does not run: {why}"):
        load(path, "MyPatch")


def test_a_missing_class_gets_those_that_are_there(patch: Path) -> None:
    with pytest.raises(LookupError, match="no class `YourPatch`: it has the kernels MyPatch"):
        load(patch, "YourPatch")


def test_a_file_without_kernels_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "empty.py"
    path.write_text("")

    with pytest.raises(LookupError, match="it has no kernel at all"):
        load(path, "MyPatch")


@pytest.mark.parametrize("name", ["Helper", "LIMIT"])
def test_a_class_that_is_no_kernel_is_refused(patch: Path, name: str) -> None:
    with pytest.raises(LookupError, match=rf"`{name}` in .* is not a kernel: derive it"):
        load(patch, name)
