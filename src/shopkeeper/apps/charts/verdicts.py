"""Figures of how models were judged: contenders with their intervals, calibration, gain, lift, called and true."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shopkeeper.apps.charts.figures import LEAST, Series, axis_of, blank, lines, plain
from shopkeeper.apps.charts.formats import Formats
from shopkeeper.apps.charts.theme import SIZE, Theme

if TYPE_CHECKING:
    import plotly.graph_objects as go

ROW = 46
SHARES = {"share", "change"}


def contenders(
    theme: Theme,
    formats: Formats,
    names: Sequence[str],
    values: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    roles: Sequence[str],
    *,
    against: float | None = None,
) -> "go.Figure":
    """Return a point with its interval for each contender, baselines hollow, the chosen one filled; readable on a phone.

    ``against``: the value of the baseline that counts, drawn as a line.
    """
    figure = blank(theme, height=max(LEAST, len(names) * ROW + 40))
    places = list(range(len(names)))[::-1]
    colours = [theme.main if role == "chosen" else theme.muted for role in roles]
    for place, low, high, colour in zip(places, lows, highs, colours, strict=True):
        figure.add_scatter(
            x=[low, high],
            y=[place, place],
            mode="lines",
            line={"color": theme.faded(colour, 0.45), "width": 5},
            hoverinfo="skip",
        )
    told = [formats.number(value) for value in values]
    figure.add_scatter(
        x=list(values),
        y=places,
        mode="markers+text",
        marker={
            "size": 12,
            "color": [
                theme.ground if role == "baseline" else colour for role, colour in zip(roles, colours, strict=True)
            ],
            "line": {"color": colours, "width": 2.5},
        },
        text=told,
        textposition="top center",
        textfont={"color": theme.text},
        hovertext=[
            f"<b>{value}</b><br>{name} ({role})<br>between {formats.number(low)} and {formats.number(high)}"
            for value, name, role, low, high in zip(told, names, roles, lows, highs, strict=True)
        ],
        hoverinfo="text",
        cliponaxis=False,
    )
    if against is not None:
        figure.add_vline(x=against, line={"color": theme.muted, "width": 1, "dash": "dot"}, layer="below")
    figure.update_layout(showlegend=False)
    figure.update_xaxes(showgrid=True)
    figure.update_yaxes(
        tickvals=places,
        ticktext=[
            f"{name}<br>{role}" if role != "candidate" else name for name, role in zip(names, roles, strict=True)
        ],
        range=[-0.6, len(names) - 0.35],
        showgrid=False,
        ticks="",
        fixedrange=True,
        tickfont={"color": theme.text, "size": SIZE},
    )
    return figure


def curve(
    theme: Theme,
    formats: Formats,
    x: Sequence[Any],
    series: Sequence[Series],
    *,
    x_unit: str,
    x_title: str,
    y_title: str,
    marked: tuple[float, float] | None = None,
) -> "go.Figure":
    """Return curves over shares or numbers, with titles on both axes; ``marked``: the point that the title speaks of."""
    figure = lines(theme, formats, x, series, x_unit=x_unit)
    if marked:
        figure.add_scatter(
            x=[marked[0]],
            y=[marked[1]],
            mode="markers",
            marker={"size": 11, "color": theme.below, "line": {"color": theme.ground, "width": 2}},
            hoverinfo="skip",
            showlegend=False,
        )
    figure.update_xaxes(title_text=x_title, **(axis_of(formats, x_unit) if x_unit in SHARES else {}))
    figure.update_yaxes(title_text=y_title)
    return figure


def calibration(
    theme: Theme,
    formats: Formats,
    predicted: Sequence[float],
    observed: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    n: Sequence[int],
) -> "go.Figure":
    """Return what was predicted against what came true, with intervals, and the line on which both are equal."""
    figure = blank(theme)
    most = min(1.0, 1.08 * max(*high, *predicted))
    figure.add_scatter(
        x=[0, most],
        y=[0, most],
        mode="lines",
        name="as predicted",
        line={"color": theme.muted, "dash": "dot", "width": 1.5},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=list(predicted),
        y=list(observed),
        name="as it came",
        mode="lines+markers",
        line={"color": theme.main, "width": 2},
        marker={"size": 8},
        error_y={
            "type": "data",
            "symmetric": False,
            # A bound may stand a rounding beyond a share of exactly 0 or 1.
            "array": [max(top - value, 0) for top, value in zip(high, observed, strict=True)],
            "arrayminus": [max(value - bottom, 0) for bottom, value in zip(low, observed, strict=True)],
            "color": theme.faded(theme.main, 0.45),
            "thickness": 2.5,
            "width": 0,
        },
        hovertext=[
            f"<b>{formats.share(came)}</b> came true<br>{formats.share(said)} predicted<br>between {formats.share(bottom)} and "
            f"{formats.share(top)}<br>{formats.count(rows)} rows"
            for said, came, bottom, top, rows in zip(predicted, observed, low, high, n, strict=True)
        ],
        hoverinfo="text",
    )
    share = axis_of(formats, "share")
    figure.update_xaxes(title_text="predicted chance", range=[0, most], **share)
    figure.update_yaxes(title_text="share that came true", range=[0, most], **share)
    return figure


def confusion(theme: Theme, formats: Formats, cells: Sequence[Sequence[int]]) -> "go.Figure":
    """Return the four cells of what was true (rows: no, yes) and what was called (columns: no, yes)."""
    figure = blank(theme)
    sums = [sum(row) or 1 for row in cells]
    shares = [[value / total for value in row] for row, total in zip(cells, sums, strict=True)]
    steps = len(theme.ramp) - 1
    figure.add_heatmap(
        x=["called no", "called yes"],
        y=["truly no", "truly yes"],
        z=shares,
        zmin=0,
        zmax=1.3,
        colorscale=[[place / steps, colour] for place, colour in enumerate(theme.ramp)],
        showscale=False,
        xgap=3,
        ygap=3,
        text=[
            [
                f"<b>{formats.count(value)}</b><br>{formats.share(share)} of these"
                for value, share in zip(row, line, strict=True)
            ]
            for row, line in zip(cells, shares, strict=True)
        ],
        texttemplate="%{text}",
        textfont={"size": 14},
        hoverinfo="skip",
    )
    figure.update_yaxes(autorange="reversed", showgrid=False, ticks="")
    figure.update_xaxes(side="top", ticks="")
    return figure


def pairs(
    theme: Theme,
    formats: Formats,
    labels: Sequence[Any],
    one: Series,
    other: Series,
    *,
    x_title: str,
    y_title: str,
) -> "go.Figure":
    """Return two values for each label, joined by a stroke, told apart by shape as well as colour: expected and actual."""
    figure = blank(theme)
    at = [str(label) for label in labels]
    for x, low, high in zip(at, plain(one.values), plain(other.values), strict=True):
        figure.add_scatter(
            x=[x, x],
            y=[low, high],
            mode="lines",
            line={"color": theme.line, "width": 2},
            hoverinfo="skip",
            showlegend=False,
        )
    for each, colour, symbol in ((one, theme.colours[1], "square-open"), (other, theme.main, "circle")):
        tell = formats.of(each.unit)
        figure.add_scatter(
            x=at,
            y=plain(each.values),
            name=each.name,
            mode="markers",
            marker={"size": 10, "color": colour, "symbol": symbol, "line": {"width": 2}},
            hovertext=[
                f"<b>{tell(value)}</b> {each.name}<br>{label}" for value, label in zip(each.values, at, strict=True)
            ],
            hoverinfo="text",
        )
    figure.update_xaxes(title_text=x_title, type="category")
    figure.update_yaxes(title_text=y_title, rangemode="tozero", **axis_of(formats, one.unit))
    return figure


def cloud(
    theme: Theme,
    formats: Formats,
    x: Sequence[float],
    y: Sequence[float],
    kinds: Sequence[str],
    *,
    x_title: str,
    y_title: str,
) -> "go.Figure":
    """Return points on logarithmic scales, one colour and shape for each kind, and the line on which both are equal."""
    figure = blank(theme)
    most = max([*x, *y, 2.0])
    figure.add_scatter(
        x=[1, most],
        y=[1, most],
        mode="lines",
        name="as before",
        line={"color": theme.muted, "dash": "dot", "width": 1.5},
        hoverinfo="skip",
    )
    for place, kind in enumerate(dict.fromkeys(kinds)):
        mine = [each for each, name in enumerate(kinds) if name == kind]
        figure.add_scatter(
            x=[x[each] for each in mine],
            y=[y[each] for each in mine],
            name=f"{kind} ({formats.count(len(mine))})",
            mode="markers",
            marker={
                "size": 6,
                "opacity": 0.6,
                "color": theme.colours[0] if place == 0 else theme.below,
                "symbol": "circle" if place == 0 else "x",
            },
            hovertext=[
                f"<b>{formats.number(y[each])}</b> later<br>{formats.number(x[each])} when found" for each in mine
            ],
            hoverinfo="text",
        )
    figure.update_xaxes(title_text=x_title, type="log", showgrid=True, dtick=1)
    figure.update_yaxes(title_text=y_title, type="log", dtick=1)
    return figure
