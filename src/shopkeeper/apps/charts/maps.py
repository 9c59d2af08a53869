"""Maps of countries and of US states, drawn as filled outlines from shapes that come with the package: nothing is fetched.

What the data call a place is looked up by its name, its usual other names and its codes; what has no shape is told.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from shopkeeper.apps.charts.figures import blank
from shopkeeper.apps.charts.formats import Formats
from shopkeeper.apps.charts.theme import Theme

if TYPE_CHECKING:
    import numpy as np
    import plotly.graph_objects as go

OTHER_NAMES = {
    "bosnia": "Bosnia and Herz.",
    "bosnia and herzegovina": "Bosnia and Herz.",
    "burma": "Myanmar",
    "cape verde": "Cabo Verde",
    "czech republic": "Czechia",
    "dominican republic": "Dominican Rep.",
    "eire": "Ireland",
    "england": "United Kingdom",
    "great britain": "United Kingdom",
    "holland": "Netherlands",
    "ivory coast": "Côte d'Ivoire",
    "korea": "South Korea",
    "republic of korea": "South Korea",
    "macau": "Macao",
    "north macedonia": "Macedonia",
    "republic of ireland": "Ireland",
    "rsa": "South Africa",
    "russian federation": "Russia",
    "swaziland": "eSwatini",
    "türkiye": "Turkey",
    "uae": "United Arab Emirates",
    "uk": "United Kingdom",
    "united states": "United States of America",
    "us": "United States of America",
    "usa": "United States of America",
    "viet nam": "Vietnam",
}
"""Name in lower case → the name that its shape has, where the two differ."""
TOGETHER = {"channel islands": ("Jersey", "Guernsey")}
STATES = dict(
    pair.split(":")
    for pair in (
        "al:Alabama,ak:Alaska,az:Arizona,ar:Arkansas,ca:California,co:Colorado,ct:Connecticut,de:Delaware,"
        "dc:District of Columbia,fl:Florida,ga:Georgia,hi:Hawaii,id:Idaho,il:Illinois,in:Indiana,ia:Iowa,ks:Kansas,"
        "ky:Kentucky,la:Louisiana,me:Maine,md:Maryland,ma:Massachusetts,mi:Michigan,mn:Minnesota,ms:Mississippi,"
        "mo:Missouri,mt:Montana,ne:Nebraska,nv:Nevada,nh:New Hampshire,nj:New Jersey,nm:New Mexico,ny:New York,"
        "nc:North Carolina,nd:North Dakota,oh:Ohio,ok:Oklahoma,or:Oregon,pa:Pennsylvania,ri:Rhode Island,"
        "sc:South Carolina,sd:South Dakota,tn:Tennessee,tx:Texas,ut:Utah,vt:Vermont,va:Virginia,wa:Washington,"
        "wv:West Virginia,wi:Wisconsin,wy:Wyoming"
    ).split(",")
)
FILES = {"country": "world", "state": "us_states"}
SMALL = 60
HEIGHT = {"country": 400, "state": 400}
WINDOW = {"country": ((-1950, 2000), (-760, 930)), "state": ((0, 3900), (-2440, 0))}
"""The part of the plane that is shown: of the world, without the emptiest south."""


@dataclass(frozen=True)
class Shape:
    """A place's outline: rings of x and y, the largest first, and its middle."""

    name: str
    middle: tuple[float, float]
    rings: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]

    @property
    def is_small(self) -> bool:
        """Whether it would hardly be seen."""
        x, y = self.rings[0]
        return max(x) - min(x) < SMALL and max(y) - min(y) < SMALL


@dataclass(frozen=True)
class Map:
    """A map, and which of the places have no shape on it."""

    figure: "go.Figure"
    missing: tuple[str, ...]


@lru_cache(maxsize=2)
def shapes(kind: str) -> dict[str, Shape]:
    """Return name → shape of all countries, or of all states."""
    text = resources.files("shopkeeper.apps.charts").joinpath(f"shapes/{FILES[kind]}.json").read_text("utf-8")
    return {
        each["name"]: Shape(
            each["name"],
            (each["middle"][0], each["middle"][1]),
            tuple((tuple(ring[::2]), tuple(ring[1::2])) for ring in each["rings"]),
        )
        for each in json.loads(text)
    }


def found(kind: str, place: str) -> tuple[Shape, ...]:
    """Return the shapes of a place by what the data call it; none if it has none."""
    known = shapes(kind)
    low = place.strip().lower()
    if low in TOGETHER and kind == "country":
        return tuple(known[name] for name in TOGETHER[low])
    name = (STATES if kind == "state" else OTHER_NAMES).get(low) or _by_name(kind).get(low)
    return (known[name],) if name in known else ()


@lru_cache(maxsize=2)
def _by_name(kind: str) -> dict[str, str]:
    return {name.lower(): name for name in shapes(kind)}


def can_show(kind: str, places: Sequence[str]) -> bool:
    """Return whether most of the places have a shape."""
    return sum(bool(found(kind, place)) for place in places) * 2 > len(places)


def of_places(
    theme: Theme, formats: Formats, kind: str, places: Sequence[str], values: Sequence[Any], *, unit: str = "money"
) -> Map:
    """Return a map tinted by the logarithm of each place's value: a shop sells at home many times what it sells elsewhere."""
    figure = blank(theme, height=HEIGHT[kind])
    told = {place: float(value) for place, value in zip(places, values, strict=True) if value is not None}
    shown = {place: found(kind, place) for place in told}
    most = max([value for place, value in told.items() if shown[place]] or [1])
    taken = {shape.name for each in shown.values() for shape in each}
    _outline(figure, kind, tuple(name for name in shapes(kind) if name not in taken), theme)
    name = formats.of(unit)
    for step, colour in enumerate(theme.ramp):
        # One line for all places of a tint: a map of two hundred countries is drawn in seven strokes.
        names = tuple(
            shape.name
            for place, each in shown.items()
            if _step(told[place], most, len(theme.ramp)) == step
            for shape in each
        )
        if names:
            x, y = _joined(kind, names)
            figure.add_scatter(
                x=x,
                y=y,
                mode="lines",
                fill="toself",
                fillcolor=colour,
                line={"color": theme.ground, "width": 0.6},
                hoverinfo="skip",
                showlegend=False,
            )
    _middles(figure, theme, [(place, shape) for place, each in shown.items() for shape in each[:1]], told, name, most)
    figure.update_layout(margin={"l": 0, "r": 0, "t": 0, "b": 0}, showlegend=False)
    (left, right), (low, high) = WINDOW[kind]
    figure.update_xaxes(visible=False, range=[left, right], constrain="domain", fixedrange=True)
    figure.update_yaxes(visible=False, range=[low, high], scaleanchor="x", constrain="domain", fixedrange=True)
    return Map(figure, tuple(place for place, each in shown.items() if not each))


def _step(value: float, most: float, n: int) -> int:
    """Return the place in the ramp: each step down is a third of the one above."""
    if value <= 0 or most <= 0:
        return 0
    return max(1, n - 1 - int(math.log(most / value, 3.2)))


@lru_cache(maxsize=512)
def _joined(kind: str, names: tuple[str, ...]) -> "tuple[np.ndarray, np.ndarray]":
    """Return the outlines of shapes as one line with gaps, as plotly draws it without looking at each number."""
    import numpy as np

    x: list[float] = []
    y: list[float] = []
    for name in names:
        for ring_x, ring_y in shapes(kind)[name].rings:
            x += [*ring_x, ring_x[0], np.nan]
            y += [*ring_y, ring_y[0], np.nan]
    return np.array(x), np.array(y)


def _outline(figure: "go.Figure", kind: str, others: tuple[str, ...], theme: Theme) -> None:
    x, y = _joined(kind, others)
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        fill="toself",
        fillcolor=theme.ramp[0],
        line={"color": theme.line, "width": 0.5},
        hoverinfo="skip",
        showlegend=False,
    )


def _middles(
    figure: "go.Figure",
    theme: Theme,
    places: Sequence[tuple[str, Shape]],
    told: dict[str, float],
    name: Any,
    most: float,
) -> None:
    """Add the points that are hovered over and clicked: seen where the shape is too small to be, else unseen but wide."""
    figure.add_scatter(
        x=[shape.middle[0] for _, shape in places],
        y=[shape.middle[1] for _, shape in places],
        mode="markers",
        marker={
            "size": [9 if shape.is_small else 16 for _, shape in places],
            "color": [
                theme.ramp[_step(told[place], most, len(theme.ramp))] if shape.is_small else "rgba(0,0,0,0)"
                for place, shape in places
            ],
            "line": {
                "width": [1.2 if shape.is_small else 0 for _, shape in places],
                "color": theme.main,
            },
        },
        customdata=[place for place, _ in places],
        hovertext=[f"<b>{name(told[place])}</b><br>{place}" for place, _ in places],
        hoverinfo="text",
        showlegend=False,
    )
