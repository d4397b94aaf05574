"""Python files of the user's own, which are run."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def run_file(path: Path) -> ModuleType:
    """The file as a module; LookupError if it is no Python file, ImportError if it does not run."""
    if not path.is_file():
        raise LookupError(f"there is no file {path}")
    name = f"rmaplab_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LookupError(f"{path} is not a Python file: its name should end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ImportError(f"{path} does not run: {type(error).__name__}: {error}") from error
    return module
