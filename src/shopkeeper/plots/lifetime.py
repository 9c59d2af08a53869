"""Plots of what customers were expected to do and did: order days and value, and the two week by week."""

from typing import TYPE_CHECKING

import numpy as np

from shopkeeper.plots.canvas import (
    BLUE,
    SOFT,
    VERMILION,
    Columns,
    blank,
    logarithmic,
    numbers,
    share_of,
    thousands,
    told,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

MOST_FOLD = 20
"""How many times the least value the greatest may be before the scale becomes logarithmic."""


def value_by_tenth(points: Columns, what: str = "") -> "Canvas":
    """Plot expected and actual value in equal groups by expected value. Columns: ``expected``, ``actual``, least first."""
    expected, actual = numbers(points, "expected", "actual")
    came, hoped = (share_of(float(each[-1] / each.sum())) if each.sum() > 0 else "none" for each in (actual, expected))
    canvas, axes = blank(
        f"Of {len(actual)} equal groups, the one expected to bring the most brought {came} of all value; {hoped} was expected",
        what,
    )
    at = np.arange(1, len(actual) + 1)
    axes.vlines(at, np.minimum(expected, actual), np.maximum(expected, actual), color=SOFT, linewidth=1.2, zorder=1)
    _two(axes, at.astype(np.float64), expected, actual, is_joined=False)
    both = np.append(expected, actual)
    is_wide = both.min() > 0 and both.max() > MOST_FOLD * both.min()
    if is_wide:
        logarithmic(axes)
    else:
        axes.set_ylim(min(0, 1.1 * float(both.min())), 1.1 * float(both.max()) or 1)
        thousands(axes.yaxis)
    axes.set_xticks(at)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("customers in equal groups by expected value, the least first")
    axes.set_ylabel("mean value per customer (money)" + (", log scale" if is_wide else ""))
    return canvas


def order_days_by_frequency(points: Columns, what: str = "") -> "Canvas":
    """Plot mean order days by how often customers had come again before (Fader, Hardie and Lee 2005).

    Columns: ``repeat_order_days`` (text), ``n_customers``, ``actual``, ``expected``.
    """
    n, actual, expected = numbers(points, "n_customers", "actual", "expected")
    came, hoped = float((n * actual).sum()), float((n * expected).sum())
    canvas, axes = blank(f"{came:,.0f} order days came; {_off(hoped, came)}", what)
    at = np.arange(len(n), dtype=np.float64)
    _two(axes, at, expected, actual)
    labels = [f"{each}\n{int(count):,}" for each, count in zip(told(points, "repeat_order_days"), n, strict=True)]
    axes.set_xticks(at, labels)
    axes.set_ylim(0, 1.1 * float(max(actual.max(), expected.max(), 0.1)))
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("repeat order days before the period, and how many customers had them")
    axes.set_ylabel("mean order days per customer in the period")
    return canvas


def tracking(points: Columns, what: str = "") -> "Canvas":
    """Plot cumulative repeat order days, actual and expected, and where the held-out period begins if that is told.

    Columns: ``weeks`` since the first order, ``actual``, ``expected``; ``is_held_out`` may be missing.
    """
    weeks, actual, expected = numbers(points, "weeks", "actual", "expected")
    after = np.flatnonzero(np.asarray(points.get("is_held_out", ()), bool))
    start = int(after[0]) - 1 if len(after) else -1
    came, hoped = float(actual[-1]), float(expected[-1])
    when = f"By week {weeks[-1]:.0f}"
    if start >= 0:
        came, hoped, when = came - float(actual[start]), hoped - float(expected[start]), "In the held-out weeks"
    canvas, axes = blank(f"{when} {came:,.0f} repeat order days came; {_off(hoped, came)}", what)
    axes.plot(weeks, expected, "--", color=VERMILION, linewidth=2.2, label="expected")
    axes.plot(weeks, actual, color=BLUE, linewidth=2.5, label="actual")
    most = 1.06 * float(max(actual.max(), expected.max(), 1))
    if start >= 0:
        axes.axvspan(weeks[start], weeks[-1], color=SOFT, alpha=0.1, linewidth=0)
        axes.text(weeks[start], 0.02 * most, " held out: never seen by the fit", color=SOFT, ha="left", va="bottom")
    axes.legend(frameon=False, loc="upper left", fontsize=11)
    axes.set_xlim(0, float(weeks[-1]))
    axes.set_ylim(0, most)
    thousands(axes.yaxis)
    axes.set_xlabel("weeks since the first day with an order")
    axes.set_ylabel("repeat order days so far, all customers")
    return canvas


def _two(axes: "Axes", at: np.ndarray, expected: np.ndarray, actual: np.ndarray, *, is_joined: bool = True) -> None:
    """Plot expected and actual, told apart by shape as well as colour."""
    line = "-" if is_joined else ""
    axes.plot(
        at,
        expected,
        f"s{'--' if is_joined else ''}",
        color=VERMILION,
        markersize=8,
        markerfacecolor="white",
        markeredgewidth=1.8,
        linewidth=1.6,
        label="expected",
    )
    axes.plot(at, actual, f"o{line}", color=BLUE, markersize=8, linewidth=1.8, label="actual")
    axes.legend(frameon=False, loc="upper left", fontsize=11)


def _off(expected: float, actual: float) -> str:
    """Return what was expected, and by how much it is off."""
    if actual <= 0:
        return f"{expected:,.0f} were expected"
    share = expected / actual - 1
    return f"{expected:,.0f} were expected ({share_of(abs(share))} {'more' if share > 0 else 'fewer'})"
