"""The one door to matplotlib: canvases and panels in the house's colours, and their images; no window, no file, no global state.

Colours are those of Okabe and Ito (2008), told apart by colour-blind readers.
"""

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import ModelError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from matplotlib.text import Text

BLUE, VERMILION, GREEN, YELLOW, SKY, PURPLE = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7"
INK, SOFT, FAINT = "#222222", "#767676", "#D9D9D9"
GROUPS = (BLUE, VERMILION, GREEN, YELLOW, PURPLE, SKY, INK, SOFT)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
WIDTH, HEIGHT, DOTS = 8.0, 5.0, 100
MARGIN = 0.02
MOST_LETTERS = 140

Columns = Mapping[str, Sequence[Any]]
Numbers = NDArray[np.float64]


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


def blank(title: str, what: str = "", height: float = HEIGHT) -> "tuple[Canvas, Axes]":
    """Return a canvas with one plot on it; ``what`` is said below the title, ``height`` is in inches."""
    canvas = _titled(title, height)
    axes = canvas.add_subplot()
    if what:
        axes.set_title(what, loc="left", fontsize=11, color=SOFT)
    _style(axes)
    return canvas, axes


def panels(
    title: str,
    names: Sequence[str],
    columns: int,
    what: str = "",
    height: float = HEIGHT,
    *,
    share_x: bool = False,
    share_y: bool = False,
    names_at: Literal["left", "right"] = "left",
) -> "tuple[Canvas, list[Axes]]":
    """Return a canvas with a small plot for each name, in rows of ``columns``; ``what`` is said at the foot."""
    canvas = _titled(title, height)
    found = canvas.subplots(-(-len(names) // columns), columns, squeeze=False, sharex=share_x, sharey=share_y).ravel()
    for name, axes in zip(names, found, strict=False):
        axes.set_title(name, loc=names_at, fontsize=10.5, color=INK)
        _style(axes)
        axes.tick_params(labelsize=9)
    for axes in found[len(names) :]:
        axes.set_axis_off()
    if what:
        _fit(canvas, canvas.supxlabel("", x=MARGIN, ha="left", fontsize=10, color=SOFT), what)
    return canvas, list(found[: len(names)])


def percent(axes: "Axes", x: tuple[float, float] | None = None, y: tuple[float, float] | None = None) -> None:
    """Write shares as percentages on the axes whose ends are given."""
    from matplotlib.ticker import PercentFormatter

    for axis, ends, limit in ((axes.xaxis, x, axes.set_xlim), (axes.yaxis, y, axes.set_ylim)):
        if ends:
            axis.set_major_formatter(PercentFormatter(1, decimals=0 if ends[1] - ends[0] > 0.06 else 1, symbol=" %"))
            limit(*ends)


def thousands(axis: Any) -> None:
    """Write an axis's numbers whole, with a comma at the thousands."""
    from matplotlib.ticker import StrMethodFormatter

    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def dates(axis: Any) -> None:
    """Write an axis's days short, and few enough to be read."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
    axis.set_major_locator(locator)
    axis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def logarithmic(axes: "Axes") -> None:
    """Make the upward axis logarithmic, with ticks at 1, 2 and 5 of each power of ten."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    thousands(axes.yaxis)


def bare(axes: "Axes") -> None:
    """Take grid, spines and tick marks away."""
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(length=0)


def numbers(points: Columns, *names: str) -> list[Numbers]:
    """Return columns as doubles, NaN where None. Raises ModelError if one is missing or empty."""
    return [np.asarray(told(points, name), np.float64) for name in names]


def told(points: Columns, name: str) -> Sequence[Any]:
    """Return a column as it was told. Raises ModelError if it is missing or empty."""
    if name not in points or not len(points[name]):
        raise ModelError(
            f"a curve to plot must have the column {name} with a row or more; got {', '.join(points) or 'none'}."
        )
    return points[name]


def share_of(value: float) -> str:
    """Return a share as a whole percentage."""
    return f"{100 * value:.0f} %"


def _titled(title: str, height: float) -> "Canvas":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(WIDTH, height), dpi=DOTS, facecolor="white", layout="constrained")
    canvas.get_layout_engine().set(h_pad=0.12, w_pad=0.1)  # type: ignore[union-attr, call-arg] # it is the constrained one
    FigureCanvasAgg(canvas)
    _fit(canvas, canvas.suptitle("", x=MARGIN, ha="left", fontsize=13, fontweight="bold", color=INK), title)
    return canvas


def _fit(canvas: "Canvas", text: "Text", words: str) -> None:
    """Break words into as few lines as fit the canvas."""
    for width in range(MOST_LETTERS, 0, -2):
        text.set_text("\n".join(line for each in words.splitlines() for line in textwrap.wrap(each, width)))
        if text.get_window_extent().width <= (1 - 2 * MARGIN) * canvas.bbox.width:
            return


def _style(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.tick_params(colors=INK, labelsize=10, length=3, color=SOFT)
    axes.xaxis.label.set_fontsize(11)
    axes.yaxis.label.set_fontsize(11)
    axes.grid(visible=True, color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
