"""From which tables a table is made, drawn from left to right: the lake first, the table itself last."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shopkeeper.apps.charts.figures import blank
from shopkeeper.apps.charts.theme import Theme

if TYPE_CHECKING:
    import plotly.graph_objects as go

ROW = 52


def lineage(theme: Theme, table: str, pairs: Sequence[tuple[str, str]]) -> "go.Figure":
    """Return the drawing; ``pairs``: a table, and one that is made from it."""
    depth = _depths(pairs)
    columns: dict[int, list[str]] = defaultdict(list)
    for name in dict.fromkeys([*(read for read, _ in reversed(pairs)), table]):
        columns[depth[name]].append(name)
    tallest = max(map(len, columns.values()))
    figure = blank(theme, height=max(100, tallest * ROW + 24))
    at = {}
    for column, names in columns.items():
        for place, name in enumerate(names):
            # Columns are centred, so that few stand beside the middle of many.
            at[name] = (column, (tallest - len(names)) / 2 + place)
    for read, reader in dict.fromkeys(pairs):
        (x0, y0), (x1, y1) = at[read], at[reader]
        figure.add_scatter(
            x=[x0, x0 + 0.5, x1],
            y=[y0, (y0 + y1) / 2, y1],
            mode="lines",
            line={"color": theme.line, "width": 1.5, "shape": "spline"},
            hoverinfo="skip",
        )
    colours = {"lake": theme.colours[2], "staging": theme.muted, "seeds": theme.muted}
    for name, (x, y) in at.items():
        schema, _, short = name.partition(".")
        figure.add_annotation(
            x=x,
            y=y,
            text=f"{f'<b>{short}</b>' if name == table else short}<br><span style='font-size:10px'>{schema}</span>",
            hovertext=name,
            showarrow=False,
            bgcolor=theme.ground,
            bordercolor=theme.main if name == table else colours.get(schema, theme.colours[0]),
            borderwidth=2 if name == table else 1,
            borderpad=4,
            font={"size": 12, "color": theme.text},
        )
    last = max(columns)
    figure.update_layout(showlegend=False, margin={"l": 4, "r": 4, "t": 4, "b": 4})
    figure.update_xaxes(visible=False, range=[-0.45, last + 0.45], fixedrange=True)
    figure.update_yaxes(visible=False, range=[tallest - 0.4, -0.6], fixedrange=True)
    return figure


def _depths(pairs: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return in which column each table stands: what reads nothing first, all else one after the last that it reads."""
    depth = {name: 0 for pair in pairs for name in pair}
    # Pairs come in any order: as many rounds as the longest way settle it.
    is_settled = False
    while not is_settled:
        is_settled = True
        for read, reader in pairs:
            if depth[reader] <= depth[read]:
                depth[reader] = depth[read] + 1
                is_settled = False
    return depth
