"""Plots of ranked lists: how many customers found something in them, by length."""

from typing import TYPE_CHECKING

import numpy as np

from shopkeeper.plots.canvas import BLUE, FAINT, GROUPS, INK, SOFT, Columns, blank, numbers, percent, share_of, told

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

BASELINE = "popular"
FEW = 3


def hits_by_length(points: Columns, what: str = "") -> "Canvas":
    """Plot the share of customers with a hit among the first places. Columns: ``candidate``, ``length``, ``hit_rate``."""
    length, rate = numbers(points, "length", "hit_rate")
    names = np.asarray(told(points, "candidate"), np.str_)
    last = {
        str(name): float(rate[names == name][np.argmax(length[names == name])])
        for name in dict.fromkeys(names.tolist())
    }
    best = max(last, key=lambda name: last[name])
    first = int(length[np.argmin(np.abs(length - FEW))])
    of_few = float(rate[(names == best) & (length == first)][0])
    canvas, axes = blank(
        f"{share_of(of_few)} of customers bought something of the first {first} that {best} named", what
    )
    others = [colour for colour in GROUPS if colour != BLUE]
    taken: list[float] = []
    for place, name in enumerate(sorted(last, key=lambda each: -last[each])):
        is_it = names == name
        colour = BLUE if name == best else FAINT if name == BASELINE else others[place % len(others)]
        axes.plot(
            length[is_it],
            rate[is_it],
            color=SOFT if name == BASELINE else colour,
            linewidth=2.4 if name == best else 1.5,
        )
        # Names of lines that end near one another would lie on each other.
        at = last[name] if not taken else min(last[name], taken[-1] - 0.05 * max(last.values()))
        taken.append(at)
        axes.annotate(name, (length.max(), at), (6, 0), textcoords="offset points", va="center", color=INK)
    axes.set_xlim(1, length.max() * 1.22)
    axes.set_xticks([1, *range(5, int(length.max()) + 1, 5)])
    percent(axes, y=(0, 1.12 * max(*last.values(), 0.01)))
    axes.set_xlabel("places in the list")
    axes.set_ylabel("customers who bought one of them")
    return canvas
