"""Plots of baskets: how often the product that was hidden is named, and how rules fare in later weeks."""

from typing import TYPE_CHECKING

import numpy as np

from shopkeeper.plots.canvas import (
    BLUE,
    GROUPS,
    MARKERS,
    SOFT,
    VERMILION,
    Columns,
    blank,
    logarithmic,
    numbers,
    percent,
    share_of,
    told,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

LEAST_LIFT = 0.3
"""Lifts below it are drawn there: the scale is logarithmic."""


def completion(points: Columns, what: str = "") -> "Canvas":
    """Plot the share of baskets whose hidden product is among the first so many named. Columns: ``k``, ``model``, ``hits``."""
    k, hits = numbers(points, "k", "hits")
    names = list(dict.fromkeys(told(points, "model")))
    of_model = np.asarray(told(points, "model"))
    last = {name: float(hits[(of_model == name) & (k == k.max())][0]) for name in names}
    best = max(names, key=lambda name: last[name])
    canvas, axes = blank(
        f"Of {k.max():.0f} products named, {best} has the hidden one in {share_of(last[best])} of baskets", what
    )
    for place, name in enumerate(sorted(names, key=lambda each: -last[each])):
        mine = of_model == name
        colour = SOFT if name == names[-1] and len(names) > 1 else GROUPS[place]
        axes.plot(k[mine], hits[mine], f"-{MARKERS[place]}", color=colour, linewidth=2, markersize=7, label=name)
    axes.legend(frameon=False, loc="upper left", fontsize=11)
    axes.set_xticks(np.unique(k))
    percent(axes, y=(0, 1.25 * max(float(hits.max()), 0.01)))
    axes.set_xlabel("products named")
    axes.set_ylabel("baskets whose hidden product is among them")
    return canvas


def rule_stability(points: Columns, what: str = "") -> "Canvas":
    """Plot the lift of rules in the weeks after they were found against the lift they were found with.

    Columns: ``lift_before``, ``lift_later``, ``holds``: whether it is above chance in the later weeks alone.
    """
    before, later = numbers(points, "lift_before", "lift_later")
    holds = np.asarray(told(points, "holds"), bool)
    canvas, axes = blank(
        f"{share_of(float(holds.mean()))} of the rules hold in later weeks by more than chance; "
        f"{share_of(float((later > 1).mean()))} have a lift above 1 there",
        what,
    )
    later = np.maximum(later, LEAST_LIFT)
    low, high = LEAST_LIFT * 0.9, 1.15 * float(max(before.max(), later.max()))
    axes.plot([1, high], [1, high], color=SOFT, linewidth=1.2, linestyle="--", label="as before")
    axes.axhline(1, color=SOFT, linewidth=1.2)
    for is_held, colour, marker, name in ((True, BLUE, "o", "holds"), (False, VERMILION, "x", "does not")):
        mine = holds == is_held
        if mine.any():
            label = f"{name} ({int(mine.sum()):,})"
            axes.plot(before[mine], later[mine], marker, color=colour, markersize=5, alpha=0.55, label=label)
    logarithmic(axes, both=True)
    axes.set_xlim(0.9, high)
    axes.set_ylim(low, high)
    axes.legend(frameon=False, loc="upper left", fontsize=11)
    axes.set_xlabel("lift of the rule in the baskets it was found in, log scale")
    axes.set_ylabel("lift in the later weeks, log scale; below .3: at .3")
    return canvas
