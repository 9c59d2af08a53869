"""Figures of what a table holds: how a column is spread, and how two columns go together."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shopkeeper.apps.charts.figures import LEAST, ROW, blank
from shopkeeper.apps.charts.formats import Formats
from shopkeeper.apps.charts.profiled import (
    Cell,
    bin_words,
    box_words,
    grid_cells,
    label,
    matrix,
    number,
    reach,
    share,
)
from shopkeeper.apps.charts.theme import SIZE, Theme

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from shopkeeper.serving.profiling import Box, Column, Correlation, Grid, Group, Moments, Numbers

SPREAD, BOX = 330, 0.2
"""Height of a histogram with its box plot, and the box plot's part of it."""
MOST_IN_MATRIX, MOST_WRITTEN = 24, 12
MOST_TICKS = 8
BAR, BRIGHT = 0.9, 0.6
"""Width of a bar in its bin; how bright a cell with words in it may be."""


def histogram(theme: Theme, column: "Column", told: "Numbers") -> "go.Figure":
    """Return a histogram with the box plot below it on the same axis; outliers in a colour of their own, grey at the ends all
    that lies beyond the axis.
    """
    figure = blank(theme, height=SPREAD)
    n, width = column.n_rows - column.n_missing, told.bins[0].high - told.bins[0].low
    is_single = told.is_whole and width == 1
    shift = 0.0 if is_single else width / 2
    bars = [
        (each.low + shift, each.n_rows, bin_words(told, each, n), _colour(theme, told.box, each.low, each.high))
        for each in told.bins
    ]
    if told.n_under:
        words = f"below {number(told.bins[0].low)}: {told.n_under:,} rows, {share(told.n_under, n)}"
        bars.insert(0, (told.bins[0].low - width + shift, told.n_under, words, theme.muted))
    if told.n_over:
        words = f"from {number(told.bins[-1].high)}: {told.n_over:,} rows, {share(told.n_over, n)}"
        bars.append((told.bins[-1].high + shift, told.n_over, words, theme.muted))
    figure.add_bar(
        x=[at for at, *_ in bars],
        y=[rows for _, rows, *_ in bars],
        width=width * BAR,
        marker={"color": [colour for *_, colour in bars], "line": {"width": 0}},
        hovertext=[words for *_, words, _ in bars],
        hoverinfo="text",
    )
    _box(figure, theme, told.box, column.name, y=column.name, axis="y2")
    beyond = [(at, words) for at, rows, words, colour in bars if colour != theme.main and rows]
    figure.add_scatter(
        x=[at for at, _ in beyond],
        y=[column.name] * len(beyond),
        yaxis="y2",
        mode="markers",
        marker={"size": 5, "color": theme.below, "opacity": 0.8},
        hovertext=[words for _, words in beyond],
        hoverinfo="text",
    )
    figure.update_layout(
        showlegend=False,
        bargap=0,
        yaxis={"domain": [BOX + 0.06, 1], "tickformat": "~s", "rangemode": "tozero"},
        yaxis2={"domain": [0, BOX], "visible": False, "fixedrange": True},
        xaxis={"anchor": "y2", "nticks": 9, "range": [bars[0][0] - width, bars[-1][0] + width]},
    )
    return figure


def _colour(theme: Theme, box: "Box", low: float, high: float) -> str:
    """Return a bar's colour: that of outliers if it lies beyond the whiskers as a whole."""
    return theme.below if low > box.upper_whisker or high <= box.lower_whisker else theme.main


def _box(figure: "go.Figure", theme: Theme, box: "Box", name: str, *, y: str | int, axis: str = "y") -> None:
    figure.add_box(
        q1=[box.q1],
        median=[box.median],
        q3=[box.q3],
        lowerfence=[box.lower_whisker],
        upperfence=[box.upper_whisker],
        y=[y],
        yaxis=axis,
        orientation="h",
        width=0.55,
        line={"color": theme.main, "width": 1.5},
        fillcolor=theme.faded(theme.main, 0.2),
        hoverinfo="skip",
        showlegend=False,
    )
    # A box of given quartiles tells only one of them when pointed at: the median tells all.
    figure.add_scatter(
        x=[box.median],
        y=[y],
        yaxis=axis,
        mode="markers",
        marker={"size": 9, "symbol": "diamond", "color": theme.main, "line": {"width": 1, "color": theme.ground}},
        hovertext=[box_words(box, name).replace("; ", "<br>")],
        hoverinfo="text",
        showlegend=False,
    )


def timeline(theme: Theme, formats: Formats, told: "Moments") -> "go.Figure":
    """Return rows per unit of time."""
    tell = formats.date if told.unit in {"day", "week", "month", "year"} else formats.moment
    figure = blank(theme, height=SPREAD)
    figure.add_bar(
        x=[begin for begin, _ in told.bins],
        y=[n for _, n in told.bins],
        marker={"color": theme.main, "line": {"width": 0}},
        hovertext=[f"{told.unit} from {tell(begin)}: {n:,} rows" for begin, n in told.bins],
        hoverinfo="text",
    )
    figure.update_layout(showlegend=False, bargap=0.1, yaxis={"tickformat": "~s", "rangemode": "tozero"})
    return figure


def correlated(theme: Theme, found: "Sequence[Correlation]") -> "go.Figure":
    """Return the matrix of correlations, Pearson above and Spearman below the diagonal; written out where there is room."""
    names, rows = matrix(found, MOST_IN_MATRIX)
    figure = blank(theme, height=max(LEAST + 80, len(names) * ROW + 110))
    _tinted(figure, theme, names, names, rows, is_diverging=True, is_written=len(names) <= MOST_WRITTEN)
    figure.update_xaxes(side="top", tickangle=-90)
    return figure


def counts(theme: Theme, grid: "Grid", across: str, down: str, *, is_share: bool) -> "go.Figure":
    """Return rows counted by two columns: a cross table of texts in per cent of each line, else tints by order of size."""
    rows = grid_cells(grid, across, down, is_share=is_share)
    lines = list(grid.down)
    if is_share:
        height = max(LEAST, len(lines) * (ROW + 2) + 110)
    else:
        height = 420
        rows, lines = rows[::-1], lines[::-1]
    figure = blank(theme, height=height)
    columns = [label(name, 18) for name in grid.across]
    _tinted(figure, theme, columns, [label(line, 20) for line in lines], rows, is_written=is_share)
    figure.update_xaxes(title={"text": across})
    figure.update_yaxes(title={"text": down})
    if not is_share:
        for update, names in ((figure.update_xaxes, columns), (figure.update_yaxes, lines)):
            step = -(-len(names) // MOST_TICKS)
            places = list(range(0, len(names), step)) if names is columns else list(range(len(names) - 1, -1, -step))
            update(tickvals=places, ticktext=[names[place] for place in places], tickangle=0)
    return figure


def _tinted(
    figure: "go.Figure",
    theme: Theme,
    columns: Sequence[str],
    lines: Sequence[str],
    rows: "Sequence[Sequence[Cell]]",
    *,
    is_diverging: bool = False,
    is_written: bool = False,
) -> None:
    # In the dark, words can be read on what is not too bright.
    most = 1 / BRIGHT if is_written and theme.name == "dark" else 1.0
    figure.add_heatmap(
        x=list(range(len(columns))),
        y=list(range(len(lines))),
        z=[[each.value for each in row] for row in rows],
        zmin=-most if is_diverging else 0,
        zmax=most,
        colorscale=[list(step) for step in theme.diverging]
        if is_diverging
        else [[place / (len(theme.ramp) - 1), colour] for place, colour in enumerate(theme.ramp)],
        xgap=1,
        ygap=1,
        showscale=False,
        hovertext=[[each.words for each in row] for row in rows],
        hoverinfo="text",
        text=[[each.shown for each in row] for row in rows] if is_written else None,
        texttemplate="%{text}" if is_written else None,
        textfont={"size": 11, **({"color": theme.text} if most > 1 else {})},
    )
    figure.update_xaxes(tickvals=list(range(len(columns))), ticktext=list(columns), showgrid=False, ticks="")
    figure.update_yaxes(
        tickvals=list(range(len(lines))), ticktext=list(lines), showgrid=False, ticks="", autorange="reversed"
    )


def boxes(theme: Theme, groups: "Sequence[Group]", name: str) -> "go.Figure":
    """Return a lying box plot for each value of a text, the most frequent on top, its label above it."""
    figure = blank(theme, height=max(LEAST, len(groups) * (ROW + 20) + 48))
    low, high = reach(groups)
    room = (high - low or 1.0) * 0.03
    for y, group in zip(range(len(groups) - 1, -1, -1), groups, strict=True):
        _box(figure, theme, group.box, group.value, y=y)
        figure.add_annotation(
            xref="paper",
            x=0,
            y=y,
            yshift=19,
            text=f"{label(group.value, 28)}  <span style='color:{theme.muted}'>median {number(group.box.median)}, "
            f"{group.n_rows:,} rows</span>",
            showarrow=False,
            xanchor="left",
            font={"size": SIZE - 1, "color": theme.text},
        )
    figure.update_xaxes(range=[low - room, high + room], title={"text": name})
    figure.update_yaxes(visible=False, range=[-0.6, len(groups) - 0.3], fixedrange=True)
    return figure
