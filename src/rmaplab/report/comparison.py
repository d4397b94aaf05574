"""What a load cost on several kernels, as a table, JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial

from rmaplab.costs import Costs, Distribution, Moment

#: A row of the table: what it is, and its value for a kernel. None is a heading.
Row = tuple[str, Callable[[Costs], str] | None]


def render_table(compared: Sequence[Costs]) -> str:
    """One column for each kernel, ending in a newline."""
    first = compared[0]
    rows = [("", *(costs.kernel for costs in compared))]
    for label, value in _rows(first):
        rows.append((label, *("" if value is None else value(costs) for costs in compared)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [first.load, ""]
    for label, *cells in rows:
        padded = (cell.rjust(width + 2) for cell, width in zip(cells, widths[1:], strict=True))
        lines.append((label.ljust(widths[0]) + "".join(padded)).rstrip())
    lines += ["", *_notes(first)]
    lines += [f"{costs.kernel}: stopped by {costs.stopped}" for costs in compared if costs.stopped]
    return "\n".join(lines) + "\n"


NOTES = (
    "Bytes are of the modelled fields, as laid out on x86-64.",
    "A walk is a whole one, as migration's, for each page mapped after step {walked}: {text}.",
    "Locks are held for so many operations on locks, atomics, lists, trees and page tables;",
    "plain loads and stores are not counted, nor are these walks.",
)


def _notes(first: Costs) -> list[str]:
    if first.walked > len(first.moments):
        return []
    text = first.moments[first.walked - 1].text
    return [note.format(walked=first.walked, text=text) for note in NOTES]


def _rows(first: Costs) -> Iterator[Row]:
    yield "objects, at most", None
    yield from ((f"  {slab.name}", partial(_objects, at)) for at, slab in enumerate(first.slabs))
    yield "bytes, at most", None
    yield from ((f"  {slab.name}", partial(_bytes, at)) for at, slab in enumerate(first.slabs))
    yield "VMAs visited by a walk", None
    yield "  pages walked for", lambda costs: f"{costs.walks.total:,}"
    yield from _of_distribution(lambda costs: costs.walks)
    yield "locks of anon_vmas (of roots, where there are)", None
    yield "  locks", lambda costs: f"{costs.locking.taken.total:,}"
    yield "  taken", lambda costs: f"{costs.locking.taken.sum:,}"
    yield "  taken, the busiest", lambda costs: f"{costs.locking.taken.worst:,}"
    yield "  held, in all", lambda costs: f"{costs.locking.held.sum:,}"
    yield "  held, the busiest", lambda costs: f"{costs.locking.held.worst:,}"
    yield "length of a hold", None
    yield from _of_distribution(lambda costs: costs.locking.holds)
    yield "per VMA, at the worst step", None
    yield "  chains", lambda costs: f"{max(map(per_vma, costs.moments), default=0):,.2f}"
    yield "  anon_vmas", lambda costs: f"{max(map(anon_per_vma, costs.moments), default=0):,.2f}"


def _objects(at: int, costs: Costs) -> str:
    return f"{costs.slabs[at].objects:,}"


def _bytes(at: int, costs: Costs) -> str:
    return f"{costs.slabs[at].bytes:,}"


def _of_distribution(which: Callable[[Costs], Distribution]) -> Iterator[Row]:
    yield "  mean", lambda costs: f"{which(costs).mean:,.2f}"
    yield "  p99", lambda costs: f"{which(costs).quantile(99):,}"
    yield "  worst", lambda costs: f"{which(costs).worst:,}"


def per_vma(moment: Moment) -> float:
    """The chains per VMA at a moment; 0 without VMAs."""
    return moment.chains / moment.vmas if moment.vmas else 0.0


def anon_per_vma(moment: Moment) -> float:
    """The anon_vmas per VMA at a moment; 0 without VMAs."""
    return moment.anon_vmas / moment.vmas if moment.vmas else 0.0


def render_json(compared: Sequence[Costs]) -> str:
    """Everything, distributions whole, ending in a newline."""
    return json.dumps({"costs": [_document(costs) for costs in compared]}, indent=2) + "\n"


def _document(costs: Costs) -> dict[str, object]:
    told = asdict(costs)
    told["slabs"] = [{**asdict(slab), "bytes": slab.bytes} for slab in costs.slabs]
    told["walks"] = _distribution(costs.walks)
    locking = costs.locking
    each = {"taken": locking.taken, "held": locking.held, "holds": locking.holds}
    told["locking"] = {name: _distribution(of) for name, of in each.items()}
    return told


def _distribution(of: Distribution) -> dict[str, object]:
    figures = {"mean": of.mean, "p99": of.quantile(99), "worst": of.worst}
    return {"total": of.total, **figures, "counts": dict(sorted(of.counts.items()))}


def render_csv(compared: Sequence[Costs]) -> str:
    """One value a line: kernel, measure, what of it (a slab, a value that was met, a step)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("kernel", "measure", "at", "value"))
    for costs in compared:
        writer.writerows((costs.kernel, *row) for row in _values(costs))
    return text.getvalue()


def _values(costs: Costs) -> Iterator[tuple[str, str | int, float]]:
    for slab in costs.slabs:
        yield "objects", slab.name, slab.objects
        yield "bytes", slab.name, slab.bytes
    yield from (("pages by VMAs visited", *each) for each in sorted(costs.walks.counts.items()))
    locking = costs.locking
    yield from (("locks by times taken", *each) for each in sorted(locking.taken.counts.items()))
    yield from (("locks by time held", *each) for each in sorted(locking.held.counts.items()))
    yield from (("holds by length", *each) for each in sorted(locking.holds.counts.items()))
    for moment in costs.moments:
        yield "VMAs after step", moment.step, moment.vmas
        yield "anon_vmas after step", moment.step, moment.anon_vmas
        yield "chains after step", moment.step, moment.chains
