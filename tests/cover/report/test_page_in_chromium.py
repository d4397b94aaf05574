"""The page as its reader has it: by keyboard, mouse and link, in both themes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rmaplab.report.drawing.forms import FORMS
from rmaplab.runner.choice import find_kernel, find_litmus
from rmaplab.runner.showing import film_of

CHROMIUM = shutil.which("chromium")
playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")

OFFLINE = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
LITMUS = "migration-pins-freed-anon-vma"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=OFFLINE)
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of 38 steps that end in a use-after-free."""
    file: Path = tmp_path_factory.mktemp("page") / "film.html"
    content = FORMS[".html"]([film_of(find_litmus(LITMUS), find_kernel("v2.6.35"))], 38)
    assert isinstance(content, str)
    file.write_text(content)
    return file.as_uri()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    opened = browser.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("request", lambda request: wrong.append(request.url))
    opened.goto(address)
    yield opened
    opened.close()
    assert set(wrong) == {address}, "an error, or something was asked for beside the page"


def told(page: Any) -> str:
    return str(page.locator(".told").inner_text())


def test_it_opens_after_the_last_step(page: Any) -> None:
    assert told(page) == "step 38 of 38"
    assert page.locator("tr[aria-current]").inner_text().split()[0] == "38"
    assert page.locator("g.anon_vma.freed:not(.off)").text_content().startswith("anon_vma#1")
    assert page.locator("path.dangling:not(.off)").count() == 1


def test_keys_step_forwards_and_backwards(page: Any) -> None:
    seen = []
    for key in ("Home", "ArrowRight", "PageDown", "ArrowLeft", "PageUp", "End", "ArrowRight"):
        page.keyboard.press(key)
        seen.append(told(page).split()[1])

    assert seen == ["0", "1", "11", "10", "0", "38", "38"]


def test_backwards_it_is_as_it_was(page: Any) -> None:
    page.keyboard.press("Home")
    first = page.locator(".paper").inner_html()
    page.keyboard.press("End")
    assert page.locator(".paper").inner_html() != first

    page.keyboard.press("Home")

    assert page.locator(".paper").inner_html() == first


def test_the_mouse_steps_too(page: Any) -> None:
    page.locator("[data-go=first]").click()
    assert told(page) == "step 0 of 38"
    page.locator("[data-go=on]").click()
    assert told(page) == "step 1 of 38"
    page.locator(".steps tbody tr").nth(22).click()
    assert told(page) == "step 23 of 38"
    page.locator("input[type=range]").fill("7")
    assert told(page) == "step 7 of 38"


def test_each_step_has_a_link(page: Any, address: str) -> None:
    link = page.locator(".steps a").nth(36).get_attribute("href")

    page.goto(address + link)
    page.reload()

    assert told(page) == "step 37 of 38"
    assert page.url.endswith("#a=37")


@pytest.mark.parametrize("link", ["#a=x", "#a=-3", "#a=99999", "#nonsense", "#a="])
def test_a_link_to_nowhere_is_no_error(page: Any, address: str, link: str) -> None:
    page.goto(address + link)
    page.reload()

    assert told(page) in ("step 0 of 38", "step 38 of 38")


def test_a_reader_of_the_screen_is_told_each_step(page: Any) -> None:
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")

    slider = page.locator("input[type=range]")
    assert slider.get_attribute("aria-valuetext").startswith("step 1 of 38: CPU")
    assert page.locator(".told").get_attribute("aria-live") == "polite"


def test_the_ledger_ends_at_the_moment(page: Any) -> None:
    page.locator(".ledger select").select_option("page#1._mapcount")
    rows = page.locator(".ledger tbody tr")
    assert rows.count() == 2

    page.keyboard.press("Escape")
    page.locator(".steps tbody tr").nth(0).click()

    assert rows.count() == 1
    assert "set-up" in rows.first.inner_text()


def test_the_code_of_each_cpu_is_shown(page: Any) -> None:
    lines = page.locator(".cpus").inner_text()

    assert "CPU0 kmigrated" in lines and "CPU1 A" in lines
    assert ".py:" in lines


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes_can_be_read_and_exchanged(browser: Any, address: str, scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme)
    page.goto(address)
    colours = "e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]"

    before = page.evaluate(f"({colours})(document.body)")
    page.locator("#theme").click()
    after = page.evaluate(f"({colours})(document.body)")
    page.close()

    paper = {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 24, 27)"}[scheme]
    assert before[0] == paper
    assert after[0] != before[0] and after[1] != before[1]
    for back, ink in (before, after):
        assert contrast(back, ink) > 7


def contrast(one: str, other: str) -> float:
    """The ratio of luminances, as WCAG 2 has it; 7 is AAA."""
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in colour[4:-1].split(",")]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
