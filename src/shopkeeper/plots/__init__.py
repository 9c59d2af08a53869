"""Plots: the pictures of a report. Points in, an image out: PNG bytes or SVG text.

A title says in a sentence what is to be seen.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from shopkeeper.evaluation import METRICS, Report
from shopkeeper.plots.baskets import completion, rule_stability
from shopkeeper.plots.canvas import BLUE, FAINT, INK, SOFT, Columns, blank, png, svg
from shopkeeper.plots.chances import calibration, confusion, gain, lift, pr, roc
from shopkeeper.plots.demand import autocorrelation, backtest, outlook, periodogram
from shopkeeper.plots.features import correlated_pairs, correlation, histogram, importances
from shopkeeper.plots.groups import choice, principal_components, scatter, segments
from shopkeeper.plots.lifetime import order_days_by_frequency, tracking, value_by_tenth
from shopkeeper.plots.lists import hits_by_length
from shopkeeper.plots.prices import elasticities, price_response

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

__all__ = ["KINDS", "candidates", "draw", "png", "svg"]

KINDS: Mapping[str, "Callable[[Columns, str], Canvas]"] = {
    kind.__name__: kind
    for kind in (
        *(calibration, gain, lift, roc, pr, confusion),
        *(value_by_tenth, order_days_by_frequency, tracking),
        *(choice, segments, scatter, principal_components),
        *(price_response, elasticities),
        *(correlation, correlated_pairs, histogram, importances),
        *(completion, rule_stability),
        *(backtest, outlook, autocorrelation, periodogram),
        hits_by_length,
    )
}
"""How a curve is drawn, by the first part of its name."""
OF_HELD_OUT = {
    "calibration",
    "gain",
    "lift",
    "roc",
    "pr",
    "confusion",
    "value_by_tenth",
    "order_days_by_frequency",
    "importances",
    "completion",
    "rule_stability",
    "backtest",
    "hits_by_length",
    "price_response",
}
"""The curves whose rows are those of the held-out period: their plots say which period it was."""


def draw(report: Report) -> dict[str, bytes]:
    """Return each plot that a report allows, as PNG: name → bytes.

    ``candidates`` is always there. A curve is drawn by its name, or the part of it before a colon, if ``KINDS`` has that;
    others are left alone, and so are curves without a row. Raises ModelError if such a curve lacks a column.
    """
    first, last = report.held_out
    period = f"{report.n_rows:,} held-out rows, {' to '.join(dict.fromkeys((str(first), str(last))))}"
    found = {"candidates": png(candidates(report))}
    for name, points in report.curves.items():
        kind, _, what = name.partition(":")
        if kind in KINDS and any(len(column) for column in points.values()):
            found[name] = png(KINDS[kind](points, what or (period if kind in OF_HELD_OUT else "")))
    return found


def candidates(report: Report) -> "Canvas":
    """Plot the primary metric of each candidate with its 95 % interval, the baseline apart."""
    found = [one for one in report.candidates if report.primary in one.figures]
    gain = report.against_baseline.gain
    is_ahead = gain.low > 0
    verdict = (
        f"{report.chosen} beats the baseline {report.baseline} by {gain.value:.3f}"
        if is_ahead
        else f"{report.chosen} does not beat the baseline {report.baseline} by more than noise"
    )
    canvas, axes = blank(f"{verdict} ({gain.low:.3f} to {gain.high:.3f})", height=2.1 + 0.55 * len(found))
    for place, one in enumerate(reversed(found)):
        figure = one.figures[report.primary]
        colour = SOFT if one.is_baseline else BLUE
        axes.plot(
            [figure.low, figure.high], [place, place], color=colour, linewidth=3, solid_capstyle="round", alpha=0.45
        )
        axes.plot(figure.value, place, "o", color=colour, markersize=9)
        axes.annotate(
            f"{figure.value:.3f}", (figure.value, place), (0, 9), textcoords="offset points", ha="center", color=INK
        )
        if one.is_baseline:
            axes.axvline(figure.value, color=FAINT, linewidth=1.5, zorder=0)
    names = [
        _label(one.name, is_chosen=one.name == report.chosen, is_baseline=one.is_baseline) for one in reversed(found)
    ]
    axes.set_yticks(range(len(found)), names)
    axes.set_ylim(-0.6, len(found) - 0.2)
    axes.grid(visible=False, axis="y")
    metric = METRICS.get(report.primary)
    way = (
        "" if metric is None or metric.is_signed else f", {'higher' if metric.higher_is_better else 'lower'} is better"
    )
    axes.set_xlabel(
        f"{report.primary} with its 95 % interval{way}\n"
        f"{report.n_rows:,} held-out rows, {' to '.join(dict.fromkeys(map(str, report.held_out)))}"
    )
    return canvas


def _label(name: str, *, is_chosen: bool, is_baseline: bool) -> str:
    return name + ("\n(chosen)" if is_chosen else "") + ("\n(baseline)" if is_baseline else "")
