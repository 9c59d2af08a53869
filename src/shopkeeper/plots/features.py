"""Plots of features: how they go together, what they tell of segments, how they moved."""

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from shopkeeper.plots.canvas import (
    BLUE,
    FAINT,
    HEIGHT,
    INK,
    SOFT,
    VERMILION,
    Columns,
    Numbers,
    bare,
    blank,
    numbers,
    panels,
    percent,
    share_of,
    told,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

MOST_TOLD = 12
"""Cells of a side up to which a heat map writes its numbers."""
DARK = 0.6
"""The strength from which a cell of the heat map is dark."""
NEARLY_ONE = 0.95
MOST_FEATURES = 5
PANEL_NAME = 50


def correlation(points: Columns, what: str = "") -> "Canvas":
    """Plot a heat map of correlations. Columns: ``feature``, ``other``, ``rho`` (-1 to 1); a pair may be told once.

    Features are ordered by the angle of their first two eigenvectors (Friendly 2002), so that like ones stand together.
    """
    one, other = ([str(name) for name in told(points, column)] for column in ("feature", "other"))
    (rho,) = numbers(points, "rho")
    names = sorted({*one, *other})
    cells = np.full((len(names), len(names)), np.nan)
    for first, second, value in zip(one, other, rho, strict=True):
        cells[names.index(first), names.index(second)] = cells[names.index(second), names.index(first)] = value
    order = _alike(cells)
    cells, names = cells[np.ix_(order, order)], [names[each] for each in order]
    at = int(np.abs(rho).argmax())
    canvas, axes = blank(
        f"{one[at]} and {other[at]} are the closest: {rho[at]:+.2f}", what, height=max(HEIGHT, 2.2 + 0.34 * len(names))
    )
    image = axes.imshow(cells, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    bar = canvas.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
    bar.set_label("rank correlation (Spearman)", fontsize=11)
    bar.outline.set_visible(False)
    if len(names) <= MOST_TOLD:
        for line, column in zip(*np.nonzero(np.isfinite(cells)), strict=True):
            value = cells[line, column]
            colour = "white" if abs(value) > DARK else INK
            axes.text(column, line, f"{round(value, 2) + 0:.2f}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    bare(axes)
    return canvas


def correlated_pairs(points: Columns, what: str = "") -> "Canvas":
    """Plot pairs of features by the strength of their correlation. Columns: ``feature``, ``other``, ``rho`` (-1 to 1)."""
    (rho,) = numbers(points, "rho")
    pairs = [f"{one}, {two}" for one, two in zip(told(points, "feature"), told(points, "other"), strict=True)]
    order = np.argsort(-np.abs(rho), kind="stable")
    near = int((np.abs(rho) >= NEARLY_ONE).sum())
    title = (
        f"{near} pairs of features say nearly the same (strength {NEARLY_ONE} or more)"
        if near > 1
        else f"{pairs[order[0]]} are the closest: {rho[order[0]]:+.2f}"
    )
    canvas, axes = blank(
        title, what or "circle: both rise together; square: one falls as the other rises", height=2.4 + 0.24 * len(rho)
    )
    for place, at in enumerate(order):
        colour = BLUE if rho[at] >= 0 else VERMILION
        axes.plot([0, abs(rho[at])], [place, place], color=colour, linewidth=1.6)
        axes.plot(abs(rho[at]), place, "o" if rho[at] >= 0 else "s", color=colour, markersize=6)
        axes.text(1.03, place, f"{rho[at]:+.3f}".replace("-", "\N{MINUS SIGN}"), va="center", fontsize=9, color=INK)
    axes.set_yticks(range(len(rho)), [pairs[at] for at in order], fontsize=9)
    axes.set_ylim(len(rho) - 0.4, -0.6)
    axes.set_xlim(0, 1.14)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("strength of the rank correlation (Spearman)")
    return canvas


def importances(points: Columns, what: str = "") -> "Canvas":
    """Plot for each segment what it takes from the model to lose a feature: the five highest, on one scale.

    Columns: ``name`` (of the segment), ``feature``, ``importance`` (log loss gained, in nats).
    """
    (values,) = numbers(points, "importance")
    segments, features = (np.array([str(each) for each in told(points, column)]) for column in ("name", "feature"))
    names = list(dict.fromkeys(segments.tolist()))
    tops = {name: _highest(np.flatnonzero(segments == name), values) for name in names}
    means = {str(each): float(values[features == each].mean()) for each in np.unique(features)}
    first = max(means, key=lambda each: means[each])
    canvas, drawn = panels(
        f"{first} matters most: shuffled, it costs {means[first]:.2f} nats of log loss in the mean of {len(names)} segments",
        ["\n".join(textwrap.wrap(name, PANEL_NAME)) for name in names],
        2,
        "permutation importance: log loss (nats) gained where the values of a feature are shuffled, one segment against the rest"
        + (f"\n{what}" if what else ""),
        height=1.5 + (0.56 + 0.2 * MOST_FEATURES) * -(-len(names) // 2),
        share_x=True,
        names_at="right",  # a name may be longer than its bars, and has room above their labels
    )
    most = max(float(values.max()), 1e-6)
    for name, axes in zip(names, drawn, strict=True):
        top = tops[name]
        axes.barh(range(len(top)), values[top], 0.66, color=BLUE)
        for place, at in enumerate(top):
            axes.annotate(
                f"{round(values[at], 2) + 0:.2f}",
                (max(values[at], 0), place),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
                color=INK,
            )
        axes.set_yticks(range(len(top)), features[top])
        axes.set_ylim(len(top) - 0.4, -0.6)
        axes.set_xlim(min(0.0, 1.1 * float(values[np.concatenate(list(tops.values()))].min())), 1.18 * most)
        axes.grid(visible=False, axis="y")
    for axes in drawn[-2:]:
        axes.tick_params(labelbottom=True)
    return canvas


def histogram(points: Columns, what: str = "") -> "Canvas":
    """Plot how a feature was spread before and is now. Columns: ``low``, ``high`` (bin ends), ``before``, ``now`` (shares).

    Bins are drawn side by side at one width, since features have heavy tails; ``what`` names the feature and its unit.
    """
    before, now = numbers(points, "before", "now")
    low, high = numbers(points, "low", "high")
    moved = float(np.abs(now - before).sum() / 2)
    canvas, axes = blank(f"{share_of(moved)} of the customers lie elsewhere than before")
    at = np.arange(len(before))
    axes.bar(at - 0.21, before, 0.42, color=FAINT, edgecolor=SOFT, linewidth=0.6, label="before")
    axes.bar(at + 0.21, now, 0.42, color=BLUE, label="now")
    axes.legend(frameon=False, loc="upper right", ncols=2)
    axes.set_xticks(at, [f"{a:.3g} to {b:.3g}" for a, b in zip(low, high, strict=True)], rotation=30, ha="right")
    percent(axes, y=(0, 1.18 * float(max(before.max(), now.max(), 0.01))))
    axes.grid(visible=False, axis="x")
    axes.set_xlabel(what or "value")
    axes.set_ylabel("share of customers")
    return canvas


def _alike(cells: Numbers) -> np.ndarray:
    """Return the order of a heat map's rows in which like ones stand together: by angle, begun at the widest gap."""
    known = np.nan_to_num(cells)
    np.fill_diagonal(known, 1)
    vectors = np.linalg.eigh(known)[1][:, -2:]
    # A vector's sign is free: the larger entries are made positive.
    vectors = vectors * np.where(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])] < 0, -1, 1)
    angle = np.arctan2(vectors[:, 0], vectors[:, -1])
    order = np.argsort(angle, kind="stable")
    gaps = np.diff(np.append(angle[order], angle[order[0]] + 2 * np.pi))
    return np.roll(order, -int(gaps.argmax()) - 1)


def _highest(rows: np.ndarray, values: Numbers) -> np.ndarray:
    return rows[np.argsort(-values[rows], kind="stable")][:MOST_FEATURES]
