"""What a load cost on several kernels, as four plots on a sheet."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from rmaplab.costs import Costs, Distribution
from rmaplab.report.comparison import per_vma

#: Told apart by those who see colours otherwise, too (Okabe and Ito).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
#: Lines that lie on each other are seen through each other.
DASHES = ("-", (0, (6, 2)), (0, (2, 2)), (0, (6, 2, 1, 2)), (0, (1, 3)))


def plot(compared: Sequence[Costs], form: str) -> bytes:
    """A picture, `png` or `svg`."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with plt.rc_context({"svg.hashsalt": "rmaplab", "font.size": 10}):
        figure, axes = plt.subplots(2, 2, figsize=(13, 9), layout="constrained")
        figure.suptitle(compared[0].load, fontsize=14)
        _objects(axes[0][0], compared)
        _walks(axes[0][1], compared)
        _locks(axes[1][0], compared)
        _chains(axes[1][1], compared)
        content = io.BytesIO()
        metadata = {"Date": None} if form == "svg" else None
        figure.savefig(content, format=form, dpi=120, facecolor="white", metadata=metadata)
        plt.close(figure)
    return content.getvalue()


def _objects(axes: Any, compared: Sequence[Costs]) -> None:
    """Bars: the bytes of each slab cache, with the number of objects written on."""
    caches = range(len(compared[0].slabs))
    used = [at for at in caches if any(costs.slabs[at].objects for costs in compared)]
    height = 0.8 / len(compared)
    for number, costs in enumerate(compared):
        slabs = [costs.slabs[at] for at in used]
        places = [place + number * height for place in range(len(used))]
        bars = axes.barh(
            places, [slab.bytes for slab in slabs], height, label=costs.kernel,
            color=COLOURS[number % len(COLOURS)],
        )  # fmt: skip
        axes.bar_label(bars, [f" {slab.objects:,}" for slab in slabs], fontsize=8)
    middle = (len(compared) - 1) * height / 2
    names = [compared[0].slabs[at].name for at in used]
    axes.set_yticks([place + middle for place in range(len(used))], names)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_title("Memory at the most (beside each bar: number of objects)")
    axes.set_xlabel("bytes")
    axes.legend()


def _walks(axes: Any, compared: Sequence[Costs]) -> None:
    """Which part of the pages is done with at most so many VMAs."""
    for number, costs in enumerate(compared):
        label = f"{costs.kernel}: mean {costs.walks.mean:,.2f}"
        _share(axes, costs.walks, number, label)
    _log_share(axes, "pages")
    axes.set_title("VMAs that a walk of a page's reverse map visits")
    axes.set_xlabel("VMAs visited, at most")


def _locks(axes: Any, compared: Sequence[Costs]) -> None:
    """Which part of the holds is no longer than so many operations."""
    for number, costs in enumerate(compared):
        taken = costs.locking.taken
        locks = f"{taken.sum:,} times, {taken.total:,} lock{'s' * (taken.total != 1)}"
        _share(axes, costs.locking.holds, number, f"{costs.kernel}: {locks}")
    _log_share(axes, "holds")
    axes.set_title("How long the lock of an anon_vma (of its root) is held")
    axes.set_xlabel("operations while it is held, at most")


def _share(axes: Any, of: Distribution, number: int, label: str) -> None:
    """A rising line of steps: the share of values up to each."""
    values, shares, done = [1.0], [0.0], 0
    for each in sorted(of.counts):
        done += of.counts[each]
        values.append(max(1.0, each))
        shares.append(100 * done / of.total)
    values.append(max(11.0, max(values) * 2))
    shares.append(100.0 if of.total else 0.0)
    axes.step(values, shares, where="post", label=label, **_line(number))


def _line(number: int) -> dict[str, Any]:
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[number % len(DASHES)],
        "linewidth": 2,
    }


def _log_share(axes: Any, what: str) -> None:
    axes.set_xscale("log")
    axes.set_xlim(left=0.9, right=max(11.0, axes.get_xlim()[1]))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter("{x:.0f} %")
    axes.set_ylim(0, 103)
    axes.set_ylabel(f"of all {what}")
    axes.grid(alpha=0.3)
    axes.legend()


def _chains(axes: Any, compared: Sequence[Costs]) -> None:
    """Chains per VMA from step to step."""
    for number, costs in enumerate(compared):
        steps = [moment.step for moment in costs.moments]
        values = [per_vma(moment) for moment in costs.moments]
        axes.plot(steps, values, label=costs.kernel, **_line(number))
    most = max((max(map(per_vma, costs.moments), default=0) for costs in compared), default=0)
    axes.set_ylim(bottom=-0.02 * (most or 1))  # a line at 0 is to be seen
    axes.set_title("anon_vma_chain objects per VMA, over time")
    axes.set_xlabel("step of the load")
    axes.set_ylabel("chains per VMA")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(alpha=0.3)
    axes.legend()
