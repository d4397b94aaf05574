"""What makes two checks the same, so that one may go on where the other was ended."""

from __future__ import annotations

import inspect
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import rmaplab
from rmaplab.checker.options import Options, Reduction


def identified(options: Options, scenario: object, code: type) -> Options:
    """The options with the identity of a check, where a checkpoint needs it.

    `scenario` is a litmus, or nothing where the class of code, a kernel or a protocol, is all.
    """
    if not options.native.checkpoint:
        return options
    native = replace(options.native, identity=_identity(scenario, code, options))
    return replace(options, native=native)


def _identity(scenario: object, code: type, options: Options) -> str:
    """A digest of the scenario, the code, the options that matter, and all source code."""
    reduced = Reduction.PARTIAL_ORDER in options.reductions
    said = scenario, code.__qualname__, options.first, options.native.exact, reduced
    digest = sha256(repr(said).encode())
    package = Path(rmaplab.__file__).parent
    files = {inspect.getsourcefile(each) for each in code.__mro__ if each is not object}
    sources = {*package.rglob("*.py"), *(Path(file) for file in files if file)}
    for source in sorted(sources):
        digest.update(source.read_bytes())
    return digest.hexdigest()
