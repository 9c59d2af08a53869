"""Plots of chances on held-out rows: whether they hold, and how well they put the positives first."""

from typing import TYPE_CHECKING

import numpy as np

from shopkeeper.plots.canvas import BLUE, INK, SKY, SOFT, VERMILION, Columns, bare, blank, numbers, percent, share_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def calibration(points: Columns, what: str = "") -> "Canvas":
    """Plot what was predicted against what happened, with 95 % intervals. Columns as of ``calibration_points``."""
    predicted, observed, low, high, n = numbers(points, "predicted", "observed", "low", "high", "n")
    inside = int(((predicted >= low) & (predicted <= high)).sum())
    canvas, axes = blank(f"In {inside} of {len(n)} groups the prediction lies in the interval of what happened", what)
    most = float(min(1.0, 1.08 * max(high.max(), predicted.max())))
    axes.plot([0, most], [0, most], "--", color=SOFT, linewidth=1.2, label="as predicted")
    # A bound may stand a rounding beyond a share of exactly 0 or 1.
    spans = np.maximum([observed - low, high - observed], 0.0)
    axes.errorbar(predicted, observed, yerr=spans, fmt="none", ecolor=SKY, elinewidth=2.5)
    axes.plot(predicted, observed, "o-", color=BLUE, linewidth=1.2, markersize=7, clip_on=False, label="as observed")
    axes.legend(frameon=False, loc="upper left", fontsize=11)
    percent(axes, x=(0, most), y=(0, most))
    axes.set_xlabel("predicted chance")
    axes.set_ylabel("observed share, 95 % interval")
    return canvas


def gain(points: Columns, what: str = "") -> "Canvas":
    """Plot the cumulative gain against a random order. Columns as of ``gain_points``."""
    share, found = numbers(points, "share_of_rows", "share_of_positives")
    at = float(np.interp(0.2, share, found))
    canvas, axes = blank(f"The 20 % with the highest scores hold {share_of(at)} of the positives", what)
    axes.plot([0, 1], [0, 1], "--", color=SOFT, linewidth=1.2)
    axes.text(0.72, 0.66, "random order", color=SOFT, rotation=27, rotation_mode="anchor", ha="left", va="center")
    axes.plot(share, found, color=BLUE, linewidth=2.5)
    axes.plot([0.2, 0.2], [0, at], color=VERMILION, linewidth=1)
    axes.plot(0.2, at, "o", color=VERMILION)
    percent(axes, x=(0, 1), y=(0, 1.01))
    axes.set_xlabel("share of customers, the highest scores first")
    axes.set_ylabel("share of all positives among them")
    return canvas


def lift(points: Columns, what: str = "") -> "Canvas":
    """Plot the lift over a random choice. Columns as of ``lift_points``."""
    share, found = numbers(points, "share_of_rows", "lift")
    at = float(np.interp(0.1, share, found))
    canvas, axes = blank(f"The 10 % with the highest scores are positive {at:.1f} times as often as all", what)
    axes.axhline(1, color=SOFT, linestyle="--", linewidth=1.2)
    axes.text(0.99, 0.97, "random choice", color=SOFT, ha="right", va="top")
    axes.plot(share, found, color=BLUE, linewidth=2.5)
    axes.plot(0.1, at, "o", color=VERMILION)
    percent(axes, x=(0, 1))
    axes.set_ylim(0, 1.1 * max(float(found.max()), 1.2))
    axes.set_xlabel("share of customers, the highest scores first")
    axes.set_ylabel("times the average share of positives")
    return canvas


def roc(points: Columns, what: str = "") -> "Canvas":
    """Plot the ROC curve. Columns as of ``roc_points``."""
    false, true = numbers(points, "false_positive_rate", "true_positive_rate")
    area = float(np.trapezoid(true, false))
    canvas, axes = blank(f"A positive scores above a negative {share_of(area)} of the time", what)
    axes.plot([0, 1], [0, 1], "--", color=SOFT, linewidth=1.2)
    axes.text(0.72, 0.66, "chance", color=SOFT, rotation=27, rotation_mode="anchor", ha="left", va="center")
    axes.fill_between(false, true, false, color=BLUE, alpha=0.08, linewidth=0)
    axes.plot(false, true, color=BLUE, linewidth=2.5)
    percent(axes, x=(0, 1), y=(0, 1.01))
    axes.set_xlabel("false positive rate: share of negatives called positive")
    axes.set_ylabel("true positive rate: share of positives found")
    return canvas


def pr(points: Columns, what: str = "") -> "Canvas":
    """Plot precision against recall. Columns as of ``pr_points``."""
    recall, precision = numbers(points, "recall", "precision")
    at, share = float(np.interp(0.5, recall, precision)), float(precision[-1])
    canvas, axes = blank(f"To find half of the positives, {share_of(at)} of those called are right", what)
    axes.axhline(share, color=SOFT, linestyle="--", linewidth=1.2)
    axes.annotate(
        f"everyone called: {100 * share:.1f} %",
        (0.99, share),
        (0, -4),
        textcoords="offset points",
        color=SOFT,
        ha="right",
        va="top",
    )
    axes.plot(recall, precision, color=BLUE, linewidth=2.5)
    axes.plot(0.5, at, "o", color=VERMILION)
    percent(axes, x=(0, 1), y=(0, min(1.02, 1.1 * float(precision.max()))))
    axes.set_xlabel("recall: share of positives found")
    axes.set_ylabel("precision: share of those called that are positive")
    return canvas


def confusion(points: Columns, what: str = "") -> "Canvas":
    """Plot the confusion matrix. Columns as of ``confusion``: truth, predicted, n."""
    truth, called, n = numbers(points, "truth", "predicted", "n")
    cells = np.zeros((2, 2), np.int64)
    cells[truth.astype(int), called.astype(int)] = n.astype(int)
    rows = cells.sum(axis=1, keepdims=True)
    share = np.divide(cells, rows, out=np.zeros((2, 2)), where=rows > 0)
    canvas, axes = blank(
        f"Of {cells.sum():,} customers {cells[:, 1].sum():,} are called positive, and {cells[1, 1]:,} of them are", what
    )
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1.25, aspect="auto")
    for true in (0, 1):
        for given in (0, 1):
            axes.text(
                given,
                true,
                f"{cells[true, given]:,}\n{share_of(share[true, given])} of the truly {'positive' if true else 'negative'}",
                ha="center",
                va="center",
                color="white" if share[true, given] > 0.6 else INK,
                fontsize=14,
                linespacing=1.5,
            )
    axes.set_xticks([0, 1], ["called negative", "called positive"])
    axes.set_yticks([0, 1], ["truly\nnegative", "truly\npositive"])
    bare(axes)
    return canvas
