"""Who may import whom: a datum flows one way through the packages."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest

import rmaplab

ROOT = Path(rmaplab.__file__).parent
EVERYTHING = ("rmaplab",)
RUNNABLE = ("checker", "costs", "errors", "history", "kernel", "litmus", "machine", "runner")

#: What each top-level module or package may import, itself apart.
ALLOWED: dict[str, tuple[str, ...]] = {
    "__init__": (),
    "errors": (),
    "costs": (),
    "machine": ("errors",),
    "kernel": ("machine",),
    "userfile": (),
    "history": ("kernel", "machine", "userfile"),
    "checker": ("machine", "errors"),
    "protocol": ("checker", "machine"),
    "litmus": ("errors", "checker.verdict"),
    "report": ("costs", "errors", "checker.film", "checker.verdict"),
    "runner": RUNNABLE,
    "live": RUNNABLE,
    "cli": EVERYTHING,
    "__main__": EVERYTHING,
}


def is_module(name: str, root: Path) -> bool:
    path = root.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def imported(tree: ast.AST, package: str, root: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of each import, wherever it stands; `package` resolves the dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield node.lineno, full if is_module(full, root) else base


def is_allowed(name: str, owner: str) -> bool:
    if name.split(".")[0] != "rmaplab" or name == "rmaplab":
        return True
    grants = [f"rmaplab.{grant}" for grant in (owner, *ALLOWED[owner])]
    if ALLOWED[owner] is EVERYTHING:
        return True
    return any(name == grant or name.startswith(f"{grant}.") for grant in grants)


def breaches(path: Path, root: Path) -> list[str]:
    """Each import of the file that its layer forbids."""
    parts = path.relative_to(root).with_suffix("").parts
    if parts[0] not in ALLOWED:
        return [f"{path}: say in ALLOWED what {parts[0]} may import"]
    package = ".".join(("rmaplab", *parts[:-1]))
    names = imported(ast.parse(path.read_text()), package, root)
    return [
        f"{path}:{line}: {parts[0]} must not import {name}"
        for line, name in names
        if not is_allowed(name, parts[0])
    ]


def test_every_package_imports_only_the_layers_below_it() -> None:
    files = sorted(ROOT.rglob("*.py"))

    assert files
    assert [breach for path in files for breach in breaches(path, ROOT)] == []


@pytest.mark.parametrize(
    ("file", "code", "wrong"),
    [
        ("machine/a.py", "from rmaplab.kernel import rmap", "rmaplab.kernel.rmap"),
        ("machine/a.py", "from rmaplab import kernel", "rmaplab.kernel"),
        ("checker/a.py", "def f():\n    import rmaplab.kernel.rmap", "rmaplab.kernel.rmap"),
        ("checker/a.py", "from ..kernel.rmap import Rmap", "rmaplab.kernel.rmap"),
        ("checker/a.py", "from .. import kernel", "rmaplab.kernel"),
        ("report/a.py", "from rmaplab.checker import verdict, walk", "rmaplab.checker"),
        ("runner/a.py", "import rmaplab.cli", "rmaplab.cli"),
        ("machine/a.py", "import rmaplab.machineless", "rmaplab.machineless"),
        ("kernel/a.py", "from rmaplab.errors import Place", "rmaplab.errors"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, file: str, code: str, wrong: str) -> None:
    root = package_with(tmp_path, file, code)

    (breach,) = breaches(root / file, root)

    assert breach.endswith(f"must not import {wrong}")


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("machine/a.py", "from . import b"),
        ("machine/a.py", "import os\nfrom rmaplab import __version__"),
        ("report/a.py", "from rmaplab.checker import verdict"),
        ("litmus/a.py", "from rmaplab.checker.verdict import CLEAN"),
        ("cli.py", "import rmaplab.report"),
    ],
)
def test_an_allowed_import_passes(tmp_path: Path, file: str, code: str) -> None:
    root = package_with(tmp_path, file, code)

    assert breaches(root / file, root) == []


def test_a_package_without_a_rule_is_told(tmp_path: Path) -> None:
    root = package_with(tmp_path, "novel/a.py", "")

    assert "say in ALLOWED" in breaches(root / "novel/a.py", root)[0]


def package_with(folder: Path, file: str, code: str) -> Path:
    """A small rmaplab with one file of the given code."""
    root = folder / "rmaplab"
    for name in ("kernel/rmap.py", "checker/verdict.py", "machine/b.py", file):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / file).write_text(code)
    return root
