"""The colours of drawings and pages, in light and dark."""

from __future__ import annotations

from importlib.resources import files

LIGHT = {
    "paper": "#ffffff", "ink": "#1c2024", "dim": "#5c6670", "line": "#8a949e", "lit": "#ffe9a8",
    "bad": "#c4183c", "mm": "#eef1f4", "vma": "#e3eefc", "anon": "#e2f3e4", "chain": "#ffffff",
    "page": "#f6ecdc", "ksm": "#f1e6f8",
}  # fmt: skip
DARK = {
    "paper": "#15181b", "ink": "#e6e9ec", "dim": "#9aa5b0", "line": "#7b8791", "lit": "#5c4a10",
    "bad": "#ff7d95", "mm": "#22272c", "vma": "#1b2b41", "anon": "#1a3320", "chain": "#15181b",
    "page": "#382d1c", "ksm": "#322040",
}  # fmt: skip


def style(name: str) -> str:
    """A style sheet of this folder."""
    return (files("rmaplab.report.drawing") / name).read_text()


def in_light(sheet: str) -> str:
    """A style sheet with the light colours written out: for what knows no variables."""
    for name, colour in LIGHT.items():
        sheet = sheet.replace(f"var(--{name})", colour)
    return sheet


def variables(colours: dict[str, str]) -> str:
    """The colours as a style sheet declares them."""
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())
