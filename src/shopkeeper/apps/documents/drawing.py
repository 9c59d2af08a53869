"""Drawings in SVG and HTML that need no script: bars, lines, boxes, heat. Words stand in HTML, so that they keep their size.

A drawing is 1000 wide and 1000 high and stretches to its place. Each mark tells its numbers when pointed at.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

SIDE = 1000.0
Tick = tuple[float, str]
"""Where on an axis, from 0 to 1, and what stands there."""


@dataclass(frozen=True)
class Bar:
    """A bar: its height, and what it says when pointed at."""

    value: float
    words: str
    style: str = "bar"


@dataclass(frozen=True)
class Line:
    """A line through values, None where there is none; the words of each place. ``style``: stroke or stroke2."""

    values: Sequence[float | None]
    words: Sequence[str]
    style: str = "stroke"


@dataclass(frozen=True)
class BoxShape:
    """A box plot to be drawn: whiskers, quartiles, median, and what it says when pointed at."""

    low: float
    q1: float
    median: float
    q3: float
    high: float
    words: str


def plot(inner: str, *, label: str, high: int, xs: Iterable[Tick] = (), ys: Iterable[Tick] = ()) -> str:
    """Return a drawing with its axes; ``label`` says what it shows to who cannot see it, ``high`` is in pixels."""
    y_ticks, x_ticks = list(ys), list(xs)
    widest = max((words for _, words in y_ticks), key=len, default="")
    left = "".join(f'<span style="top:{100 - 100 * at:.1f}%">{escape(words)}</span>' for at, words in y_ticks)
    below = "".join(
        f'<span class="{_edge(at)}" style="left:{100 * at:.2f}%">{escape(words)}</span>' for at, words in x_ticks
    )
    lines = "".join(
        f'<line class="grid" x1="0" x2="1000" y1="{SIDE - SIDE * at:.1f}" y2="{SIDE - SIDE * at:.1f}"/>'
        for at, _ in y_ticks
    )
    foot = f'<div class="xs">{below}</div>' if x_ticks else ""
    return (
        f'<div class="plot" style="--high:{high}px"><div class="ys"><i>{escape(widest)}</i>{left}</div>'
        f'<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" aria-label="{escape(label)}">{lines}{inner}</svg>'
        f"{foot}</div>"
    )


def _edge(at: float) -> str:
    return "first" if at <= 0.04 else "last" if at >= 0.96 else ""


def bars(found: Sequence[Bar], *, label: str, high: int = 90, xs: Iterable[Tick] = (), ys: Iterable[Tick] = ()) -> str:
    """Return bars beside each other, from zero up or down."""
    top, bottom = max((bar.value for bar in found), default=0.0), min((bar.value for bar in found), default=0.0)
    top, bottom = max(top, 0.0), min(bottom, 0.0)
    scale = SIDE / ((top - bottom) or 1.0)
    step = SIDE / max(len(found), 1)
    zero = top * scale
    drawn = []
    for place, bar in enumerate(found):
        height = max(abs(bar.value) * scale, 6.0 if bar.value else 0.0)
        y = zero - height if bar.value >= 0 else zero
        drawn.append(
            f'<g><title>{escape(bar.words)}</title><rect class="hit" x="{place * step:.1f}" y="0" width="{step:.1f}" '
            f'height="1000"/><rect class="{bar.style}" x="{place * step + step * 0.06:.1f}" y="{y:.1f}" '
            f'width="{step * 0.88:.1f}" height="{height:.1f}"/></g>'
        )
    base = f'<line class="edge" x1="0" x2="1000" y1="{zero:.1f}" y2="{zero:.1f}"/>'
    return plot("".join(drawn) + base, label=label, high=high, xs=xs, ys=ys)


def lines(
    found: Sequence[Line], *, label: str, high: int = 230, xs: Iterable[Tick] = (), scale: "Ticks | None" = None
) -> str:
    """Return lines over common places; ``scale`` of the values, from zero on if it is left out."""
    scale = scale or ticks([value for line in found for value in line.values if value is not None])
    drawn = [path for line in found for path in _paths(line, scale)]
    n = max((len(line.values) for line in found), default=0)
    step = SIDE / max(n - 1, 1)
    words = [[line.words[place] for line in found if place < len(line.words)] for place in range(n)]
    hits = "".join(
        f'<g><title>{escape(chr(10).join(filter(None, said)))}</title><rect class="hit" x="{(place - 0.5) * step:.1f}" y="0" '
        f'width="{step:.1f}" height="1000"/></g>'
        for place, said in enumerate(words)
    )
    return plot("".join(drawn) + hits, label=label, high=high, xs=xs, ys=scale.marks)


def _paths(line: Line, scale: "Ticks") -> list[str]:
    step = SIDE / max(len(line.values) - 1, 1)
    runs: list[list[tuple[float, float]]] = [[]]
    for place, value in enumerate(line.values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((place * step, SIDE - SIDE * scale.share(value)))
    found = []
    for run in filter(None, runs):
        points = " L".join(f"{x:.1f},{y:.1f}" for x, y in run)
        if line.style == "stroke":
            zero = SIDE - SIDE * scale.share(max(scale.low, 0.0))
            found.append(
                f'<path class="area" d="M{run[0][0]:.1f},{zero:.1f} L{points} L{run[-1][0]:.1f},{zero:.1f} Z"/>'
            )
        found.append(f'<path class="{line.style}" d="M{points}"/>')
    return found


def spark(values: Sequence[float | None], *, label: str, high: int = 38) -> str:
    """Return a small line without axes."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return ""
    low, top = min(known), max(known)
    scale = Ticks(low - (top - low) * 0.08, top + (top - low) * 0.08 or low + 1, ())
    inner = "".join(_paths(Line(values, (), "stroke"), scale))
    return plot(inner, label=label, high=high)


def box(found: BoxShape, low: float, high: float, *, label: str, px: int = 26, xs: Iterable[Tick] = ()) -> str:
    """Return one lying box plot on a scale from ``low`` to ``high``."""
    width = (high - low) or 1.0

    def at(value: float) -> float:
        return min(max((value - low) / width, 0.0), 1.0) * SIDE

    inner = (
        f'<g><title>{escape(found.words)}</title><rect class="hit" x="0" y="0" width="1000" height="1000"/>'
        f'<line class="whisker" x1="{at(found.low):.1f}" x2="{at(found.q1):.1f}" y1="500" y2="500"/>'
        f'<line class="whisker" x1="{at(found.q3):.1f}" x2="{at(found.high):.1f}" y1="500" y2="500"/>'
        + "".join(
            f'<line class="whisker" x1="{at(value):.1f}" x2="{at(value):.1f}" y1="280" y2="720"/>'
            for value in (found.low, found.high)
        )
        + f'<rect class="boxes" x="{at(found.q1):.1f}" y="140" width="{max(at(found.q3) - at(found.q1), 2):.1f}" height="720"/>'
        f'<line class="middle" x1="{at(found.median):.1f}" x2="{at(found.median):.1f}" y1="140" y2="860"/></g>'
    )
    return plot(inner, label=label, high=px, xs=xs)


def bars_lying(rows: Sequence[tuple[str, float, str]], *, most: float | None = None) -> str:
    """Return lying bars: name, value, and the words of the value; all texts."""
    top = most or max((abs(value) for _, value, _ in rows), default=0.0) or 1.0
    room = 14 + 8 * max((len(words) for *_, words in rows), default=0)
    body = "".join(
        f'<tr><td title="{escape(name)}"><div class="name">{escape(name)}</div></td>'
        f'<td><div class="hbar{" minus" if value < 0 else ""}" '
        f'style="width:{min(abs(value) / top, 1) * 100:.1f}%"></div></td>'
        f'<td class="num" style="width:{room}px">{escape(words)}</td></tr>'
        for name, value, words in rows
    )
    return f'<table class="hbars"><tbody>{body}</tbody></table>'


def heat(
    across: Sequence[str],
    down: Sequence[str],
    values: Sequence[Sequence[tuple[float | None, str, str]]],
    *,
    is_fine: bool = False,
) -> str:
    """Return a table whose cells are coloured by a value from -1 to 1: (value, what stands in it, what it says if pointed at).

    ``is_fine``: small cells side by side, without words in them.
    """
    heads = "".join(f'<th class="turned" scope="col"><div>{escape(name)}</div></th>' for name in across)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>' + "".join(map(_heated, row)) + "</tr>"
        for name, row in zip(down, values, strict=True)
    )
    return (
        f'<div class="scroll"><table class="heat{" fine" if is_fine else ""}"><thead><tr><th></th>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _heated(cell: tuple[float | None, str, str]) -> str:
    value, shown, words = cell
    if value is None:
        return f'<td title="{escape(words)}">{escape(shown)}</td>'
    colour = "--heat" if value >= 0 else "--cold"
    return (
        f'<td style="background:rgb(var({colour}) / {min(abs(value), 1) * 0.72:.2f})" title="{escape(words)}">'
        f"{escape(shown)}</td>"
    )


@dataclass(frozen=True)
class Ticks:
    """A scale: its ends, and marks on it as shares of it with their words."""

    low: float
    high: float
    marks: tuple[Tick, ...]

    def share(self, value: float) -> float:
        """Return where a value lies, 0 at the lower end and 1 at the upper."""
        return (value - self.low) / ((self.high - self.low) or 1.0)


def ticks(values: Sequence[float], words: Callable[[float], str] | None = None, *, n: int = 4) -> Ticks:
    """Return a scale from zero (or below it) that holds all values, with round marks; ``words`` turns a mark into text."""
    top, bottom = max([*values, 0.0]), min([*values, 0.0])
    span = (top - bottom) or 1.0
    power = 10.0 ** math.floor(math.log10(span / n))
    step = next(each * power for each in (1, 2, 2.5, 5, 10) if span / (each * power) <= n)
    low, high = math.floor(bottom / step) * step, math.ceil(top / step) * step
    count = round((high - low) / step)
    told = words or short
    marks = [low + place * step for place in range(count + 1)]
    return Ticks(low, high or 1.0, tuple(((mark - low) / ((high - low) or 1.0), told(mark)) for mark in marks))


def short(value: float) -> str:
    """Return a number with at most three digits and k or M."""
    for size, letter in ((1e9, "bn"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
