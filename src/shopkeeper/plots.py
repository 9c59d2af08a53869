"""Plots: the one door to matplotlib. Points in, an image out: PNG bytes or SVG text; no window, no file, no global state.

Colours are those of Okabe and Ito (2008), told apart by colour-blind readers; a title says in a sentence what is to be seen.
"""

import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.evaluation import METRICS, Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

BLUE, VERMILION, GREEN, YELLOW, SKY, PURPLE = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7"
INK, SOFT, FAINT = "#222222", "#767676", "#D9D9D9"
GROUPS = (BLUE, VERMILION, GREEN, YELLOW, PURPLE, SKY, INK, SOFT)
WIDTH, HEIGHT, DOTS = 8.0, 5.0, 100
MOST_POINTS = 4000
TITLE_WIDTH = 72
MOST_TOLD = 12
"""Cells of a side up to which a heat map writes its numbers."""

Columns = Mapping[str, Sequence[Any]]


def draw(report: Report) -> dict[str, bytes]:
    """Return each plot that a report allows, as PNG: name → bytes.

    ``candidates`` is always there. A curve is drawn by its name, or the part of it before a colon: ``calibration``, ``gain``,
    ``lift``, ``roc``, ``pr``, ``confusion``, ``correlation``, ``histogram``, ``scatter``; others are left alone.
    Raises ModelError if such a curve lacks a column.
    """
    found = {"candidates": png(candidates(report))}
    for name, points in report.curves.items():
        kind, _, what = name.partition(":")
        if kind in KINDS:
            found[name] = png(KINDS[kind](points, what))
    return found


def png(canvas: "Canvas") -> bytes:
    """Return a plot as the bytes of a PNG, the same for the same points."""
    file = io.BytesIO()
    canvas.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def svg(canvas: "Canvas") -> str:
    """Return a plot as the text of an SVG, the same for the same points."""
    import matplotlib as mpl

    file = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "shopkeeper"}):
        canvas.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


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
    canvas, axes = _canvas(f"{verdict} ({gain.low:.3f} to {gain.high:.3f})", height=2.1 + 0.55 * len(found))
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
        _name(one.name, is_chosen=one.name == report.chosen, is_baseline=one.is_baseline) for one in reversed(found)
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


def calibration(points: Columns, what: str = "") -> "Canvas":
    """Plot what was predicted against what happened, with 95 % intervals. Columns as of ``calibration_points``."""
    predicted, observed, low, high, n = _columns(points, "predicted", "observed", "low", "high", "n")
    inside = int(((predicted >= low) & (predicted <= high)).sum())
    canvas, axes = _canvas(f"In {inside} of {len(n)} groups the prediction lies in the interval of what happened", what)
    most = float(min(1.0, 1.08 * max(high.max(), predicted.max())))
    axes.plot([0, most], [0, most], "--", color=SOFT, linewidth=1.2)
    axes.text(0.98 * most, 0.86 * most, "as predicted", color=SOFT, ha="right", va="top")
    axes.errorbar(predicted, observed, yerr=[observed - low, high - observed], fmt="none", ecolor=SKY, elinewidth=2.5)
    axes.plot(predicted, observed, "o-", color=BLUE, linewidth=1.2, markersize=7, clip_on=False)
    _percent(axes, x=(0, most), y=(0, most))
    axes.set_xlabel("predicted chance")
    axes.set_ylabel("observed share, 95 % interval")
    return canvas


def gain(points: Columns, what: str = "") -> "Canvas":
    """Plot the cumulative gain against a random order. Columns as of ``gain_points``."""
    share, found = _columns(points, "share_of_rows", "share_of_positives")
    at = float(np.interp(0.2, share, found))
    canvas, axes = _canvas(f"The 20 % with the highest scores hold {_share(at)} of the positives", what)
    axes.plot([0, 1], [0, 1], "--", color=SOFT, linewidth=1.2)
    axes.text(0.72, 0.66, "random order", color=SOFT, rotation=27, rotation_mode="anchor", ha="left", va="center")
    axes.plot(share, found, color=BLUE, linewidth=2.5)
    axes.plot([0.2, 0.2], [0, at], color=VERMILION, linewidth=1)
    axes.plot(0.2, at, "o", color=VERMILION)
    _percent(axes, x=(0, 1), y=(0, 1.01))
    axes.set_xlabel("share of customers, the highest scores first")
    axes.set_ylabel("share of all positives among them")
    return canvas


def lift(points: Columns, what: str = "") -> "Canvas":
    """Plot the lift over a random choice. Columns as of ``lift_points``."""
    share, found = _columns(points, "share_of_rows", "lift")
    at = float(np.interp(0.1, share, found))
    canvas, axes = _canvas(f"The 10 % with the highest scores are positive {at:.1f} times as often as all", what)
    axes.axhline(1, color=SOFT, linestyle="--", linewidth=1.2)
    axes.text(0.99, 0.97, "random choice", color=SOFT, ha="right", va="top")
    axes.plot(share, found, color=BLUE, linewidth=2.5)
    axes.plot(0.1, at, "o", color=VERMILION)
    _percent(axes, x=(0, 1))
    axes.set_ylim(0, 1.1 * max(float(found.max()), 1.2))
    axes.set_xlabel("share of customers, the highest scores first")
    axes.set_ylabel("times the average share of positives")
    return canvas


def roc(points: Columns, what: str = "") -> "Canvas":
    """Plot the ROC curve. Columns as of ``roc_points``."""
    false, true = _columns(points, "false_positive_rate", "true_positive_rate")
    area = float(np.trapezoid(true, false))
    canvas, axes = _canvas(f"A positive scores above a negative {_share(area)} of the time", what)
    axes.plot([0, 1], [0, 1], "--", color=SOFT, linewidth=1.2)
    axes.text(0.72, 0.66, "chance", color=SOFT, rotation=27, rotation_mode="anchor", ha="left", va="center")
    axes.fill_between(false, true, false, color=BLUE, alpha=0.08, linewidth=0)
    axes.plot(false, true, color=BLUE, linewidth=2.5)
    _percent(axes, x=(0, 1), y=(0, 1.01))
    axes.set_xlabel("false positive rate: share of negatives called positive")
    axes.set_ylabel("true positive rate: share of positives found")
    return canvas


def pr(points: Columns, what: str = "") -> "Canvas":
    """Plot precision against recall. Columns as of ``pr_points``."""
    recall, precision = _columns(points, "recall", "precision")
    at, share = float(np.interp(0.5, recall, precision)), float(precision[-1])
    canvas, axes = _canvas(f"To find half of the positives, {_share(at)} of those called are right", what)
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
    _percent(axes, x=(0, 1), y=(0, min(1.02, 1.1 * float(precision.max()))))
    axes.set_xlabel("recall: share of positives found")
    axes.set_ylabel("precision: share of those called that are positive")
    return canvas


def confusion(points: Columns, what: str = "") -> "Canvas":
    """Plot the confusion matrix. Columns as of ``confusion``: truth, predicted, n."""
    truth, called, n = _columns(points, "truth", "predicted", "n")
    cells = np.zeros((2, 2), np.int64)
    cells[truth.astype(int), called.astype(int)] = n.astype(int)
    rows = cells.sum(axis=1, keepdims=True)
    share = np.divide(cells, rows, out=np.zeros((2, 2)), where=rows > 0)
    canvas, axes = _canvas(
        f"Of {cells.sum():,} customers {cells[:, 1].sum():,} are called positive, and {cells[1, 1]:,} of them are", what
    )
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1.25, aspect="auto")
    for true in (0, 1):
        for given in (0, 1):
            axes.text(
                given,
                true,
                f"{cells[true, given]:,}\n{_share(share[true, given])} of the truly {'positive' if true else 'negative'}",
                ha="center",
                va="center",
                color="white" if share[true, given] > 0.6 else INK,
                fontsize=14,
                linespacing=1.5,
            )
    axes.set_xticks([0, 1], ["called negative", "called positive"])
    axes.set_yticks([0, 1], ["truly\nnegative", "truly\npositive"])
    _bare(axes)
    return canvas


def correlation(points: Columns, what: str = "") -> "Canvas":
    """Plot a heat map of correlations. Columns: ``feature``, ``other``, ``value`` (-1 to 1); a pair may be told once."""
    one, other = ([str(name) for name in _told(points, column)] for column in ("feature", "other"))
    (values,) = _columns(points, "value")
    names = list(dict.fromkeys(name for pair in zip(other, one, strict=True) for name in pair))
    place = {name: at for at, name in enumerate(names)}
    cells = np.full((len(names), len(names)), np.nan)
    for first, second, value in zip(one, other, values, strict=True):
        cells[place[first], place[second]] = cells[place[second], place[first]] = value
    at = int(np.abs(values).argmax())
    canvas, axes = _canvas(
        f"{one[at]} and {other[at]} are the closest: {values[at]:+.2f}",
        what,
        height=max(HEIGHT, 2.2 + 0.34 * len(names)),
    )
    image = axes.imshow(cells, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    bar = canvas.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
    bar.set_label("correlation")
    bar.outline.set_visible(False)
    if len(names) <= MOST_TOLD:
        for line, told in enumerate(cells):
            for to, value in enumerate(told):
                if np.isnan(value):
                    continue
                axes.text(
                    to,
                    line,
                    f"{value:.2f}",
                    ha="center",
                    va="center",
                    color="white" if abs(value) > 0.6 else INK,
                    fontsize=9,
                )
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    _bare(axes)
    return canvas


def histogram(points: Columns, what: str = "") -> "Canvas":
    """Plot how a feature was spread before and is now. Columns: ``low``, ``high`` (bin ends), ``before``, ``now`` (shares).

    Bins are drawn side by side at one width, since features have heavy tails; ``what`` names the feature and its unit.
    """
    before, now = _columns(points, "before", "now")
    low, high = _columns(points, "low", "high")
    moved = float(np.abs(now - before).sum() / 2)
    canvas, axes = _canvas(f"{_share(moved)} of the customers lie elsewhere than before")
    at = np.arange(len(before))
    axes.bar(at - 0.21, before, 0.42, color=FAINT, edgecolor=SOFT, linewidth=0.6, label="before")
    axes.bar(at + 0.21, now, 0.42, color=BLUE, label="now")
    axes.legend(frameon=False, loc="upper right", ncols=2)
    axes.set_xticks(at, [f"{a:.3g} to {b:.3g}" for a, b in zip(low, high, strict=True)], rotation=30, ha="right")
    _percent(axes, y=(0, 1.18 * float(max(before.max(), now.max(), 0.01))))
    axes.grid(visible=False, axis="x")
    axes.set_xlabel(what or "value")
    axes.set_ylabel("share of customers")
    return canvas


def scatter(points: Columns, what: str = "") -> "Canvas":
    """Plot rows in two dimensions by group. Columns: ``x``, ``y``, ``group``; ``what`` may name the axes as ``x|y``.

    Of more than 4,000 rows every n-th is drawn. Up to eight groups have a colour each, further ones are grey.
    """
    x, y = _columns(points, "x", "y")
    groups = np.array([str(name) for name in _told(points, "group")])
    names, counts = np.unique(groups, return_counts=True)
    names = names[np.argsort(-counts, kind="stable")]
    canvas, axes = _canvas(f"{len(x):,} customers in {len(names)} groups", "")
    step = max(1, -(-len(x) // MOST_POINTS))
    kept = np.arange(0, len(x), step)
    for at, name in enumerate(names.tolist()):
        mine = kept[groups[kept] == name]
        colour = GROUPS[at] if at < len(GROUPS) else FAINT
        axes.scatter(x[mine], y[mine], s=12, color=colour, alpha=0.55, linewidths=0, label=name)
    legend = axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5), markerscale=2.2)
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)
    across, _, up = what.partition("|")
    axes.set_xlabel(across or "first principal component")
    axes.set_ylabel(up or "second principal component")
    return canvas


KINDS: Mapping[str, "Callable[[Columns, str], Canvas]"] = {
    "calibration": calibration,
    "gain": gain,
    "lift": lift,
    "roc": roc,
    "pr": pr,
    "confusion": confusion,
    "correlation": correlation,
    "histogram": histogram,
    "scatter": scatter,
}
"""How a curve is drawn, by the first part of its name."""


def _canvas(title: str, what: str = "", height: float = HEIGHT) -> "tuple[Canvas, Axes]":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(WIDTH, height), dpi=DOTS, facecolor="white", layout="constrained")
    canvas.get_layout_engine().set(h_pad=0.12, w_pad=0.1)  # type: ignore[union-attr, call-arg] # it is the constrained one
    FigureCanvasAgg(canvas)
    axes = canvas.add_subplot()
    canvas.suptitle(textwrap.fill(title, TITLE_WIDTH), x=0.02, ha="left", fontsize=13, fontweight="bold", color=INK)
    if what:
        axes.set_title(what, loc="left", fontsize=11, color=SOFT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.tick_params(colors=INK, labelsize=10, length=3, color=SOFT)
    axes.xaxis.label.set_fontsize(11)
    axes.yaxis.label.set_fontsize(11)
    axes.grid(visible=True, color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    return canvas, axes


def _percent(axes: "Axes", x: tuple[float, float] | None = None, y: tuple[float, float] | None = None) -> None:
    from matplotlib.ticker import PercentFormatter

    for axis, ends, limit in ((axes.xaxis, x, axes.set_xlim), (axes.yaxis, y, axes.set_ylim)):
        if ends:
            axis.set_major_formatter(PercentFormatter(1, decimals=0 if ends[1] - ends[0] > 0.06 else 1, symbol=" %"))
            limit(*ends)


def _bare(axes: "Axes") -> None:
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(length=0)


def _columns(points: Columns, *names: str) -> list[NDArray[np.float64]]:
    return [np.asarray(_told(points, name), np.float64) for name in names]


def _told(points: Columns, name: str) -> Sequence[Any]:
    if name not in points or not len(points[name]):
        raise ModelError(
            f"a curve to plot must have the column {name} with a row or more; got {', '.join(points) or 'none'}."
        )
    return points[name]


def _name(name: str, *, is_chosen: bool, is_baseline: bool) -> str:
    return name + ("\n(chosen)" if is_chosen else "") + ("\n(baseline)" if is_baseline else "")


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"
