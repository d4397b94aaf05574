"""A picture of dots."""

from __future__ import annotations

from pathlib import Path


def render_png(svg: str) -> bytes:
    """The picture of an SVG document."""
    import matplotlib
    import resvg_py

    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    font_files = [str(fonts / name) for name in ("DejaVuSansMono.ttf", "DejaVuSansMono-Bold.ttf")]
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, font_files=font_files, zoom=2))
