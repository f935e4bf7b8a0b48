"""Screens of a terminal as an SVG that plays them, without a script."""

from collections import defaultdict
from html import escape
from itertools import groupby
from typing import NamedTuple

WIDTH, HEIGHT, PAD, BAR = 8.4, 18, 14, 30
BACKGROUND, TEXT = "#15181e", "#d7dae0"
PALETTE = {
    "black": "#3b4048",
    "red": "#ff7b72",
    "green": "#7ee787",
    "brown": "#e3b341",
    "blue": "#79c0ff",
    "magenta": "#d2a8ff",
    "cyan": "#76e3ea",
    "white": "#d7dae0",
    "brightblack": "#8b949e",
    "brightred": "#ffa198",
    "brightgreen": "#a5f0ad",
    "brightbrown": "#f2cc60",
    "brightblue": "#a5d6ff",
    "brightmagenta": "#e2c5ff",
    "brightcyan": "#b3f0ff",
    "brightwhite": "#ffffff",
}
FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"


class Cell(NamedTuple):
    """A sign on the screen."""

    sign: str
    fg: str
    bg: str
    bold: bool
    reverse: bool


Rows = list[list[Cell]]


def colour(name: str, default: str) -> str:
    if name == "default":
        return default
    return PALETTE.get(name, f"#{name}")


def row(cells: list[Cell]) -> str:
    """One line as SVG; empty if there is nothing to see."""
    backs, texts, column = [], [], 0
    for style, run in groupby(cells, lambda cell: cell[1:]):
        text = "".join(cell.sign for cell in run)
        fg, bg, bold, reverse = style
        front, back = colour(fg, TEXT), colour(bg, BACKGROUND)
        if reverse:
            front, back = back, front
        if back != BACKGROUND:
            size = f'x="{column * WIDTH:.1f}" width="{len(text) * WIDTH:.1f}" height="{HEIGHT}"'
            backs.append(f'<rect {size} fill="{back}"/>')
        shown = text.strip()
        if shown:
            x = (column + len(text) - len(text.lstrip())) * WIDTH
            fill = "" if front == TEXT else f' fill="{front}"'
            weight = ' class="b"' if bold else ""
            size = f'x="{x:.1f}" textLength="{len(shown) * WIDTH:.1f}"'
            texts.append(f"<tspan {size}{fill}{weight}>{escape(shown, quote=False)}</tspan>")
        column += len(text)
    if texts:
        backs.append(f'<text y="13.5">{"".join(texts)}</text>')
    return "".join(backs)


def svg(frames: list[Rows], lasts: list[float]) -> str:
    """Plays the frames, each for so many seconds, again and again."""
    columns, lines = len(frames[0][0]), len(frames[0])
    names: dict[str, str] = defaultdict(lambda: f"l{len(names)}")
    shots = []
    for number, rows in enumerate(frames):
        drawn = ((line, row(cells)) for line, cells in enumerate(rows))
        uses = (f'<use href="#{names[text]}" y="{line * HEIGHT}"/>' for line, text in drawn if text)
        shots.append(f'<svg y="{number * lines * HEIGHT}">{"".join(uses)}</svg>')
    total, at, steps = sum(lasts), 0.0, []
    for number, seconds in enumerate(lasts):
        steps.append(f"{100 * at / total:.2f}%{{transform:translateY({-number * lines * HEIGHT}px)}}")
        at += seconds
    width, height = columns * WIDTH + 2 * PAD, lines * HEIGHT + PAD + BAR
    defs = "".join(f'<g id="{name}">{text}</g>' for text, name in names.items())
    still = -(len(frames) - 1) * lines * HEIGHT
    dots = "".join(
        f'<circle cx="{18 + 18 * index}" cy="15" r="5.5" fill="{fill}"/>'
        for index, fill in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}" \
font-family="{FONT}" font-size="14" fill="{TEXT}">
<style>text{{white-space:pre}}.b{{font-weight:bold}}.r{{animation:r {total:.1f}s steps(1,end) infinite}}\
@keyframes r{{{"".join(steps)}}}\
@media(prefers-reduced-motion:reduce){{.r{{animation:none;transform:translateY({still}px)}}}}</style>
<rect width="100%" height="100%" rx="9" fill="{BACKGROUND}" stroke="#444c56"/>{dots}
<defs>{defs}</defs>
<svg x="{PAD}" y="{BAR}" width="{columns * WIDTH:.0f}" height="{lines * HEIGHT}"><g class="r">{"".join(shots)}</g></svg>
</svg>
"""
