"""Plots of groups of customers: how many to make, what each is like, and where their customers lie."""

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from shopkeeper.plots.canvas import (
    BLUE,
    FAINT,
    GROUPS,
    INK,
    MARKERS,
    VERMILION,
    Columns,
    Numbers,
    blank,
    numbers,
    panels,
    share_of,
    thousands,
    told,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

MOST_POINTS = 4000
NAME_WIDTH = 26
THOUSAND = 1000
CUT = 8.0
"""A bar this many times the next is cut off, so that the others can be read."""
CRITERIA = {
    "mean_rank": "mean rank of the first four (low is good)",
    "silhouette": "silhouette (high is good)",
    "calinski_harabasz": "Calinski-Harabasz (high is good)",
    "davies_bouldin": "Davies-Bouldin (low is good)",
    "stability": "stability, adjusted Rand index (high is good)",
    "cost_ratio": "cost over free k-means (low is good)",
}
SHARES = {"share": "share of customers", "share_of_sales": "share of net sales"}
FEATURE_WORDS = {
    "days_since_last_order": "days since the last order",
    "n_orders_90d": "orders in the last 90 days",
    "n_orders": "orders in all",
    "net_sales": "net sales (money)",
}


def choice(points: Columns, what: str = "") -> "Canvas":
    """Plot each mark of a number of segments against that number, each on its own scale.

    Columns: ``k``, one or more of ``CRITERIA``; ``is_chosen`` may be missing.
    """
    (k,) = numbers(points, "k")
    names = [name for name in (*list(CRITERIA)[1:5], "mean_rank", "cost_ratio") if name in points]
    chosen = np.flatnonzero(np.asarray(points.get("is_chosen", ()), bool))
    title = "Each number of segments by its marks"
    if len(chosen):
        title = f"{k[chosen[0]]:.0f} segments are chosen"
        if "mean_rank" in points:
            (rank,) = numbers(points, "mean_rank")
            best = int(rank.argmin())
            title += (
                ": they rank best"
                if best == chosen[0]
                else f": mean rank {rank[chosen[0]]:.3g}; {k[best]:.0f} segments have the best, {rank[best]:.3g}"
            )
    canvas, drawn = panels(
        title, [CRITERIA[name] for name in names], 2, what, height=1.2 + 1.75 * -(-len(names) // 2), share_x=True
    )
    for name, axes in zip(names, drawn, strict=True):
        (values,) = numbers(points, name)
        axes.plot(k, values, "o-", color=BLUE, linewidth=1.8, markersize=6)
        if len(chosen):
            axes.plot(k[chosen], values[chosen], "D", color=VERMILION, markersize=10, label="chosen")
        axes.margins(y=0.2)
        if values.max() >= THOUSAND:
            thousands(axes.yaxis)
        axes.set_xticks(k)
    for axes in drawn[-2:]:
        axes.set_xlabel("segments (k)")
        axes.tick_params(labelbottom=True)
    if len(chosen):
        drawn[0].legend(frameon=False, fontsize=10)
    return canvas


def segments(points: Columns, what: str = "") -> "Canvas":
    """Plot sizes and medians of segments as bars, a small plot for each column; segments of nobody are left out.

    Columns: ``name``, ``share``; any of ``expected_share_next_month``, ``share_of_sales`` and ``median_…``.
    """
    (share,) = numbers(points, "share")
    kept = np.flatnonzero(share > 0)
    columns = _profile(points)
    known = {column: numbers(points, column)[0][kept] for column in columns}
    limits = {column: _limit(values, is_share=column in SHARES) for column, values in known.items()}
    has_forecast = "expected_share_next_month" in points
    notes = [
        *([what] if what else []),
        *(["black line: the share expected next month"] if has_forecast else []),
        *(["white stroke: the bar goes on"] if any((known[each] > limits[each]).any() for each in columns) else []),
    ]
    largest = int(share[kept].argmax())
    names = [str(told(points, "name")[each]) for each in kept.tolist()]
    title = f"The largest segment, {names[largest]}, has {share_of(known['share'][largest])} of the customers"
    if np.isfinite(known.get("share_of_sales", np.full(len(kept), np.nan))[largest]):
        title += f" and {share_of(known['share_of_sales'][largest])} of net sales"
    labels = ["\n".join(textwrap.wrap(name, NAME_WIDTH)) for name in names]
    row = 0.05 + 0.15 * max(2, *(1 + label.count("\n") for label in labels))
    canvas, drawn = panels(
        title,
        list(columns.values()),
        2,
        "\n".join(notes),
        height=1.3 + (0.5 + row * len(kept)) * -(-len(columns) // 2),
        share_y=True,
    )
    for column, axes in zip(columns, drawn, strict=True):
        _bars(axes, known[column], limits[column], is_share=column in SHARES)
    if has_forecast:
        (ahead,) = numbers(points, "expected_share_next_month")
        drawn[0].plot(ahead[kept], range(len(kept)), "|", color=INK, markersize=14, markeredgewidth=2)
        drawn[0].set_xlim(0, max(drawn[0].get_xlim()[1], 1.05 * float(ahead[kept].max())))
    drawn[0].set_yticks(range(len(kept)), labels)
    drawn[0].set_ylim(len(kept) - 0.4, -0.6)
    return canvas


def _profile(points: Columns) -> dict[str, str]:
    """Return the columns to draw of each segment, and what to call them: shares, then medians."""
    common = [f"median_{name}" for name in FEATURE_WORDS]
    others = sorted(name for name in points.keys() - common if name.startswith("median_"))
    words = {name: name.removeprefix("median_") for name in (*common, *others) if name in points}
    return {name: title for name, title in SHARES.items() if name in points} | {
        name: f"median {FEATURE_WORDS.get(feature, feature)}" for name, feature in words.items()
    }


def scatter(points: Columns, what: str = "") -> "Canvas":
    """Plot rows in two dimensions by group. Columns: ``x``, ``y``, ``group``; ``what`` may name the axes as ``x|y``.

    Of more than 4,000 rows every n-th is drawn. Up to eight groups have a colour each, further ones are grey.
    """
    groups = set(told(points, "group"))
    return _scattered(points, f"{len(told(points, 'x')):,} customers in {len(groups)} groups", what)


def principal_components(points: Columns, what: str = "") -> "Canvas":  # noqa: ARG001 - all kinds are called alike
    """Plot customers by two principal components and group. Columns as of ``scatter``, ``explained_by_x``, ``…_y``."""
    one, two = (float(each[0]) for each in numbers(points, "explained_by_x", "explained_by_y"))
    title = f"Two principal components hold {share_of(one + two)} of the differences among customers"
    names = [
        f"{name} principal component ({share_of(part)} of the variance)"
        for name, part in (("first", one), ("second", two))
    ]
    return _scattered(points, title, "|".join(names))


def _scattered(points: Columns, title: str, what: str) -> "Canvas":
    x, y = numbers(points, "x", "y")
    groups = np.array([str(name) for name in told(points, "group")])
    names, counts = np.unique(groups, return_counts=True)
    names = names[np.argsort(-counts, kind="stable")]
    canvas, axes = blank(title)
    step = max(1, -(-len(x) // MOST_POINTS))
    kept = np.arange(0, len(x), step)
    for at, name in enumerate(names.tolist()):
        mine = kept[groups[kept] == name]
        is_told = at < len(GROUPS)
        axes.scatter(
            x[mine],
            y[mine],
            s=16,
            color=GROUPS[at] if is_told else FAINT,
            marker=MARKERS[at] if is_told else "o",
            alpha=0.55,
            linewidths=0,
            label="\n".join(textwrap.wrap(name, NAME_WIDTH)),
        )
    legend = axes.legend(
        frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5), markerscale=1.9, labelspacing=0.9, fontsize=10
    )
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)
    across, _, up = what.partition("|")
    axes.set_xlabel(across or "first principal component")
    axes.set_ylabel(up or "second principal component")
    return canvas


def _limit(values: Numbers, *, is_share: bool) -> float:
    """Return where bars end: at the largest, or, where that is far beyond the others, a little after the next."""
    ranked = np.sort(np.nan_to_num(values))[::-1]
    is_cut = not is_share and len(ranked) > 1 and ranked[0] > CUT * ranked[1] > 0
    limit = float(1.3 * ranked[1] if is_cut else ranked[0])
    return limit if limit > 0 else 1.0


def _bars(axes: "Axes", values: Numbers, limit: float, *, is_share: bool) -> None:
    """Draw a bar for each value with its number; one beyond the limit is cut off, and marked so."""
    known = np.nan_to_num(values)
    axes.barh(range(len(values)), np.minimum(known, limit), 0.66, color=BLUE)
    for place, value in enumerate(values):
        text = "none" if np.isnan(value) else f"{round(100 * value, 1) + 0:.1f} %" if is_share else _short(value)
        if value > limit:
            axes.plot([0.93 * limit, 0.97 * limit], [place + 0.42, place - 0.42], color="white", linewidth=3)
        at = min(float(known[place]), limit)
        axes.annotate(text, (max(at, 0), place), (5, 0), textcoords="offset points", va="center", fontsize=9, color=INK)
    axes.set_xlim(min(0.0, 1.1 * float(known.min())), 1.3 * limit)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.grid(visible=False)
    axes.tick_params(length=0)


def _short(value: float) -> str:
    """Return a number whole where it is large or whole, else with one decimal."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.1f}"
