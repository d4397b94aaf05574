"""Drawings of films: nothing overlaps, nothing moves, and all forms tell the same."""

from __future__ import annotations

import json
import re
from functools import cache
from itertools import combinations
from xml.etree import ElementTree

import pytest

from rmaplab.checker.film import Film
from rmaplab.report.drawing.forms import FORMS
from rmaplab.report.drawing.layout import Place
from rmaplab.report.drawing.svg import Drawing, diff
from rmaplab.report.drawing.view import Arrow, Projector
from rmaplab.runner.choice import find_kernel, find_litmus
from rmaplab.runner.showing import film_of

PAIRS = [
    ("root-drops-itself", "seed-v2"),
    ("exit-of-three-generations", "v2.6.38"),
    ("migration-pins-freed-anon-vma", "v2.6.35"),
    ("scan-against-exit", "v2.6.36"),
    ("split-without-memory", "v2.6.34"),
]


@cache
def film(name: str, kernel: str) -> Film:
    return film_of(find_litmus(name), find_kernel(kernel))


@cache
def drawing(name: str, kernel: str) -> Drawing:
    return Drawing(film(name, kernel))


def overlap(one: Place, other: Place) -> bool:
    across = one.x < other.x + other.width and other.x < one.x + one.width
    return across and one.y < other.y + other.height and other.y < one.y + one.height


@pytest.mark.parametrize(("name", "kernel"), PAIRS)
def test_boxes_that_are_seen_together_do_not_overlap(name: str, kernel: str) -> None:
    drawn = drawing(name, kernel)
    places = drawn.layout.places

    for view in drawn.views:
        for one, other in combinations(view.boxes, 2):
            assert not overlap(places[one], places[other]), (one, other)
    assert all(p.x >= 0 and p.x + p.width <= drawn.layout.width for p in places.values())
    assert all(p.y >= 0 and p.y + p.height <= drawn.layout.height for p in places.values())


@pytest.mark.parametrize(("name", "kernel"), PAIRS)
def test_a_view_does_not_depend_on_the_way_to_it(name: str, kernel: str) -> None:
    projector = Projector(film(name, kernel))

    for view in projector.views():
        whole = projector._view()
        assert view.boxes == whole.boxes
        assert view.arrows == whole.arrows


def test_what_a_page_is_told_adds_up_to_the_views() -> None:
    drawn = drawing("migration-pins-freed-anon-vma", "v2.6.35")
    boxes: dict[int, object] = {}
    arrows: dict[int, object] = {}

    for number, view in enumerate(drawn.views):
        told = json.loads(json.dumps(diff(drawn, number)))
        boxes |= {int(n): box for n, box in told["boxes"].items()}
        arrows |= {int(n): arrow for n, arrow in told["arrows"].items()}
        seen = {drawn.names[n]: box for n, box in boxes.items() if box is not None}
        lines = {
            name: [[b.title, *b.lines], b.freed, [*b.dangling]] for name, b in view.boxes.items()
        }
        assert seen == lines
        assert {drawn.arrows[n]: a for n, a in arrows.items() if a is not None} == view.arrows


def test_a_chain_links_its_vma_and_its_anon_vma() -> None:
    start = drawing("exit-of-three-generations", "v2.6.38").views[0].arrows

    assert Arrow("vm_area_struct#1", "anon_vma_chain#1", "same_vma") in start
    assert Arrow("anon_vma#1", "anon_vma_chain#1", "same_anon_vma") in start
    assert Arrow("anon_vma#2", "anon_vma#1", "root") in start
    chains = [each for each in start if each.what == "same_vma"]
    assert len(chains) == 1 + 2 + 3


def test_before_chains_the_vmas_are_on_the_list_of_their_anon_vma() -> None:
    start = drawing("cow-both-write", "v2.6.33").views[0].arrows

    for vma in ("vm_area_struct#1", "vm_area_struct#2"):
        assert Arrow("anon_vma#1", vma, "anon_vma_node") in start


def test_the_last_step_lights_up_what_it_went_wrong_on() -> None:
    drawn = drawing("root-drops-itself", "seed-v2")

    assert drawn.lit(len(drawn.film.shots)) == {"anon_vma#1"}


def test_a_pointer_to_a_freed_object_dangles() -> None:
    view = drawing("migration-pins-freed-anon-vma", "v2.6.35").views[-1]

    assert view.arrows[Arrow("page#1", "anon_vma#1", "mapping")] is True
    assert view.boxes["anon_vma#1"].freed
    (number,) = view.boxes["page#1"].dangling
    assert view.boxes["page#1"].lines[number] == "mapping anon_vma#1"


@pytest.mark.parametrize(("name", "kernel"), PAIRS)
def test_an_svg_is_xml_with_a_name_for_each_part(name: str, kernel: str) -> None:
    content = FORMS[".svg"]([film(name, kernel)], 0)

    assert isinstance(content, str) and "var(" not in content
    root = ElementTree.fromstring(content)
    names = [each.get("id") for each in root.iter() if each.get("id")]
    assert len(names) == len(set(names)) > 0


def test_a_png_is_twice_as_large_as_the_drawing() -> None:
    content = FORMS[".png"]([film("root-drops-itself", "seed-v2")], 5)

    assert isinstance(content, bytes) and content.startswith(b"\x89PNG\r\n\x1a\n")
    layout = drawing("root-drops-itself", "seed-v2").layout
    size = int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    assert size == (2 * layout.width, 2 * layout.height)


def test_a_graph_has_the_boxes_and_arrows_of_the_moment() -> None:
    content = FORMS[".dot"]([film("migration-pins-freed-anon-vma", "v2.6.35")], 38)

    assert isinstance(content, str)
    view = drawing("migration-pins-freed-anon-vma", "v2.6.35").views[38]
    assert content.count(" -> ") == len(view.arrows)
    assert content.count("[label=") == len(view.boxes) + len(view.arrows)
    assert '"page#1" -> "anon_vma#1" [label="mapping", color=red];' in content


def test_a_page_needs_nothing_else() -> None:
    both = [film("root-drops-itself", name) for name in ("seed-v2", "v2.6.38")]
    content = FORMS[".html"](both, 3)

    assert isinstance(content, str)
    assert not re.findall(r'(?:src|href)="[^#]', content)
    links = set(re.findall(r"https?://[^\"' ]+", content))
    assert links <= {"http://www.w3.org/2000/svg"}
    identities = re.findall(r'id="([^"]+)"', content)
    assert len(identities) == len(set(identities))
    assert "seed-v2: refcount-underflow" in content and "v2.6.38: clean" in content


def test_text_tells_the_objects_and_the_step() -> None:
    content = FORMS[".txt"]([film("migration-pins-freed-anon-vma", "v2.6.35")], 38)

    assert isinstance(content, str)
    lines = content.splitlines()
    assert lines[0].startswith("v2.6.35: use-after-free: access to external_refcount")
    assert lines[1].startswith("after step 38 of 38: CPU0 atomic_inc(anon_vma#1.external_refcount)")
    assert "  anon_vma#1  freed" in lines
