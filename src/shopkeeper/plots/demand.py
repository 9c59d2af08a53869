"""Plots of demand: what was forecast and came, what is forecast now, and the rhythm of the days."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.plots.canvas import (
    BLUE,
    FAINT,
    SOFT,
    VERMILION,
    Columns,
    blank,
    dates,
    numbers,
    share_of,
    thousands,
    told,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

LONGEST, SHORTEST = 90.0, 2.0
GAP_DAYS = 3
"""Over more closed days than this no line is drawn."""


def backtest(points: Columns, what: str = "") -> "Canvas":
    """Plot the total's held-out days: sold, forecast with its 90 % interval, and the seasonal naive.

    Columns: ``day`` (ISO), ``actual``, ``units``, ``low``, ``high``, ``naive``.
    """
    day, (actual, units, low, high, naive) = _by_day(points, "actual", "units", "low", "high", "naive")
    open_days = np.isfinite(actual)
    sold, hoped, naively = actual[open_days], units[open_days], naive[open_days]
    inside = float(((sold >= low[open_days]) & (sold <= high[open_days])).mean())
    off, theirs = (float(np.abs(each - sold).sum() / max(sold.sum(), 1e-9)) for each in (hoped, naively))
    canvas, axes = blank(
        f"Forecasts were off by {share_of(off)} of what sold, the seasonal naive by {share_of(theirs)}; "
        f"{share_of(inside)} of days lay within the 90 % interval",
        what,
    )
    axes.fill_between(day, low, high, color=VERMILION, alpha=0.15, linewidth=0, label="90 % interval")
    axes.plot(day, naive, ":", color=SOFT, linewidth=1.6, label="seasonal naive")
    axes.plot(day, units, "--", color=VERMILION, linewidth=2.0, label="forecast")
    axes.plot(day, actual, "o-", color=BLUE, markersize=4, linewidth=1.6, label="sold")
    _finish(axes, high, actual)
    return canvas


def outlook(points: Columns, what: str = "") -> "Canvas":
    """Plot the total's last weeks and the days ahead with their 90 % interval.

    Columns: ``day`` (ISO), ``actual`` (null ahead), ``units``, ``low``, ``high`` (null before).
    """
    day, (actual, units, low, high) = _by_day(points, "actual", "units", "low", "high")
    sold, hoped = actual[np.isfinite(actual)], units[np.isfinite(units)]
    coming, before = float(hoped.sum()), float(sold[-len(hoped) :].sum())
    canvas, axes = blank(
        f"{coming:,.0f} units are expected on the {len(hoped)} open days ahead; as many days before sold {before:,.0f}",
        what,
    )
    axes.fill_between(day, low, high, color=VERMILION, alpha=0.15, linewidth=0, label="90 % interval")
    axes.plot(day, actual, "-", color=BLUE, linewidth=1.6, label="sold")
    axes.plot(day, units, "--", color=VERMILION, linewidth=2.0, label="forecast")
    _finish(axes, high, actual)
    return canvas


def autocorrelation(points: Columns, what: str = "") -> "Canvas":
    """Plot how alike days are that lie so many open days apart. Columns: ``lag``, ``correlation``, ``bound``."""
    lag, correlation, bound = numbers(points, "lag", "correlation", "bound")
    best = int(np.argmax(correlation))
    beyond = correlation[best] > bound[best]
    canvas, axes = blank(
        f"Days {lag[best]:.0f} open days apart are most alike (correlation {correlation[best]:.2f})"
        if beyond
        else "No two days are more alike than chance allows, however far apart",
        what,
    )
    axes.fill_between([0.5, lag[-1] + 0.5], -bound[0], bound[0], color=FAINT, alpha=0.6, linewidth=0)
    axes.text(lag[-1] + 0.5, bound[0], "95 % of noise stays within ", color=SOFT, ha="right", va="bottom", fontsize=9)
    axes.vlines(lag, 0, correlation, color=np.where(np.abs(correlation) > bound, BLUE, SOFT), linewidth=3)
    axes.axhline(0, color=SOFT, linewidth=0.8)
    axes.set_xlim(0.3, lag[-1] + 0.7)
    axes.set_xlabel("open days apart")
    axes.set_ylabel("autocorrelation, slow movements taken out")
    axes.grid(visible=False, axis="x")
    return canvas


def periodogram(points: Columns, what: str = "") -> "Canvas":
    """Plot what share of the variation each period has. Columns: ``period`` in open days, ``power``."""
    period, power = numbers(points, "period", "power")
    best = int(np.argmax(power))
    canvas, axes = blank(
        f"The strongest rhythm repeats every {period[best]:.1f} open days: {share_of(float(power[best]))} of all variation",
        what,
    )
    shown = (period >= SHORTEST) & (period <= LONGEST)
    axes.plot(period[shown], power[shown], color=BLUE, linewidth=1.6)
    axes.plot(period[best], power[best], "o", color=VERMILION, markersize=8)
    axes.annotate(
        f"{period[best]:.1f}", (period[best], power[best]), (8, 0), textcoords="offset points", color=VERMILION
    )
    axes.set_xscale("log")
    ticks = [tick for tick in (2, 3, 4, 5, 6, 7, 10, 14, 21, 30, 60, 90) if tick <= period[shown].max()]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(0, 1.12 * float(power.max()))
    axes.set_xlabel("period in open days, log scale")
    axes.set_ylabel("share of all variation")
    return canvas


def _by_day(points: Columns, *names: str) -> tuple[NDArray[Any], list[NDArray[np.float64]]]:
    """Return days and columns, with a gap where the shop was closed for long."""
    day = np.array(told(points, "day"), "datetime64[D]")
    after = np.flatnonzero(np.diff(day).astype(np.int64) > GAP_DAYS + 1) + 1
    return np.insert(day, after, day[after]), [np.insert(each, after, np.nan) for each in numbers(points, *names)]


def _finish(axes: "Axes", high: NDArray[np.float64], actual: NDArray[np.float64]) -> None:
    top = float(np.nanmax(np.append(high, actual)))
    axes.set_ylim(0, 1.18 * top if top > 0 else 1)
    thousands(axes.yaxis)
    axes.legend(frameon=False, loc="upper left", fontsize=10, ncols=4)
    axes.set_ylabel("units a day, all products")
    dates(axes.xaxis)
    axes.set_xlabel("open days")
