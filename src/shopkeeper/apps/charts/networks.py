"""Networks: things as points, what joins them as lines; laid out by forces, the same for the same network."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shopkeeper.apps.charts.figures import blank, short_text
from shopkeeper.apps.charts.formats import Formats
from shopkeeper.apps.charts.theme import SIZE, Theme

if TYPE_CHECKING:
    import plotly.graph_objects as go

STEPS = 260
WIDTHS = (1.0, 2.5, 4.5, 7.0)
SMALLEST, LARGEST = 9.0, 26.0
NAMED = 22
LETTER, LINE = 0.026, 0.085
"""How wide a letter and how high a line is about, where the whole picture is 2 wide and 2 high."""


def network(
    theme: Theme,
    formats: Formats,
    names: Mapping[str, str],
    sizes: Mapping[str, float],
    joined: Sequence[tuple[str, str, float]],
    notes: Mapping[str, str],
    *,
    height: int = 560,
) -> "go.Figure":
    """Return points named by ``names`` (key → name), as large as ``sizes`` say, with lines as thick as their weight.

    A click hands back the key. Groups that hang together share a colour.
    """
    figure = blank(theme, height=height)
    keys = list(names)
    places, groups = _placed(keys, joined)
    most = max([weight for _, _, weight in joined] or [1.0])
    for level, width in enumerate(WIDTHS):
        x: list[Any] = []
        y: list[Any] = []
        for one, other, weight in joined:
            if min(int(weight / most * len(WIDTHS)), len(WIDTHS) - 1) == level:
                x += [places[one][0], places[other][0], None]
                y += [places[one][1], places[other][1], None]
        figure.add_scatter(
            x=x, y=y, mode="lines", line={"color": theme.faded(theme.muted, 0.4), "width": width}, hoverinfo="skip"
        )
    largest = max(sizes.values(), default=1.0) or 1.0
    told = _told(keys, sizes, places, names)
    figure.add_scatter(
        x=[places[key][0] for key in keys],
        y=[places[key][1] for key in keys],
        mode="markers+text",
        marker={
            "size": [SMALLEST + (LARGEST - SMALLEST) * max(sizes[key] / largest, 0.0) ** 0.5 for key in keys],
            "color": [theme.colours[groups[key] % len(theme.colours)] for key in keys],
            "line": {"width": 1.5, "color": theme.ground},
        },
        text=[short_text(names[key].strip().capitalize(), NAMED) if key in told else "" for key in keys],
        textposition="bottom center",
        textfont={"size": SIZE - 3, "color": theme.text},
        hovertext=[f"<b>{names[key]}</b><br>{formats.money(sizes[key])} net sales<br>{notes[key]}" for key in keys],
        hoverinfo="text",
        customdata=keys,
        cliponaxis=False,
    )
    figure.update_layout(showlegend=False, margin={"l": 8, "r": 8, "t": 8, "b": 16})
    figure.update_xaxes(visible=False, range=[-1.14, 1.14])
    figure.update_yaxes(visible=False, range=[-1.12, 1.08])
    return figure


def _told(
    keys: Sequence[str], sizes: Mapping[str, float], places: Mapping[str, tuple[float, float]], names: Mapping[str, str]
) -> set[str]:
    """Return whose names are written: the larger ones, as long as no name covers another."""
    taken: list[tuple[float, float, float]] = []
    found = set()
    for key in sorted(keys, key=lambda key: (-sizes[key], key)):
        x, y = places[key]
        half = LETTER * min(len(names[key]), NAMED) / 2
        if all(abs(y - other) > LINE or abs(x - middle) > half + width for middle, other, width in taken):
            taken.append((x, y, half))
            found.add(key)
    return found


def _placed(
    keys: Sequence[str], joined: Sequence[tuple[str, str, float]]
) -> tuple[dict[str, tuple[float, float]], dict[str, int]]:
    """Return each point's place within -1 to 1, after Fruchterman and Reingold (1991), and which group it hangs together with."""
    import numpy as np

    at = {key: place for place, key in enumerate(keys)}
    n = len(keys)
    group = _groups(keys, joined)
    ties = np.zeros((n, n))
    for one, other, weight in joined:
        ties[at[one], at[other]] = ties[at[other], at[one]] = max(weight, 1e-9)
    ties = np.sqrt(ties / (ties.max() or 1.0))
    # Groups begin around a circle, each in its own corner, so that they do not cross.
    number = np.array([group[key] for key in keys], float)
    angle = 2 * np.pi * (number / (number.max() + 1) + np.arange(n) / (n * 12))
    points = np.column_stack([np.cos(angle), np.sin(angle)]) * (0.6 + 0.4 * (np.arange(n) % 5)[:, None] / 5)
    ideal = 2.6 / max(n, 1) ** 0.5
    for step in range(STEPS):
        apart = points[:, None] - points[None]
        distance = np.maximum(np.sqrt((apart**2).sum(axis=2)), 1e-3)
        force = (apart / distance[..., None] * (ideal**2 / distance)[..., None]).sum(axis=1)
        force -= (apart * (distance * ties / ideal)[..., None]).sum(axis=1)
        force -= 0.3 * points
        length = np.maximum(np.sqrt((force**2).sum(axis=1)), 1e-9)
        heat = 0.12 * (1 - step / STEPS)
        points += force / length[:, None] * np.minimum(length, heat)[:, None]
    low, high = points.min(axis=0), points.max(axis=0)
    points = 2 * (points - low) / np.maximum(high - low, 1e-9) - 1
    return {key: (float(x), float(y)) for key, (x, y) in zip(keys, points, strict=True)}, group


def _groups(keys: Sequence[str], joined: Sequence[tuple[str, str, float]]) -> dict[str, int]:
    """Return the number of each one's group: those that lines join, directly or by others."""
    first = {key: key for key in keys}

    def root(key: str) -> str:
        while first[key] != key:
            key = first[key]
        return key

    for one, other, _ in joined:
        first[root(other)] = root(one)
    numbers: dict[str, int] = {}
    return {key: numbers.setdefault(root(key), len(numbers)) for key in keys}
