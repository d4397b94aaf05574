"""VMAs of the running kernel: what /proc/PID/smaps tells of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: The sums of an observation, and the fields of smaps that each is the sum of.
SUMS = {
    "rss": ("Rss",),
    "shared": ("Shared_Clean", "Shared_Dirty"),
    "private": ("Private_Clean", "Private_Dirty"),
    "anon": ("Anonymous",),
    "ksm": ("KSM",),
}
#: VmFlags of a VMA where KSM may merge.
MERGEABLE = "mg"


@dataclass
class Vma:
    """A VMA: addresses, `rw-p`, the kB of each field, its flags in letters."""

    start: int
    end: int
    rights: str
    sizes: dict[str, int] = field(default_factory=dict)
    flags: tuple[str, ...] = ()

    @property
    def protection(self) -> str:
        """Its protection in the words of a litmus."""
        return "rw" if self.rights[1] == "w" else "r" if self.rights[0] == "r" else "none"

    def holds(self, address: int) -> bool:
        """Whether the address lies in it."""
        return self.start <= address < self.end


def read_vmas(smaps: Path, start: int, end: int) -> list[Vma]:
    """The VMAs of a process between two addresses; the file is read no further than there."""
    with smaps.open() as lines:
        return [vma for vma in parse_smaps(lines, end) if vma.start >= start]


def parse_smaps(lines: Iterable[str], end: int = 1 << 64) -> Iterator[Vma]:
    """The VMAs below an address, in order."""
    vma: Vma | None = None
    for line in lines:
        name, _, rest = line.partition(":")
        if "-" in name:
            if vma is not None:
                yield vma
            addresses, rights = line.split(maxsplit=2)[:2]
            first, last = (int(word, 16) for word in addresses.split("-"))
            vma = Vma(first, last, rights)
            if first >= end:
                return
        elif vma is not None and name == "VmFlags":
            vma.flags = tuple(rest.split())
        elif vma is not None and rest.endswith("kB\n"):
            vma.sizes[name] = int(rest.split()[0])
    if vma is not None:
        yield vma


def sums(vmas: Iterable[Vma]) -> dict[str, int]:
    """kB over VMAs: the field `smaps` of an observation."""
    totals = dict.fromkeys(SUMS, 0)
    for vma in vmas:
        for name, parts in SUMS.items():
            totals[name] += sum(vma.sizes.get(part, 0) for part in parts)
    return totals
