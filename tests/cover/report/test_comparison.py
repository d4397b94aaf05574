"""Costs as a table, JSON, CSV and plots."""

from __future__ import annotations

import csv
import io
import json
from xml.etree import ElementTree

from rmaplab.costs import Costs, Distribution, Locking, Moment, Slab
from rmaplab.report.comparison import render_csv, render_json, render_table
from rmaplab.report.plots import plot


def costs(kernel: str, stopped: str = "") -> Costs:
    locking = Locking(Distribution({3: 1, 1: 2}), Distribution({9: 3}), Distribution({2: 4, 1: 1}))
    moments = (Moment(1, "A: mmap 0", 1, 0, 0), Moment(2, "A: write 0 = 1", 2, 1, 3))
    slabs = (Slab("anon_vma", 1500, 24), Slab("anon_vma_chain", 3, 48))
    return Costs("load", kernel, slabs, 2, Distribution({1: 99, 50: 1}), locking, moments, stopped)


def row(table: str, label: str) -> list[str]:
    (found,) = (line for line in table.splitlines() if line.strip().startswith(label))
    return found.removeprefix("  ").removeprefix(label).split()


def test_a_distribution_knows_its_figures() -> None:
    of = Distribution({1: 98, 7: 1, 50: 1})

    assert (of.total, of.sum, of.mean, of.worst) == (100, 155, 1.55, 50)
    assert (of.quantile(98), of.quantile(99), of.quantile(100)) == (1, 7, 50)
    assert (Distribution({}).mean, Distribution({}).worst, Distribution({}).quantile(99)) == (
        0,
        0,
        0,
    )


def test_the_table_has_a_column_for_each_kernel() -> None:
    table = render_table([costs("v1"), costs("v2")])

    assert row(table, "taken, the busiest") == ["3", "3"]
    assert row(table, "pages walked for") == ["100", "100"]
    assert row(table, "chains") == ["1.50", "1.50"]
    assert "1,500   1,500" in table and "36,000  36,000" in table
    assert "after step 2: A: write 0 = 1." in table


def test_the_table_tells_what_ended_a_run() -> None:
    assert render_table([costs("v1", "leak in step 3: x")]).endswith(
        "v1: stopped by leak in step 3: x\n"
    )


def test_the_table_of_a_run_without_steps_has_no_walks() -> None:
    nothing = Distribution({})
    empty = Costs("load", "v1", (), 1, nothing, Locking(nothing, nothing, nothing), (), "oops")

    assert row(render_table([empty]), "pages walked for") == ["0"]


def test_json_has_whole_distributions() -> None:
    (told,) = json.loads(render_json([costs("v1")]))["costs"]

    assert told["walks"] == {
        "total": 100, "mean": 1.49, "p99": 1, "worst": 50, "counts": {"1": 99, "50": 1},
    }  # fmt: skip
    assert told["slabs"][0] == {"name": "anon_vma", "objects": 1500, "size": 24, "bytes": 36000}
    assert told["moments"][1]["chains"] == 3


def test_csv_has_one_value_a_line() -> None:
    rows = list(csv.reader(io.StringIO(render_csv([costs("v1"), costs("v2")]))))

    assert rows[0] == ["kernel", "measure", "at", "value"]
    assert ["v2", "bytes", "anon_vma", "36000"] in rows
    assert ["v1", "pages by VMAs visited", "50", "1"] in rows
    assert ["v1", "chains after step", "2", "3"] in rows
    assert {len(each) for each in rows} == {4}


def test_the_plots_are_a_picture() -> None:
    assert plot([costs("v1"), costs("v2")], "png").startswith(b"\x89PNG")
    drawn = plot([costs("v1")], "svg")

    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    assert drawn == plot([costs("v1")], "svg")
