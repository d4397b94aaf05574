"""A case made of what the running kernel shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rmaplab.litmus.model import Litmus
from rmaplab.live.knobs import Knobs
from rmaplab.live.run import run_live
from rmaplab.runner.observation import Observation

RUNS = 3
#: A field that runs did not agree on in more than this part of the steps is dropped.
TOO_OFTEN = 0.5

Unstable = tuple[int, str, tuple[str, ...]]


def record(litmus: Litmus, knobs: Knobs) -> Litmus:
    """The litmus with observations of the running kernel; what three runs did not agree on is out.

    InputError for a litmus that cannot run live.
    """
    shown = [run_live(litmus, knobs).observations for _ in range(RUNS)]
    return recorded(litmus, shown)


def recorded(litmus: Litmus, shown: Sequence[Sequence[Observation]]) -> Litmus:
    """The case of several runs of a litmus."""
    unstable = [
        entry
        for number, observations in enumerate(zip(*shown, strict=True))
        for entry in _unstable(number, observations)
    ]
    steps = len(shown[0])
    disagreed = [field for _, field, _ in unstable]
    drop = tuple(
        field for field in dict.fromkeys(disagreed) if disagreed.count(field) > steps * TOO_OFTEN
    )
    kept = tuple(entry for entry in unstable if entry[1] not in drop)
    observations = [dict(observation) for observation in shown[0]]
    for number, field, keys in unstable:
        observations[number] = _without(observations[number], field, keys)
    return replace(litmus, observations=tuple(observations), unstable=kept, drop=drop)


def _unstable(number: int, observations: Sequence[Observation]) -> Iterator[Unstable]:
    """What the runs do not agree on after a step: fields, or keys of fields."""
    first = observations[0]
    for field, value in first.items():
        values = [observation[field] for observation in observations]
        if all(each == value for each in values):
            continue
        if not isinstance(value, dict):
            yield number, field, ()
            continue
        keys = dict.fromkeys(key for each in values for key in each)
        differing = (key for key in keys if len({repr(each.get(key)) for each in values}) > 1)
        yield number, field, tuple(differing)


def _without(observation: Observation, field: str, keys: tuple[str, ...]) -> Observation:
    if not keys:
        return {name: value for name, value in observation.items() if name != field}
    left = {key: value for key, value in observation[field].items() if key not in keys}
    return {**observation, field: left}
