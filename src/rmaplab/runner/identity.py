"""What makes two checks the same, so that one may go on where the other was ended."""

from __future__ import annotations

import inspect
from hashlib import sha256
from pathlib import Path

import rmaplab
from rmaplab.checker.options import Options
from rmaplab.litmus.model import Litmus


def identity(litmus: Litmus, kernel: type, options: Options) -> str:
    """A digest of the litmus, the kernel, the options that matter, and all source code."""
    digest = sha256(
        repr((litmus, kernel.__qualname__, options.first, options.native.exact)).encode()
    )
    package = Path(rmaplab.__file__).parent
    files = {inspect.getsourcefile(each) for each in kernel.__mro__ if each is not object}
    sources = {*package.rglob("*.py"), *(Path(file) for file in files if file)}
    for source in sorted(sources):
        digest.update(source.read_bytes())
    return digest.hexdigest()
