"""How fast the page of `rmaplab show` steps through a long film, in headless Chromium.

    PYTHONPATH=src python benchmarks/show.py

A parent whose fifteen children write, and exit in the end. A step lasts from the key to the next
frame that has been laid out. Needs Playwright, and Debian's chromium.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from rmaplab.litmus.reader import read_text
from rmaplab.report.drawing.page import render_page
from rmaplab.runner.choice import find_kernel
from rmaplab.runner.showing import film_of

CHILDREN = "BCDEFGHIJKLMNOP"
STEP = """key => new Promise(done => {
    const begin = performance.now();
    document.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
    requestAnimationFrame(() => {
        document.body.getBoundingClientRect();
        done(performance.now() - begin);
    });
})"""


def litmus_text() -> str:
    """The scenario."""
    lines = ["litmus long-film", "processes A", "setup"]
    lines += ["    A: mmap 0 4", "    A: mmap 8 4", "    A: write 0 4 = 1", "    A: write 8 4 = 2"]
    lines += [f"    A: fork {child}" for child in CHILDREN]
    lines += ["CPU0"]
    for child in CHILDREN:
        lines += [f"    {child}: write 0 2 = 2", f"    {child}: write 8 2 = 3"]
    lines += [f"    {child}: exit" for child in CHILDREN]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Step to the end and back."""
    film = film_of(read_text(litmus_text()), find_kernel("v2.6.38"))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        file = Path(folder, "film.html")
        file.write_text(render_page([film], 0))
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(file.as_uri())
        steps = len(film.shots)
        print(f"{steps} steps, {len(film.things)} objects, {file.stat().st_size / 1e6:.1f} MB")
        for key in ("ArrowRight", "ArrowLeft"):
            took = sorted(page.evaluate(STEP, key) for _ in range(steps))
            p99 = took[len(took) * 99 // 100]
            median = statistics.median(took)
            print(f"{key}: median {median:.0f} ms, p99 {p99:.0f} ms, worst {took[-1]:.0f} ms")
        end = page.locator(".told").inner_text()
        browser.close()
    print(f"back at: {end.splitlines()[0]}")


if __name__ == "__main__":
    main()
