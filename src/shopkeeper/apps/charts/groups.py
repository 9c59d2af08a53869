"""Figures of groups of customers: a grid of scores, shares side by side, profiles, moves, spreads, points in space."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shopkeeper.apps.charts.figures import LEAST, axis_of, blank, plain, short_text
from shopkeeper.apps.charts.formats import Formats
from shopkeeper.apps.charts.theme import SIZE, Theme

if TYPE_CHECKING:
    import plotly.graph_objects as go

BAR, BETWEEN = 15, 24
NAME = 36


def grid(
    theme: Theme,
    x: Sequence[int],
    y: Sequence[int],
    colours: Sequence[Any],
    texts: Sequence[str],
    hovers: Sequence[str],
    *,
    x_title: str,
    y_title: str,
    height: int = 520,
) -> "go.Figure":
    """Return a grid of squares: the tint goes by ``colours``, each square carries its text; scores that nobody has stay empty."""
    figure = blank(theme, height=height)
    xs, ys = sorted(set(x)), sorted(set(y))
    place = {(a, b): at for at, (a, b) in enumerate(zip(x, y, strict=True))}

    def cells(values: Sequence[Any], empty: Any) -> list[list[Any]]:
        return [[values[place[a, b]] if (a, b) in place else empty for a in xs] for b in ys]

    figure.add_heatmap(
        x=xs,
        y=ys,
        # Money differs by orders of magnitude: its root tells the middle apart too.
        z=cells([max(float(value or 0), 0) ** 0.5 for value in colours], None),
        colorscale=[[at / (len(theme.ramp) - 1), colour] for at, colour in enumerate(theme.ramp)],
        showscale=False,
        xgap=3,
        ygap=3,
        text=cells(texts, ""),
        texttemplate="%{text}",
        textfont={"size": SIZE},
        hovertext=cells(hovers, ""),
        hoverinfo="text",
    )
    figure.update_xaxes(title=x_title, dtick=1, ticks="", fixedrange=True)
    figure.update_yaxes(title=y_title, dtick=1, ticks="", showgrid=False, fixedrange=True)
    return figure


def shares(
    theme: Theme,
    formats: Formats,
    labels: Sequence[str],
    series: Mapping[str, Sequence[Any]],
    *,
    notes: Sequence[str] = (),
    unit: str = "share",
) -> "go.Figure":
    """Return lying bars side by side for each label, which stands above them: the first label on top; for narrow screens too."""
    each = BAR * len(series) + BETWEEN
    figure = blank(theme, height=max(LEAST, each * len(labels) + 40))
    name = formats.of(unit)
    most = max([float(value) for values in series.values() for value in values if value is not None] or [1])
    for at, (title, values) in enumerate(series.items()):
        figure.add_bar(
            x=[max(float(value or 0), 0.0) for value in values],
            y=[-(row * each + at * BAR + BETWEEN) for row in range(len(labels))],
            width=BAR - 3,
            orientation="h",
            name=title,
            marker={"color": theme.colours[at], "line": {"width": 0}},
            text=[name(value) for value in values],
            textposition="outside",
            textfont={"color": theme.text, "size": SIZE - 1},
            constraintext="none",
            cliponaxis=False,
            hovertext=[
                f"<b>{name(value)}</b> {title}<br>{label}{f'<br>{note}' if note else ''}"
                for value, label, note in zip(values, labels, notes or [""] * len(labels), strict=True)
            ],
            hoverinfo="text",
        )
    for row, label in enumerate(labels):
        figure.add_annotation(
            x=0,
            y=-(row * each + 5),
            text=short_text(label, 52),
            showarrow=False,
            xanchor="left",
            yanchor="middle",
            font={"color": theme.text, "size": SIZE},
        )
    figure.update_layout(barmode="overlay", showlegend=len(series) > 1, margin={"t": 8, "b": 0, "l": 0, "r": 4})
    figure.update_layout(barcornerradius=3)
    figure.update_xaxes(visible=False, range=[min(0.0, -0.02 * most), most * 1.2 or 1], fixedrange=True)
    figure.update_yaxes(visible=False, range=[-each * len(labels) + 2, 12], fixedrange=True)
    return figure


def radar(
    theme: Theme,
    axes: Sequence[str],
    profiles: Mapping[str, Sequence[Any]],
    hovers: Mapping[str, Sequence[str]],
    colours: Mapping[str, str],
) -> "go.Figure":
    """Return profiles around a circle, in standard deviations; the dashed ring is 0, what everybody is like."""
    figure = blank(theme, height=500)
    around = [*axes, axes[0]]
    figure.add_scatterpolar(
        r=[0] * len(around),
        theta=around,
        mode="lines",
        line={"color": theme.muted, "width": 1.5, "dash": "dash"},
        name="everybody who ordered",
        hoverinfo="skip",
    )
    for name, values in profiles.items():
        told = [0 if value is None else float(value) for value in values]
        figure.add_scatterpolar(
            r=[*told, told[0]],
            theta=around,
            mode="lines+markers",
            line={"color": colours[name], "width": 2},
            marker={"size": 5},
            fill="toself" if len(profiles) == 1 else "none",
            fillcolor=theme.faded(colours[name], 0.12),
            name=short_text(name, 40),
            hovertext=[*hovers[name], hovers[name][0]],
            hoverinfo="text",
        )
    known = [float(value) for values in profiles.values() for value in values if value is not None]
    most, least = max([1.0, *known]), min([-1.5, *known])
    figure.update_layout(
        showlegend=True,
        legend={"y": -0.2, "yanchor": "top", "orientation": "h"},
        polar={
            "bgcolor": "rgba(0,0,0,0)",
            "radialaxis": {
                "range": [least - 0.3, most + 0.1],
                "tickvals": list(range(-3, 5)),
                "tickfont": {"size": SIZE - 3, "color": theme.muted},
                "gridcolor": theme.line,
                "linecolor": theme.line,
                "angle": 22.5,
                "tickangle": 22.5,
            },
            "angularaxis": {
                "gridcolor": theme.line,
                "linecolor": theme.line,
                "tickfont": {"size": SIZE - 1, "color": theme.text},
                "rotation": 90,
                "direction": "clockwise",
            },
        },
        margin={"l": 84, "r": 84, "t": 40, "b": 30},
    )
    return figure


def moves(
    theme: Theme,
    formats: Formats,
    start: Sequence[str],
    end: Sequence[str],
    values: Sequence[Any],
    notes: Sequence[str],
    colours: Mapping[str, str],
    *,
    height: int = 420,
) -> "go.Figure":
    """Return who went from where to where as bands: before on the left, after on the right; who stayed is pale."""
    figure = blank(theme, height=height)
    order = list(colours)
    left = [name for name in order if name in set(start)]
    right = [name for name in order if name in set(end)]
    at_left = {name: place for place, name in enumerate(left)}
    at_right = {name: len(left) + place for place, name in enumerate(right)}
    before = {
        name: sum(value for one, value in zip(start, values, strict=True) if one == name and value) for name in left
    }
    after = {
        name: sum(value for one, value in zip(end, values, strict=True) if one == name and value) for name in right
    }
    figure.add_sankey(
        arrangement="snap",
        node={
            "label": [
                *("" if name in at_right else short_text(name, NAME) for name in left),
                *(short_text(name, NAME) for name in right),
            ],
            "color": [colours[name] for name in (*left, *right)],
            "line": {"width": 0},
            "pad": 16,
            "thickness": 14,
            "customdata": [
                *(f"{name}<br>{formats.count(before[name])} customers before" for name in left),
                *(f"{name}<br>{formats.count(after[name])} customers now" for name in right),
            ],
            "hovertemplate": "%{customdata}<extra></extra>",
        },
        link={
            "source": [at_left[name] for name in start],
            "target": [at_right[name] for name in end],
            "value": list(values),
            "color": [
                theme.faded(colours[one], 0.14 if one == other else 0.45) for one, other in zip(start, end, strict=True)
            ],
            "customdata": list(notes),
            "hovertemplate": "%{customdata}<extra></extra>",
        },
        textfont={"size": SIZE - 1, "color": theme.text, "shadow": "none"},
    )
    figure.update_layout(margin={"l": 4, "r": 4, "t": 8, "b": 8})
    return figure


def cloud(
    theme: Theme,
    points: Sequence[Sequence[float]],
    groups: Sequence[str],
    keys: Sequence[Any],
    hovers: Sequence[str],
    colours: Mapping[str, str],
    titles: Sequence[str],
) -> "go.Figure":
    """Return points in three dimensions, to be turned; each group has a colour."""
    figure = blank(theme, height=520)
    for name, colour in colours.items():
        mine = [at for at, group in enumerate(groups) if group == name]
        if not mine:
            continue
        figure.add_scatter3d(
            x=[points[at][0] for at in mine],
            y=[points[at][1] for at in mine],
            z=[points[at][2] for at in mine],
            mode="markers",
            marker={"size": 3.2, "color": colour, "opacity": 0.8, "line": {"width": 0}},
            name=short_text(name, 40),
            hovertext=[hovers[at] for at in mine],
            hoverinfo="text",
            customdata=[keys[at] for at in mine],
        )
    axis = {
        "gridcolor": theme.line,
        "zerolinecolor": theme.line,
        "backgroundcolor": "rgba(0,0,0,0)",
        "showbackground": False,
        "tickfont": {"size": SIZE - 3, "color": theme.muted},
    }
    figure.update_layout(
        dragmode="turntable",
        scene={
            **{f"{name}axis": {**axis, "title": {"text": title}} for name, title in zip("xyz", titles, strict=True)},
            "camera": {"eye": {"x": 1.15, "y": 1.1, "z": 0.5}},
            "aspectmode": "cube",
        },
        legend={"y": 0, "yanchor": "top", "itemsizing": "constant"},
        margin={"l": 0, "r": 0, "t": 0, "b": 8},
        showlegend=True,
    )
    return figure


def spreads(
    theme: Theme,
    formats: Formats,
    names: Sequence[str],
    steps: Mapping[str, Sequence[tuple[float, float, float, int]]],
    colours: Mapping[str, str],
    *,
    unit: str,
) -> "go.Figure":
    """Return one histogram below the other on a common axis; each step is (from, to, share, customers)."""
    figure = blank(theme, height=64 + 86 * len(names))
    tell = formats.of(unit)
    edges = sorted({step[0] for each in steps.values() for step in each})
    labels = [tell(edge) for edge in edges]
    for place, name in enumerate(names, 1):
        axis = "" if place == 1 else str(place)
        told = {step[0]: step for step in steps[name]}
        most = max((step[2] for step in steps[name]), default=1.0)
        figure.add_bar(
            x=list(range(len(edges))),
            y=[told[edge][2] if edge in told else 0 for edge in edges],
            yaxis=f"y{axis}",
            marker={"color": colours[name], "line": {"width": 0}},
            hovertext=[
                f"<b>{formats.share(told[edge][2])}</b> of {name}<br>{tell(told[edge][0])} to {tell(told[edge][1])}<br>"
                f"{formats.count(told[edge][3])} customers"
                if edge in told
                else ""
                for edge in edges
            ],
            hoverinfo="text",
            showlegend=False,
        )
        bottom = 1 - place / len(names)
        figure.update_layout(
            {
                f"yaxis{axis}": {
                    "domain": [bottom, bottom + 0.72 / len(names)],
                    "visible": False,
                    "range": [0, most * 1.05],
                    "fixedrange": True,
                }
            }
        )
        figure.add_annotation(
            xref="paper",
            yref="paper",
            x=0,
            y=bottom + 0.74 / len(names),
            text=short_text(name, 52),
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
            font={"size": SIZE - 1, "color": theme.text},
        )
    few = range(0, len(edges), max(1, len(edges) // 6))
    figure.update_layout(bargap=0.06, margin={"t": 20, "b": 8, "l": 4, "r": 4})
    figure.update_xaxes(
        tickvals=list(few), ticktext=[labels[at] for at in few], anchor="free", position=0, fixedrange=True
    )
    return figure


def criteria(
    theme: Theme, formats: Formats, x: Sequence[Any], marks: Mapping[str, Sequence[Any]], chosen: Any, *, x_title: str
) -> "go.Figure":
    """Return small lines, one for each mark on its own scale; the chosen one is the full point."""
    rows = -(-len(marks) // 2)
    figure = blank(theme, height=70 + 150 * rows)
    for place, (title, values) in enumerate(marks.items()):
        axis = "" if place == 0 else str(place + 1)
        column, row = place % 2, place // 2
        left, bottom = column * 0.55, 1 - (row + 1) / rows
        figure.add_scatter(
            x=list(x),
            y=plain(values),
            xaxis=f"x{axis}",
            yaxis=f"y{axis}",
            mode="lines+markers",
            line={"color": theme.main, "width": 2},
            marker={
                "size": [12 if each == chosen else 7 for each in x],
                "color": [theme.colours[1] if each == chosen else theme.main for each in x],
            },
            hovertext=[
                f"<b>{formats.number(value)}</b> {title}<br>{each} segments"
                for each, value in zip(x, values, strict=True)
            ],
            hoverinfo="text",
            showlegend=False,
        )
        top = bottom + 0.72 / rows
        figure.update_layout(
            {
                f"xaxis{axis}": {
                    "domain": [left, left + 0.45],
                    "anchor": f"y{axis}",
                    "dtick": 1,
                    "title": x_title if row == rows - 1 else "",
                    "fixedrange": True,
                },
                f"yaxis{axis}": {"domain": [bottom + 0.06, top], "anchor": f"x{axis}", "nticks": 4, "fixedrange": True},
            }
        )
        figure.add_annotation(
            xref="paper",
            yref="paper",
            x=left,
            y=top + 0.02,
            text=title,
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
            font={"size": SIZE - 1, "color": theme.text},
        )
    figure.update_layout(margin={"t": 24})
    return figure


def columns(
    theme: Theme,
    formats: Formats,
    labels: Sequence[str],
    values: Sequence[Any],
    line: Sequence[Any],
    *,
    name: str,
    line_name: str,
) -> "go.Figure":
    """Return upright bars of counts and, on the right scale, a line of money."""
    figure = blank(theme)
    figure.add_bar(
        x=list(labels),
        y=list(values),
        name=name,
        marker={"color": theme.faded(theme.main, 0.55), "line": {"width": 0}},
        hovertext=[
            f"<b>{formats.count(value)}</b> {name}<br>{label}" for value, label in zip(values, labels, strict=True)
        ],
        hoverinfo="text",
    )
    figure.add_scatter(
        x=list(labels),
        y=plain(line),
        name=line_name,
        yaxis="y2",
        mode="lines+markers",
        line={"color": theme.colours[1], "width": 2},
        hovertext=[
            f"<b>{formats.money(value)}</b> {line_name}<br>{label}" for value, label in zip(line, labels, strict=True)
        ],
        hoverinfo="text",
    )
    figure.update_layout(
        barcornerradius=3,
        bargap=0.25,
        showlegend=True,
        yaxis={"tickformat": "~s"},
        yaxis2={
            **axis_of(formats, "money"),
            "overlaying": "y",
            "side": "right",
            "showgrid": False,
            "rangemode": "tozero",
        },
    )
    figure.update_xaxes(type="category")
    return figure
