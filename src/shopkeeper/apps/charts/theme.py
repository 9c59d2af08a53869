"""How everything looks: a palette that people with any colour vision can tell apart, for light and for dark."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import plotly.graph_objects as go

FONT = '"Source Sans", "Source Sans Pro", system-ui, "Segoe UI", Roboto, sans-serif'
SIZE = 13


@dataclass(frozen=True)
class Theme:
    """The colours of one mode, as CSS.

    ``colours``: of series, after Okabe and Ito, in an order in which neighbours differ in lightness as well as in hue;
    ``ramp``: from little to much, one hue; ``below`` and ``above``: the two sides of a change, told apart by everybody.
    """

    name: str
    text: str
    muted: str
    ground: str
    panel: str
    line: str
    colours: tuple[str, ...]
    ramp: tuple[str, ...]
    below: str
    above: str

    @property
    def main(self) -> str:
        """The colour of a single series."""
        return self.colours[0]

    @property
    def diverging(self) -> tuple[tuple[float, str], ...]:
        """From below over nothing to above."""
        return (0.0, self.below), (0.5, self.panel), (1.0, self.above)

    def faded(self, colour: str, share: float) -> str:
        """Return a colour that lets what is under it shine through."""
        red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
        return f"rgba({red}, {green}, {blue}, {share})"


LIGHT = Theme(
    "light",
    text="#1d2733",
    muted="#5b6876",
    ground="#ffffff",
    panel="#f5f7f9",
    line="#dfe4ea",
    colours=("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#6b7785", "#b8a600"),
    ramp=("#eef4f9", "#c6dcec", "#8fbddd", "#4c97c6", "#0072b2", "#00507d"),
    below="#c2571a",
    above="#0072b2",
)
DARK = Theme(
    "dark",
    text="#e8ecf1",
    muted="#9aa7b5",
    ground="#12171d",
    panel="#1a2129",
    line="#2c3641",
    colours=("#56b4e9", "#e69f00", "#2fbf94", "#d991bb", "#0f86c9", "#f0803c", "#8a97a5", "#f0e442"),
    ramp=("#18222c", "#1d3d55", "#1f5d85", "#2f83b5", "#56b4e9", "#a5d8f6"),
    below="#f0803c",
    above="#56b4e9",
)
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}


@lru_cache(maxsize=4)
def template(theme: Theme) -> "go.layout.Template":
    """Return plotly's template of a theme: no frame, few lines, numbers that line up."""
    import plotly.graph_objects as go

    axis: dict[str, Any] = {
        "gridcolor": theme.line,
        "linecolor": theme.line,
        "zerolinecolor": theme.line,
        "tickcolor": theme.line,
        "tickfont": {"color": theme.muted, "size": SIZE - 1},
        "title": {"font": {"color": theme.muted, "size": SIZE - 1}, "standoff": 8},
        "automargin": True,
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": SIZE, "color": theme.text},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "colorway": list(theme.colours),
            "colorscale": {
                "sequential": [[place / (len(theme.ramp) - 1), colour] for place, colour in enumerate(theme.ramp)],
                "diverging": [list(step) for step in theme.diverging],
            },
            "xaxis": {**axis, "showgrid": False, "zeroline": False},
            "yaxis": {**axis, "zeroline": False, "ticklabelstandoff": 6},
            "legend": {
                "orientation": "h",
                "yanchor": "bottom",
                "y": 1.02,
                "x": 0,
                "xanchor": "left",
                "font": {"color": theme.muted},
                "title": {"text": ""},
            },
            "hoverlabel": {
                "bgcolor": theme.panel,
                "bordercolor": theme.line,
                "font": {"family": FONT, "size": SIZE, "color": theme.text},
                "align": "left",
            },
            "margin": {"l": 8, "r": 8, "t": 12, "b": 8},
            "hovermode": "closest",
            "dragmode": False,
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": theme.muted, "activecolor": theme.main},
            "separators": ".,",
        }
    )
