"""The curves of one model's report, each with a title that says in a sentence what is to be seen. Part of the page Models."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import streamlit as st

from shopkeeper.apps.charts import verdicts
from shopkeeper.apps.charts.figures import Series
from shopkeeper.apps.dashboard.parts import chart
from shopkeeper.apps.dashboard.view import View
from shopkeeper.serving.exhibits import Shown, models

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

TWO = 430
WHO = {"churn": "those who left", "labels": "the positives"}
"""Subject → who its positives are."""
Drawn = tuple[str, "Callable[[], Figure]"]
FEW = 3


def show_curves(view: View, subject: str, found: Mapping[str, Shown]) -> None:
    """Show what a model's predictions came to on held-out rows."""
    with st.grid(2, min_column_width=TWO, gap="small", key=f"curves-{subject}"):
        for kind, shown in found.items():
            title, figure = KINDS[kind](view, shown, WHO.get(subject, "the positives"))
            chart(view, shown, figure, title=title, definition=f"{shown.exhibit.title}. {shown.exhibit.definition}")


def _calibration(view: View, shown: Shown, who: str) -> Drawn:  # noqa: ARG001 - all kinds are called alike
    columns = {name: shown.column(name) for name in ("predicted", "observed", "low", "high", "n")}
    inside = sum(row["low"] <= row["predicted"] <= row["high"] for row in shown.rows)
    title = f"In {inside} of {len(shown.rows)} groups the predicted chance lies within what came true"
    return title, lambda: verdicts.calibration(view.theme, view.formats, **columns)


def _gain(view: View, shown: Shown, who: str) -> Drawn:
    height = models.at(shown, "share_of_rows", "share_of_positives", 0.2)
    share = shown.column("share_of_rows")
    series = [
        Series("by score", shown.column("share_of_positives"), "share"),
        Series("in random order", share, "share", is_dashed=True, colour=view.theme.muted),
    ]
    return f"The 20 % with the highest scores hold {view.formats.share(height)} of {who}", lambda: verdicts.curve(
        view.theme,
        view.formats,
        share,
        series,
        x_unit="share",
        x_title="share of rows, the highest scores first",
        y_title=f"share of {who}",
        marked=(0.2, height),
    )


def _lift(view: View, shown: Shown, who: str) -> Drawn:
    height = models.at(shown, "share_of_rows", "lift", 0.1)
    share = shown.column("share_of_rows")
    series = [
        Series("times the average", shown.column("lift"), "number"),
        Series("random choice", [1.0] * len(share), "number", is_dashed=True, colour=view.theme.muted),
    ]
    title = f"The top 10 % are among {who} {view.formats.number(round(height, 1))} times as often as all"
    return title, lambda: verdicts.curve(
        view.theme,
        view.formats,
        share,
        series,
        x_unit="share",
        x_title="share of rows, the highest scores first",
        y_title="times the average",
        marked=(0.1, height),
    )


def _roc(view: View, shown: Shown, who: str) -> Drawn:
    false = shown.column("false_positive_rate")
    area = models.area(shown, "false_positive_rate", "true_positive_rate")
    series = [
        Series("by score", shown.column("true_positive_rate"), "share"),
        Series("guessing", false, "share", is_dashed=True, colour=view.theme.muted),
    ]
    return f"One of {who} scores above another {view.formats.share(area)} of the time", lambda: verdicts.curve(
        view.theme,
        view.formats,
        false,
        series,
        x_unit="share",
        x_title="share of the others called by mistake",
        y_title=f"share of {who} found",
    )


def _pr(view: View, shown: Shown, who: str) -> Drawn:
    height = models.at(shown, "recall", "precision", 0.5)
    series = [Series("precision", shown.column("precision"), "share")]
    title = f"To find half of {who}, {view.formats.share(height)} of those called are right"
    return title, lambda: verdicts.curve(
        view.theme,
        view.formats,
        shown.column("recall"),
        series,
        x_unit="share",
        x_title=f"share of {who} found",
        y_title="share of those called that are right",
        marked=(0.5, height),
    )


def _confusion(view: View, shown: Shown, who: str) -> Drawn:
    cells = [[0, 0], [0, 0]]
    for row in shown.rows:
        cells[row["truth"]][row["predicted"]] = row["n"]
    called = cells[0][1] + cells[1][1]
    title = f"{view.formats.count(called)} are called, and {view.formats.count(cells[1][1])} of them are among {who}"
    return title, lambda: verdicts.confusion(view.theme, view.formats, cells)


def _value_by_tenth(view: View, shown: Shown, who: str) -> Drawn:  # noqa: ARG001
    expected, actual = shown.column("expected"), shown.column("actual")
    title = f"The group expected to bring most ({view.formats.money(expected[-1])} each) brought {view.formats.money(actual[-1])}"
    return title, lambda: verdicts.pairs(
        view.theme,
        view.formats,
        list(range(1, len(actual) + 1)),
        Series("expected", expected),
        Series("actual", actual),
        x_title="equal groups by expected value, the least first",
        y_title="mean value per customer",
    )


def _order_days(view: View, shown: Shown, who: str) -> Drawn:  # noqa: ARG001
    return shown.exhibit.title, lambda: verdicts.pairs(
        view.theme,
        view.formats,
        shown.column("repeat_order_days"),
        Series("expected", shown.column("expected"), "number"),
        Series("actual", shown.column("actual"), "number"),
        x_title="repeat order days before the held-out period",
        y_title="mean order days in it",
    )


def _tracking(view: View, shown: Shown, who: str) -> Drawn:  # noqa: ARG001
    actual, expected = shown.column("actual"), shown.column("expected")
    title = f"{view.formats.count(actual[-1])} repeat order days came in all; {view.formats.count(expected[-1])} were expected"
    weeks = shown.column("weeks")

    def figure() -> "Figure":
        drawn = verdicts.curve(
            view.theme,
            view.formats,
            weeks,
            [
                Series("actual", actual, "count"),
                Series("expected", expected, "count", is_dashed=True, colour=view.theme.below),
            ],
            x_unit="number",
            x_title="weeks since the first day with an order; held out where shaded",
            y_title="repeat order days so far",
        )
        after = [week for week, is_held_out in zip(weeks, shown.column("is_held_out"), strict=True) if is_held_out]
        if after:
            drawn.add_vrect(x0=after[0], x1=after[-1], fillcolor=view.theme.faded(view.theme.muted, 0.12), line_width=0)
        return drawn

    return title, figure


def _by_kind(view: View, shown: Shown, x: str, kind: str, y: str) -> tuple[list[int], list[Series]]:
    rows = shown.rows
    places = sorted({row[x] for row in rows})
    names = list(dict.fromkeys(row[kind] for row in rows))
    by = {(row[kind], row[x]): row[y] for row in rows}
    best = sorted(names, key=lambda name: -(by.get((name, places[-1])) or 0))
    colours = iter(view.theme.colours)
    return places, [
        Series(name, [by.get((name, place)) for place in places], "share", colour=next(colours)) for name in best[:6]
    ]


def _completion(view: View, shown: Shown, who: str) -> Drawn:  # noqa: ARG001
    k, series = _by_kind(view, shown, "k", "model", "hits")
    best = view.formats.share(series[0].values[-1])
    title = f"Of {k[-1]} products named, {series[0].name} has the hidden one in {best} of baskets"
    return title, lambda: verdicts.curve(
        view.theme, view.formats, k, series, x_unit="count", x_title="products named", y_title="baskets with a hit"
    )


def _hits(view: View, shown: Shown, who: str) -> Drawn:  # noqa: ARG001
    length, series = _by_kind(view, shown, "length", "candidate", "hit_rate")
    few = series[0].values[length.index(FEW)] if FEW in length else None
    title = f"{view.formats.share(few)} of customers bought one of the first {FEW} that {series[0].name} named"
    return title, lambda: verdicts.curve(
        view.theme,
        view.formats,
        length,
        series,
        x_unit="count",
        x_title="places in the list",
        y_title="customers with a hit",
    )


def _stability(view: View, shown: Shown, who: str) -> Drawn:  # noqa: ARG001
    holds = shown.column("holds")
    title = f"{view.formats.share(sum(holds) / len(holds))} of the rules hold in later weeks by more than chance"
    return title, lambda: verdicts.cloud(
        view.theme,
        view.formats,
        shown.column("lift_before"),
        [max(value, 0.3) for value in shown.column("lift_later")],
        ["holds" if each else "does not" for each in holds],
        x_title="lift when found (log scale)",
        y_title="lift in later weeks (log scale)",
    )


def _backtest(view: View, shown: Shown, who: str) -> Drawn:  # noqa: ARG001
    columns = {name: shown.column(name) for name in ("day", "actual", "units", "low", "high", "naive")}
    inside = [
        low <= value <= high
        for value, low, high in zip(columns["actual"], columns["low"], columns["high"], strict=True)
        if value is not None
    ]
    title = f"{view.formats.share(sum(inside) / max(len(inside), 1))} of held-out days lay within the 90 % interval"
    series = [
        Series("sold", columns["actual"], "count"),
        Series(
            "forecast",
            columns["units"],
            "count",
            columns["low"],
            columns["high"],
            is_dashed=True,
            colour=view.theme.below,
        ),
        Series("seasonal naive", columns["naive"], "count", is_dashed=True, colour=view.theme.muted),
    ]
    return title, lambda: verdicts.curve(
        view.theme, view.formats, columns["day"], series, x_unit="date", x_title="", y_title="units a day"
    )


def _response(view: View, shown: Shown, who: str) -> Drawn:  # noqa: ARG001
    move = shown.column("move")
    series = [
        Series("actual", shown.column("actual"), "number", shown.column("low"), shown.column("high")),
        Series("expected", shown.column("expected"), "number", is_dashed=True, colour=view.theme.below),
    ]
    cheap = move.index(min(move))
    title = (
        f"{view.formats.share(abs(move[cheap]))} off sold {view.formats.number(round(series[0].values[cheap], 1))} times as "
        f"often; {view.formats.number(round(series[1].values[cheap], 1))} was expected"
    )
    return title, lambda: verdicts.curve(
        view.theme,
        view.formats,
        move,
        series,
        x_unit="change",
        x_title="price against the usual one",
        y_title="lines sold, times the usual",
    )


KINDS: Mapping[str, Callable[[View, Shown, str], Drawn]] = {
    "calibration": _calibration,
    "gain": _gain,
    "lift": _lift,
    "roc": _roc,
    "pr": _pr,
    "confusion": _confusion,
    "value_by_tenth": _value_by_tenth,
    "order_days_by_frequency": _order_days,
    "tracking": _tracking,
    "completion": _completion,
    "hits_by_length": _hits,
    "rule_stability": _stability,
    "backtest": _backtest,
    "price_response": _response,
}
"""Kind of a curve → how it is told and drawn."""
