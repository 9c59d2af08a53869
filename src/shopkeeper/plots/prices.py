"""Plots of how demand answers to prices: what the held-out weeks said, and elasticities by group of products."""

from typing import TYPE_CHECKING

import numpy as np

from shopkeeper.plots.canvas import BLUE, FAINT, SOFT, VERMILION, Columns, blank, numbers, share_of, told

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

MOST_FOLD = 6.0
"""Demand beyond so many times the usual is not drawn to scale."""
TICKS = (-0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0)


def price_response(points: Columns, what: str = "") -> "Canvas":
    """Plot how demand answered to prices off the usual, beside what was expected.

    Columns: ``move`` (share off the usual price), ``n`` (product-weeks), ``actual``, ``low``, ``high``,
    ``expected``: lines over those that nothing but the season would have brought.
    """
    move, n, actual, low, high, expected = numbers(points, "move", "n", "actual", "low", "high", "expected")
    cheap, dear = int(np.argmin(move)), int(np.argmax(move))
    canvas, axes = blank(
        f"{_off(move[cheap])} sold {actual[cheap]:.1f} times as often as without it ({expected[cheap]:.1f} expected), "
        f"{_off(move[dear])} {actual[dear]:.1f} times ({expected[dear]:.1f})",
        what,
    )
    most = float(min(max(actual.max(), expected.max()) * 1.25, MOST_FOLD))
    axes.axhline(1, color=SOFT, linewidth=1.2)
    axes.axvline(0, color=FAINT, linewidth=1.2)
    axes.vlines(move, np.maximum(low, 0), np.minimum(high, most), color=BLUE, linewidth=3, alpha=0.35)
    axes.plot(move, expected, "s--", color=VERMILION, markerfacecolor="white", markersize=8, label="expected")
    axes.plot(move, actual, "o-", color=BLUE, markersize=8, linewidth=1.8, label="actual, with what chance alone does")
    for place, (x, count) in enumerate(zip(move, n, strict=True)):
        # Neighbours stand at two heights, so that their figures do not run into each other.
        where = (0, 3 if place % 2 else 14)
        axes.annotate(f"{int(count):,}", (x, 0), where, textcoords="offset points", ha="center", fontsize=8, color=SOFT)
    axes.set_ylim(0, most)
    ticks = [each for each in TICKS if move.min() - 0.1 <= each <= move.max() + 0.1]
    axes.set_xticks(ticks, [f"{100 * each:+.0f} %" if each else "usual" for each in ticks])
    axes.set_xlabel("price against the product's usual one; small figures: product-weeks")
    axes.set_ylabel("lines sold, against those the season alone brings")
    axes.legend(frameon=False, loc="upper right", fontsize=11)
    return canvas


def elasticities(points: Columns, what: str = "") -> "Canvas":
    """Plot the elasticities of groups of products: the middle one, and the range that holds eight in ten.

    Columns: ``group``, ``low``, ``middle``, ``high``, ``n`` (products), the most price-sensitive group first.
    """
    low, middle, high, n = numbers(points, "low", "middle", "high", "n")
    names = [str(each) for each in told(points, "group")]
    elastic = int((middle < -1).sum())
    canvas, axes = blank(
        f"In {elastic} of {len(names)} groups a lower price brings the middle product more revenue (elasticity below -1)",
        what,
        height=2.2 + 0.36 * len(names),
    )
    at = np.arange(len(names))[::-1]
    axes.axvline(-1, color=SOFT, linewidth=1.2, linestyle="--")
    axes.hlines(at, low, high, color=BLUE, linewidth=4, alpha=0.4)
    axes.plot(middle, at, "o", color=BLUE, markersize=8)
    axes.set_yticks(at, [f"{name}  ({int(count):,})" for name, count in zip(names, n, strict=True)])
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(float(min(low.min(), -1)) - 0.2, float(max(high.max(), 0)) + 0.1)
    axes.set_xlabel("elasticity of units: the middle product, and the range of eight in ten")
    axes.set_ylabel("group (products)")
    return canvas


def _off(move: float) -> str:
    return f"{share_of(abs(move))} {'off' if move < 0 else 'more'}"
