"""Runs and replays as plain text, and runs as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from rmaplab.runner.observation import Observation
from rmaplab.runner.replay import ReplayResult
from rmaplab.runner.run import Difference, RunResult, Wrong

INDENT = "    "
NOTHING = "nothing"
NO_OBJECTS = {"anon_vma": 0, "anon_vma_chain": 0}

#: Fields of an observation that have lines of their own, one for each process.
PER_PROCESS = ("pages", "bytes", "vmas")


def render_run(result: RunResult, difference: Difference | None = None) -> str:
    """Each step with what it changed, then the violation or the difference, if any."""
    lines = [f"{result.litmus} on {result.kernel}"]
    before: Observation = {}
    for number, text in enumerate(result.texts, 1):
        done = number <= len(result.observations)
        after = result.observations[number - 1] if done else {}
        ret = f" -> {after['ret']}" if done and after["ret"] else ""
        lines += ["", f"{number:>3}  {text}{ret}"]
        lines += [INDENT + " " + line for line in changes(before, after)] if done else []
        before = after
    lines += _ending(result.violation)
    if difference is not None:
        lines += ["", render_difference(difference)]
    return "\n".join(lines) + "\n"


def render_difference(difference: Difference) -> str:
    """`step 5 (A: write @0 = 9): pages of A: expected ..., got ...`."""
    what = difference.field
    if difference.key:
        joint = "" if difference.field in ("frames", "ksm") else "of "
        what += f" {joint}{difference.key}"
    expected = _value(difference.expected)
    got = _value(difference.got)
    return f"step {difference.step} ({difference.text}): {what}: expected {expected}, got {got}"


def run_document(result: RunResult, difference: Difference | None = None) -> dict[str, Any]:
    """The run as one JSON document."""
    document: dict[str, Any] = {
        "litmus": result.litmus,
        "kernel": result.kernel,
        "steps": result.observations,
    }
    if result.violation is not None:
        document["violation"] = asdict(result.violation)
    if difference is not None:
        document["difference"] = asdict(difference)
    return document


def render_replay(result: ReplayResult) -> str:
    """What was replayed and what was not, how much it took, and the violation, if any."""
    lines = [f"{result.log} on {result.kernel}", "", *_table("replayed", result.replayed)]
    skipped = {f"{call} ({why})": count for (call, why), count in result.skipped.items()}
    lines += _table("skipped", skipped)
    lines += _table("page faults", result.faults)
    touched = f"pages written: {result.touched}"
    if result.untouched:
        touched += f", and {result.untouched} of new mappings left alone"
    peak = ", ".join(f"{count} {name}" for name, count in result.peak.items())
    lines += [touched, f"most at one time: {peak}"]
    if result.checks < result.turns:
        turns = f"{result.turns} forks, execves and exits"
        lines.append(f"truths checked: after {result.checks} of {turns}, and at the end")
    if result.alive:
        pids = ", ".join(map(str, result.alive))
        lines.append(f"no end in the log: {pids} (so nothing is said about what they leave)")
    lines += _ending(result.violation)
    if result.violation is None:
        left = "every truth holds" if result.alive else "every truth holds and nothing is left"
        lines += ["", left]
    return "\n".join(lines) + "\n"


def replay_document(result: ReplayResult) -> dict[str, Any]:
    """The replay as one JSON document."""
    skipped = [
        {"call": call, "why": why, "times": times} for (call, why), times in result.skipped.items()
    ]
    return {
        "log": result.log,
        "kernel": result.kernel,
        "replayed": dict(result.replayed),
        "skipped": skipped,
        "touched": result.touched,
        "untouched": result.untouched,
        "faults": dict(result.faults),
        "peak": result.peak,
        "turns": result.turns,
        "checks": result.checks,
        "alive": list(result.alive),
        "violation": asdict(result.violation) if result.violation is not None else None,
    }


def _table(title: str, counts: Mapping[str, int]) -> list[str]:
    if not counts:
        return []
    width = max(len(str(count)) for count in counts.values())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [f"{title}:", *(f"{INDENT}{count:>{width}}  {name}" for name, count in ordered), ""]


def _ending(violation: Wrong | None) -> list[str]:
    if violation is None:
        return []
    where = f"step {violation.step} ({violation.text})"
    return ["", f"{violation.kind} in {where}: {violation.message}"]


def changes(before: Observation, after: Observation) -> Iterator[str]:
    """A line for each process and field that the step changed, then frames and counters."""
    for name in after["pages"]:
        yield from _process_lines(name, before, after)
    for name in before.get("pages", {}):
        if name not in after["pages"]:
            yield f"{name}  is gone"
    if after["frames"] != before.get("frames", {}):
        yield f"frames  {_value(after['frames'])}"
    counters = {name: count for name, count in after["ksm"].items() if count}
    if after["ksm"] != before.get("ksm", after["ksm"]) or (counters and not before):
        yield f"ksm  {_value(counters)}"
    if "slab" in after and after["slab"] != before.get("slab", NO_OBJECTS):
        yield f"slab  {_value(after['slab'])}"


def _process_lines(name: str, before: Observation, after: Observation) -> Iterator[str]:
    parts = [
        f"{field} {_value(after[field][name])}"
        for field in PER_PROCESS
        if after[field][name] != before.get(field, {}).get(name, [])
    ]
    moved = after["changed"].get(name)
    if moved:
        parts.append(f"changed {_value(moved)}")
    if not parts and name not in before.get("pages", {name}):
        parts = ["is there"]
    for number, part in enumerate(parts):
        yield f"{name if number == 0 else ' ' * len(name)}  {part}"


def _value(value: Any) -> str:
    """A part of an observation in short: runs as `0-3: own`, counters as `maps 2`."""
    if value is None or value == [] or value == {}:
        return NOTHING
    if isinstance(value, list):
        return ", ".join(_run(run) for run in value)
    if isinstance(value, dict):
        separator = "; " if any(isinstance(part, dict) for part in value.values()) else ", "
        return separator.join(f"{name} {_value(part)}" for name, part in value.items())
    return str(value)


def _run(run: list[Any]) -> str:
    first, count, *words = run
    pages = str(first) if count == 1 else f"{first}-{first + count - 1}"
    return f"{pages}: {' '.join(map(str, words))}" if words else pages
