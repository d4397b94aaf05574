"""All that a protocol of one's own needs: `Protocol`, and what the kernel's API has here.

docs/tutorial.md makes one from the beginning.
"""

from rmaplab import machine
from rmaplab.checker.protocol import Protocol, check_protocol
from rmaplab.machine import *  # noqa: F403

__all__ = ["Protocol", "check_protocol"]
__all__ += machine.__all__
