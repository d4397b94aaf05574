"""The form of an observation: what is mapped where, as a recorded case has it.

Whoever looks at a system, the model's or a real one, gives its slots and frames; the names, runs
and counts of the observation are made here, once for all.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Observation = dict[str, Any]
#: By process: the frame behind each slot.
Frames = dict[str, dict[int, int]]
Runs = list[list[Any]]

UNREADABLE = "EFAULT"


class Slot(NamedTuple):
    """A watched page number of a process that maps something there: the zero page, or a frame."""

    process: str
    number: int
    pfn: int
    zero: bool


class Frame(NamedTuple):
    """A frame: how often it is mapped, and whether it is a page of KSM."""

    maps: int
    merged: bool


class Mapped(NamedTuple):
    """All that is mapped in the watched slots of the living processes, in their order."""

    processes: Sequence[str]
    watched: Sequence[int]
    slots: Sequence[Slot]
    frames: Mapping[int, Frame]


def runs(labelled: Iterable[tuple[int, Any]]) -> Runs:
    """[first, count, label] for neighbours with the same label."""
    found: Runs = []
    for number, label in labelled:
        if found and found[-1][0] + found[-1][1] == number and found[-1][2] == label:
            found[-1][1] += 1
        else:
            found.append([number, 1, label])
    return found


def ret_of(ret: int) -> int | str:
    """0, or the name of a negative error number."""
    return errno.errorcode.get(-ret, str(ret)) if ret else 0


def frames_by_process(mapped: Mapped) -> Frames:
    """By process: the frame behind each slot; the zero page is one of them."""
    found: Frames = {name: {} for name in mapped.processes}
    for slot in mapped.slots:
        found[slot.process][slot.number] = slot.pfn
    return found


def pages_and_frames(mapped: Mapped) -> Observation:
    """The fields `pages` and `frames`."""
    shown = [slot.pfn for slot in mapped.slots]
    names = _names(mapped)
    what = {
        (slot.process, slot.number): "zero" if slot.zero else names[slot.pfn]
        for slot in mapped.slots
    }
    return {
        "pages": {
            name: runs((number, what.get((name, number), "none")) for number in mapped.watched)
            for name in mapped.processes
        },
        "frames": {
            name: {"maps": mapped.frames[pfn].maps, "slots": shown.count(pfn)}
            for pfn, name in names.items()
            if name != "own"
        },
    }


def _names(mapped: Mapped) -> dict[int, str]:
    """What to call each frame: `own`, or f0, f1, ... and k0, k1, ... as they first appear."""
    shown = [slot.pfn for slot in mapped.slots if not slot.zero]
    names: dict[int, str] = {}
    counts = {"f": 0, "k": 0}
    for pfn in shown:
        if pfn in names:
            continue
        frame = mapped.frames[pfn]
        kind = "k" if frame.merged else "f"
        if kind == "f" and frame.maps == 1 and shown.count(pfn) == 1:
            names[pfn] = "own"
        else:
            names[pfn] = f"{kind}{counts[kind]}"
            counts[kind] += 1
    return names


def contents_seen(mapped: Mapped, label_of: Callable[[Slot], str]) -> dict[str, Runs]:
    """The field `bytes`. A frame is read once, by the slot first seen with it.

    So a process can seem unable to read a page of its own: a relative before it cannot.
    """
    read: dict[int, str] = {}
    labels: dict[str, list[tuple[int, str]]] = {name: [] for name in mapped.processes}
    for slot in mapped.slots:
        if slot.zero:
            label = label_of(slot)
        else:
            label = read.get(slot.pfn) or read.setdefault(slot.pfn, label_of(slot))
        labels[slot.process].append((slot.number, label))
    return {name: runs(found) for name, found in labels.items()}


def changed(before: Frames, after: Frames) -> dict[str, Runs]:
    """Slots whose frame is another one now."""
    found: dict[str, Runs] = {}
    for name, frames in after.items():
        old = before.get(name, {})
        moved = [number for number, pfn in frames.items() if old.get(number, pfn) != pfn]
        if moved:
            found[name] = [run[:2] for run in runs((number, None) for number in moved)]
    return found
