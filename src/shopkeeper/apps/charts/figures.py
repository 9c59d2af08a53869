"""Figures of plain columns: lines over time, bars, heat maps, treemaps, what adds up to a change.

Each takes its theme and formats first, then columns of equal length. Values that lead on carry ``customdata``: the key that a
click hands back. Hover texts are made here, in the shop's formats, so that no number is told in two ways.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shopkeeper.apps.charts.formats import Formats
from shopkeeper.apps.charts.theme import SIZE, Theme, template

if TYPE_CHECKING:
    import plotly.graph_objects as go

HEIGHT, ROW, LEAST = 300, 26, 120
LONGEST, MOST_POINTS = 34, 40
NOT_WHOLE = "<br>not a whole period"
MONEY = {"money", "gain", "price"}


@dataclass(frozen=True)
class Series:
    """One line or set of bars: its name, its values, their unit; ``low`` and ``high`` the ends of an interval around them."""

    name: str
    values: Sequence[Any]
    unit: str = "money"
    low: Sequence[Any] = ()
    high: Sequence[Any] = ()
    is_dashed: bool = False
    colour: str = ""


def blank(theme: Theme, *, height: int = HEIGHT) -> "go.Figure":
    """Return an empty figure in a theme."""
    import plotly.graph_objects as go

    return go.Figure(layout={"template": template(theme), "height": height})


def axis_of(formats: Formats, unit: str) -> dict[str, Any]:
    """Return how an axis tells a unit in short."""
    if unit in MONEY:
        return {"tickprefix": formats.symbol, "tickformat": "~s"}
    if unit in {"share", "change", "points"}:
        return {"tickformat": ",.0%"}
    return {"tickformat": "~s"} if unit == "count" else {}


def plain(values: Sequence[Any]) -> list[Any]:
    """Return values as plotly takes them: decimals as floats, the rest as they are."""
    return [float(value) if hasattr(value, "as_tuple") else value for value in values]


def lines(
    theme: Theme,
    formats: Formats,
    x: Sequence[Any],
    series: Sequence[Series],
    *,
    x_unit: str = "date",
    is_whole: Sequence[bool] = (),
    is_filled: bool = False,
    height: int = HEIGHT,
    keys: Sequence[Any] = (),
) -> "go.Figure":
    """Return lines over days, periods or numbers.

    ``is_whole``: what the data do not cover whole is drawn as open points; ``is_filled``: the ground below one line is tinted.
    """
    figure = blank(theme, height=height)
    told = [formats.of(x_unit)(value) for value in x]
    for place, each in enumerate(series):
        colour = each.colour or theme.colours[place % len(theme.colours)]
        name = formats.of(each.unit)
        if each.low and each.high:
            _interval(figure, x, each, theme.faded(colour, 0.18))
        whole = list(is_whole) or [True] * len(told)
        hover = [
            f"<b>{name(value)}</b> {each.name}<br>{when}{_between(each, row, name)}{'' if whole[row] else NOT_WHOLE}"
            for row, (value, when) in enumerate(zip(each.values, told, strict=True))
        ]
        values = plain(each.values)
        figure.add_scatter(
            x=plain(x),
            y=values,
            name=each.name,
            mode="markers" if not all(whole) else "lines+markers" if _has_room(x, each) else "lines",
            line={"color": colour, "width": 2, "dash": "dot" if each.is_dashed else "solid"},
            marker={
                "size": 6 if _has_room(x, each) else 1,
                "color": [colour if is_one else theme.ground for is_one in whole],
                "line": {"color": colour, "width": 1.5},
            },
            fill="tozeroy" if is_filled and place == 0 and all(whole) else None,
            fillcolor=theme.faded(colour, 0.08),
            hovertext=hover,
            hoverinfo="text",
            customdata=list(keys) or None,
            connectgaps=False,
        )
        if not all(whole):
            _in_parts(
                figure, x, values, whole, colour, tint=theme.faded(colour, 0.08) if is_filled and place == 0 else ""
            )
    figure.update_layout(showlegend=len(series) > 1, yaxis=axis_of(formats, series[0].unit))
    figure.update_yaxes(rangemode="tozero")
    if x_unit in {"date", "month", "period"}:
        figure.update_xaxes(tickformatstops=_days())
    elif x_unit in MONEY:
        figure.update_xaxes(tickprefix=formats.symbol)
    return figure


def bars(
    theme: Theme,
    formats: Formats,
    labels: Sequence[str],
    series: Sequence[Series],
    *,
    keys: Sequence[Any] = (),
    is_stacked: bool = False,
    label_unit: str = "text",
    height: int = HEIGHT,
) -> "go.Figure":
    """Return upright bars, beside one another or stacked."""
    figure = blank(theme, height=height)
    told = [formats.of(label_unit)(label) for label in labels]
    for place, each in enumerate(series):
        name = formats.of(each.unit)
        figure.add_bar(
            x=list(labels),
            y=plain(each.values),
            name=each.name,
            marker={"color": each.colour or theme.colours[place % len(theme.colours)], "line": {"width": 0}},
            hovertext=[
                f"<b>{name(value)}</b> {each.name}<br>{label}" for value, label in zip(each.values, told, strict=True)
            ],
            hoverinfo="text",
            customdata=list(keys) or None,
        )
    figure.update_layout(
        barmode="relative" if is_stacked else "group",
        bargap=0.3,
        barcornerradius=3,
        showlegend=len(series) > 1,
        yaxis=axis_of(formats, series[0].unit),
    )
    if label_unit in {"date", "month", "period"}:
        figure.update_xaxes(tickformatstops=_days())
    return figure


def ranking(
    theme: Theme,
    formats: Formats,
    labels: Sequence[str],
    values: Sequence[Any],
    *,
    unit: str = "money",
    keys: Sequence[Any] = (),
    notes: Sequence[str] = (),
) -> "go.Figure":
    """Return bars that lie, the first on top, each with its label above it and its value at its end; readable on a phone."""
    figure = blank(theme, height=max(LEAST, len(labels) * (ROW + 16) + 16))
    name = formats.of(unit)
    short = formats.short_money if unit == "money" else name
    places = list(range(len(labels)))[::-1]
    figure.add_bar(
        x=plain(values),
        y=places,
        orientation="h",
        width=0.42,
        marker={"color": [theme.main if value >= 0 else theme.below for value in plain(values)], "line": {"width": 0}},
        text=[short(value) for value in values],
        textposition="outside",
        textfont={"color": theme.text},
        cliponaxis=False,
        hovertext=[
            f"<b>{name(value)}</b><br>{label}{f'<br>{note}' if note else ''}"
            for value, label, note in zip(values, labels, notes or [""] * len(labels), strict=True)
        ],
        hoverinfo="text",
        customdata=list(keys) or None,
    )
    most = max([float(value) for value in values] or [0])
    for place, label in zip(places, labels, strict=True):
        figure.add_annotation(
            xref="paper",
            x=0,
            y=place + 0.4,
            text=short_text(label),
            showarrow=False,
            xanchor="left",
            yanchor="middle",
            font={"color": theme.text, "size": 12.5},
        )
    least = min([0.0, *plain(values)])
    figure.update_layout(bargap=0.5, barcornerradius=3, margin={"t": 0, "b": 0, "l": 0, "r": 4}, showlegend=False)
    room = 0.18 * (max(most, 0.0) - least) or 1.0
    span = [least - room if least < 0 else 0.0, max(most, 0.0) + (room if most > 0 else 0.02 * room)]
    figure.update_xaxes(visible=False, range=span, fixedrange=True)
    figure.update_yaxes(visible=False, range=[-0.5, len(labels) - 0.3], fixedrange=True)
    return figure


def heat(
    theme: Theme,
    formats: Formats,
    columns: Sequence[Any],
    rows: Sequence[str],
    cells: Sequence[Sequence[Any]],
    *,
    unit: str = "money",
    column_unit: str = "month",
    is_logarithmic: bool = False,
    is_diverging: bool = False,
    shows_values: bool = False,
    longest: int = 24,
) -> "go.Figure":
    """Return a heat map: ``cells`` row by row.

    ``is_logarithmic``: tinted by order of size; what is nought or less has no tint then.
    """
    figure = blank(theme, height=max(LEAST, len(rows) * (ROW + 2) + 48))
    name, when = formats.of(unit), formats.of(column_unit)
    short: Callable[[Any], str] = formats.short_money if unit == "money" else name
    figure.add_heatmap(
        x=list(range(len(columns))),
        y=list(range(len(rows))),
        z=[[_tint(cell, is_logarithmic=is_logarithmic) for cell in plain(row)] for row in cells],
        colorscale=[list(step) for step in theme.diverging]
        if is_diverging
        else [[place / (len(theme.ramp) - 1), colour] for place, colour in enumerate(theme.ramp)],
        zmid=0 if is_diverging else None,
        xgap=2,
        ygap=2,
        showscale=False,
        hovertext=[
            [f"<b>{name(value)}</b><br>{row}, {when(column)}" for value, column in zip(line, columns, strict=True)]
            for row, line in zip(rows, cells, strict=True)
        ],
        hoverinfo="text",
        text=[[short(value) if value is not None else "" for value in line] for line in cells]
        if shows_values
        else None,
        texttemplate="%{text}" if shows_values else None,
        textfont={"size": 11},
    )
    figure.update_yaxes(
        autorange="reversed",
        showgrid=False,
        ticks="",
        tickmode="array",
        tickvals=list(range(len(rows))),
        ticktext=[short_text(row, longest) for row in rows],
    )
    figure.update_xaxes(
        side="top",
        ticks="",
        tickangle=0,
        tickfont={"size": 10},
        showgrid=False,
        tickmode="array",
        tickvals=list(range(len(columns))),
        ticktext=_months(formats, columns) if column_unit == "month" else [when(column) for column in columns],
    )
    return figure


def _months(formats: Formats, months: Sequence[Any]) -> list[str]:
    """Return the names of months in a row, the year below each January and, where there is room, below the first."""
    is_next_january = len(months) > 1 and months[1].month == 1
    return [
        f"{formats.month_name(month)[:3]}<br>{month.year if month.month == 1 or (place == 0 and not is_next_january) else ' '}"
        for place, month in enumerate(months)
    ]


def treemap(
    theme: Theme,
    formats: Formats,
    labels: Sequence[str],
    values: Sequence[Any],
    *,
    unit: str = "money",
    height: int = 340,
) -> "go.Figure":
    """Return parts of a whole as areas; what is nought or less has none and is left out."""
    figure = blank(theme, height=height)
    told = [(label, value) for label, value in zip(labels, plain(values), strict=True) if value > 0]
    total = sum(value for _, value in told) or 1
    name = formats.of(unit)
    figure.add_treemap(
        labels=[label for label, _ in told],
        values=[value for _, value in told],
        parents=[""] * len(told),
        customdata=[label for label, _ in told],
        marker={
            "colors": [theme.faded(theme.main, 0.35 + 0.65 * (value / total) ** 0.5) for _, value in told],
            "line": {"width": 2, "color": theme.ground},
            "cornerradius": 3,
        },
        texttemplate="%{label}<br>%{percentRoot:.1%}",
        textposition="middle center",
        textfont={"color": "#ffffff" if theme.name == "light" else theme.ground, "size": 13},
        hovertext=[
            f"<b>{name(value)}</b><br>{label}<br>{formats.share(value / total)} of all" for label, value in told
        ],
        hoverinfo="text",
        tiling={"pad": 2},
        pathbar={"visible": False},
    )
    figure.update_layout(margin={"l": 0, "r": 0, "t": 0, "b": 0}, uniformtext={"minsize": 10, "mode": "hide"})
    return figure


def steps(
    theme: Theme,
    formats: Formats,
    labels: Sequence[str],
    changes: Sequence[Any],
    *,
    start: tuple[str, Any],
    end: tuple[str, Any],
) -> "go.Figure":
    """Return how one amount becomes another, from the top down: ``start``, each change, and ``end``, which they add up to."""
    names = [start[0], *labels, end[0]]
    values = [start[1], *changes, end[1]]
    figure = blank(theme, height=max(LEAST, len(names) * 34 + 24))
    told = [formats.money(value) for value in values]
    figure.add_waterfall(
        y=names,
        x=plain(values),
        orientation="h",
        measure=["absolute", *["relative"] * len(labels), "total"],
        text=[
            formats.short_money(value)
            if place in {0, len(values) - 1} or value <= 0
            else f"+{formats.short_money(value)}"
            for place, value in enumerate(values)
        ],
        textposition="outside",
        textfont={"color": theme.text, "size": SIZE},
        constraintext="none",
        cliponaxis=False,
        hovertext=[f"<b>{value}</b><br>{name}" for name, value in zip(names, told, strict=True)],
        hoverinfo="text",
        connector={"line": {"color": theme.line, "width": 1}},
        increasing={"marker": {"color": theme.above}},
        decreasing={"marker": {"color": theme.below}},
        totals={"marker": {"color": theme.muted}},
    )
    reached = [float(start[1])]
    for change in changes:
        reached.append(reached[-1] + float(change))
    most = max([*reached, 0.0])
    figure.update_layout(showlegend=False, waterfallgap=0.35)
    figure.update_xaxes(visible=False, range=[min([*reached, 0.0]) * 1.2, most * 1.3 or 1], fixedrange=True)
    figure.update_yaxes(
        autorange="reversed", showgrid=False, ticks="", fixedrange=True, tickfont={"color": theme.text, "size": SIZE}
    )
    return figure


def stems(
    theme: Theme, formats: Formats, days: Sequence[Any], values: Sequence[Any], *, notes: Sequence[str] = ()
) -> "go.Figure":
    """Return single amounts on their days, each on a thin stem; what is below nought in the colour of what came back."""
    figure = blank(theme, height=260)
    numbers = plain(values)
    for is_gain, colour in ((True, theme.main), (False, theme.below)):
        each = [place for place, value in enumerate(numbers) if (value >= 0) == is_gain]
        figure.add_scatter(
            x=[when for place in each for when in (days[place], days[place], None)],
            y=[value for place in each for value in (0, numbers[place], None)],
            mode="lines",
            line={"color": theme.faded(colour, 0.45), "width": 1.5},
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            x=[days[place] for place in each],
            y=[numbers[place] for place in each],
            mode="markers",
            marker={"size": 8, "color": colour, "line": {"width": 1, "color": theme.ground}},
            hovertext=[
                f"<b>{formats.money(values[place])}</b><br>{formats.date(days[place])}"
                + (f"<br>{notes[place]}" if notes else "")
                for place in each
            ],
            hoverinfo="text",
            showlegend=False,
        )
    figure.update_layout(yaxis={**axis_of(formats, "money"), "zeroline": True})
    figure.update_xaxes(tickformatstops=_days())
    return figure


def marked(figure: "go.Figure", theme: Theme, formats: Formats, prices: Mapping[str, Any]) -> "go.Figure":
    """Return a figure over prices with a line at each that is named and known."""
    for place, (name, price) in enumerate((name, price) for name, price in prices.items() if price is not None):
        figure.add_vline(
            x=float(price),
            line={"color": theme.muted, "width": 1, "dash": "dash"},
            annotation={
                "text": f"{name} {formats.price(price)}",
                "font": {"color": theme.muted},
                "yshift": -18 * place,
                "showarrow": False,
            },
        )
    return figure


def short_text(text: str, most: int = LONGEST) -> str:
    """Return a text cut where it is too long for a label."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _has_room(x: Sequence[Any], series: Series) -> bool:
    return len(x) <= MOST_POINTS and not series.is_dashed


def _in_parts(
    figure: "go.Figure", x: Sequence[Any], values: Sequence[Any], whole: Sequence[bool], colour: str, *, tint: str
) -> None:
    """Draw the line under points: solid between whole periods, dotted to and from those that are not whole."""
    for is_solid in (True, False):
        y: list[Any] = []
        when: list[Any] = []
        for place in range(len(x) - 1):
            if (whole[place] and whole[place + 1]) == is_solid:
                when += [x[place], x[place + 1], None]
                y += [values[place], values[place + 1], None]
        figure.add_scatter(
            x=when,
            y=y,
            mode="lines",
            line={"color": colour, "width": 2 if is_solid else 1.5, "dash": "solid" if is_solid else "dot"},
            fill="tozeroy" if tint and is_solid else None,
            fillcolor=tint or None,
            hoverinfo="skip",
            showlegend=False,
        )


def _interval(figure: "go.Figure", x: Sequence[Any], series: Series, colour: str) -> None:
    pairs = [
        (when, low, high)
        for when, low, high in zip(x, plain(series.low), plain(series.high), strict=True)
        if low is not None
    ]
    figure.add_scatter(
        x=[when for when, _, _ in pairs] + [when for when, _, _ in reversed(pairs)],
        y=[low for _, low, _ in pairs] + [high for _, _, high in reversed(pairs)],
        mode="lines",
        fill="toself",
        fillcolor=colour,
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
    )


def _tint(value: Any, *, is_logarithmic: bool) -> Any:
    if value is None or not is_logarithmic:
        return value
    return math.log10(value) if value > 0 else None


def _between(series: Series, row: int, name: Callable[[Any], str]) -> str:
    if not (series.low and series.high) or series.low[row] is None:
        return ""
    return f"<br>between {name(series.low[row])} and {name(series.high[row])}"


def _days() -> list[dict[str, Any]]:
    """Return how an axis of days reads at each distance."""
    return [
        {"dtickrange": [None, 86_400_000 * 20], "value": "%-d %b"},
        {"dtickrange": [86_400_000 * 20, "M11"], "value": "%b<br>%Y"},
        {"dtickrange": ["M11", None], "value": "%Y"},
    ]
