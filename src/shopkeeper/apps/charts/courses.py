"""Figures of what was and what is expected: sold units that go on as a forecast within its band, and correlations by lag."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shopkeeper.apps.charts.figures import Series, blank, lines, plain
from shopkeeper.apps.charts.formats import Formats
from shopkeeper.apps.charts.theme import Theme

if TYPE_CHECKING:
    import plotly.graph_objects as go


def ahead(theme: Theme, formats: Formats, rows: Sequence[Mapping[str, Any]], *, is_weekly: bool) -> "go.Figure":
    """Return units sold, then units expected with their band; ``rows`` hold day, sold, units, units_low and units_high."""
    columns = {name: [row[name] for row in rows] for name in ("day", "sold", "units", "units_low", "units_high")}
    figure = lines(
        theme,
        formats,
        columns["day"],
        [
            Series("sold", columns["sold"], "count", colour=theme.muted),
            Series(
                "expected", columns["units"], "count", columns["units_low"], columns["units_high"], colour=theme.main
            ),
        ],
        height=360,
        x_unit="date",
    )
    first = next((row["day"] for row in rows if row["units"] is not None), None)
    if first is not None:
        figure.add_vline(x=first, line={"color": theme.line, "width": 1.5})
    figure.update_yaxes(title="units a week" if is_weekly else "units a day")
    return figure


def stems(
    theme: Theme, formats: Formats, lags: Sequence[int], values: Sequence[Any], bounds: Sequence[Any]
) -> "go.Figure":
    """Return a bar for each lag, in full colour beyond the dotted bounds that chance alone keeps to."""
    figure = blank(theme, height=260)
    figure.add_bar(
        x=list(lags),
        y=plain(values),
        width=0.55,
        marker={
            "color": [
                theme.main if abs(value) > bound else theme.faded(theme.main, 0.35)
                for value, bound in zip(values, bounds, strict=True)
            ],
            "line": {"width": 0},
        },
        hovertext=[
            f"<b>{formats.number(value)}</b><br>with {lag} open day{'s' if lag != 1 else ''} before"
            for lag, value in zip(lags, values, strict=True)
        ],
        hoverinfo="text",
    )
    for sign in (1, -1):
        figure.add_scatter(
            x=list(lags),
            y=[sign * bound for bound in bounds],
            mode="lines",
            line={"color": theme.muted, "width": 1, "dash": "dot"},
            hoverinfo="skip",
        )
    figure.update_layout(showlegend=False, barcornerradius=2)
    figure.update_xaxes(title="open days before", dtick=7)
    figure.update_yaxes(zeroline=True)
    return figure
