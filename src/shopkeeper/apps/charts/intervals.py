"""Figures of values that are not certain: points with their intervals, one below the other, and points against points."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shopkeeper.apps.charts.figures import LEAST, axis_of, blank, plain, short_text
from shopkeeper.apps.charts.formats import Formats
from shopkeeper.apps.charts.theme import SIZE, Theme

if TYPE_CHECKING:
    import plotly.graph_objects as go

ROW = 34


def forest(
    theme: Theme,
    formats: Formats,
    labels: Sequence[str],
    values: Sequence[Any],
    low: Sequence[Any],
    high: Sequence[Any],
    *,
    unit: str = "money",
    keys: Sequence[Any] = (),
    notes: Sequence[str] = (),
    rules: Sequence[float] = (),
    is_strong: Sequence[bool] = (),
) -> "go.Figure":
    """Return points on lines from ``low`` to ``high``, the first on top, each with its label above.

    ``rules``: values at which an upright line stands; ``is_strong``: whose colour is full (all by default).
    """
    figure = blank(theme, height=max(LEAST, len(labels) * ROW + 44))
    name = formats.of(unit)
    rows = [-place for place in range(len(labels))]
    strong = list(is_strong) or [True] * len(labels)
    told = [
        f"<b>{name(value)}</b>, between {name(least)} and {name(most)}<br>{label}{f'<br>{note}' if note else ''}"
        for value, least, most, label, note in zip(values, low, high, labels, notes or [""] * len(labels), strict=True)
    ]
    for is_full, colour in ((True, theme.main), (False, theme.muted)):
        mine = [at for at in range(len(labels)) if strong[at] is is_full]
        if not mine:
            continue
        ends: list[Any] = []
        for at in mine:
            ends += [(plain([low[at]])[0], rows[at]), (plain([high[at]])[0], rows[at]), (None, None)]
        figure.add_scatter(
            x=[x for x, _ in ends],
            y=[y for _, y in ends],
            mode="lines",
            line={"color": theme.faded(colour, 0.55), "width": 3},
            hoverinfo="skip",
        )
        figure.add_scatter(
            x=plain([values[at] for at in mine]),
            y=[rows[at] for at in mine],
            mode="markers",
            marker={"size": 10, "color": colour, "line": {"width": 1.5, "color": theme.ground}},
            hovertext=[told[at] for at in mine],
            hoverinfo="text",
            customdata=[keys[at] for at in mine] if keys else None,
        )
    ends_at = [float(each) for each in (*plain(low), *plain(high), *plain(values), *rules) if each is not None]
    least, most = min(ends_at or [0]), max(ends_at or [1])
    if unit in {"money", "count"}:
        least = min(least, 0.0)
    room = (most - least or 1) * 0.03
    for place, label in zip(rows, labels, strict=True):
        figure.add_annotation(
            x=0,
            xref="paper",
            y=place + 0.42,
            text=short_text(label, 46),
            showarrow=False,
            xanchor="left",
            yanchor="middle",
            font={"color": theme.text, "size": SIZE - 0.5},
        )
    for rule in rules:
        figure.add_vline(x=rule, line={"color": theme.muted, "width": 1, "dash": "dot"})
    figure.update_layout(showlegend=False, margin={"t": 4, "b": 4, "l": 2, "r": 6})
    figure.update_xaxes(
        **axis_of(formats, unit),
        range=[least - room, most + room],
        fixedrange=True,
        showgrid=True,
        gridcolor=theme.line,
    )
    figure.update_yaxes(visible=False, range=[-len(labels) + 0.55, 0.75], fixedrange=True)
    return figure


def scatter(
    theme: Theme,
    formats: Formats,
    x: Sequence[Any],
    y: Sequence[Any],
    hovers: Sequence[str],
    *,
    x_unit: str,
    y_unit: str,
    x_title: str,
    y_title: str,
    keys: Sequence[Any] = (),
    colours: Sequence[str] = (),
    height: int = 360,
) -> "go.Figure":
    """Return points by two values; ``keys`` are what a click hands back."""
    figure = blank(theme, height=height)
    figure.add_scatter(
        x=plain(x),
        y=plain(y),
        mode="markers",
        marker={"size": 8, "color": list(colours) or theme.main, "opacity": 0.7, "line": {"width": 0}},
        hovertext=list(hovers),
        hoverinfo="text",
        customdata=list(keys) or None,
    )
    figure.update_xaxes(**axis_of(formats, x_unit), title=x_title, showgrid=True, zeroline=True)
    figure.update_yaxes(**axis_of(formats, y_unit), title=y_title, zeroline=True)
    figure.update_layout(showlegend=False)
    return figure
