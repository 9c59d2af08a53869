"""Segments: groups of customers by behaviour, what each is like and worth, how customers move, how the groups were found."""

from typing import TYPE_CHECKING, Any

import streamlit as st

from shopkeeper.apps.charts import figures, groups
from shopkeeper.apps.charts.figures import Series
from shopkeeper.apps.dashboard.parts import chart, header, note, table
from shopkeeper.apps.dashboard.parts.tabs import headline, tabs
from shopkeeper.apps.dashboard.view import Page, View
from shopkeeper.serving.exhibits import Exhibit, Shown, reports, segments
from shopkeeper.serving.exhibits.customers import PLACES
from shopkeeper.serving.exhibits.projection import projected

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

TWO = 430
PROSPECTS, OUTLIERS = 0, 9
LOGS = {"money", "count"}
AXES = ("first", "second", "third")
MARKS = {
    "silhouette": "Silhouette (high is good)",
    "stability": "Stability (high is good)",
    "calinski_harabasz": "Calinski-Harabasz (high)",
    "davies_bouldin": "Davies-Bouldin (low is good)",
    "mean_rank": "Mean rank (low is good)",
    "cost_ratio": "Cost over free clusters (low)",
}
CHOICE = Exhibit(
    "choice",
    "Why so many segments",
    "Each number of segments by its marks. Silhouette: how much nearer customers are to their own segment than to the next. "
    "Stability: how alike the segments are when the customers are drawn anew. The number with the best mean rank is chosen, or a "
    "smaller one that is nearly as good.",
    "",
    "k:count is_chosen:flag silhouette:number stability:number calinski_harabasz:number davies_bouldin:number mean_rank:number "
    "cost_ratio:number",
    obeys=(),
)
JUDGED = Exhibit(
    "segment_candidates",
    "How the segments were judged",
    "The silhouette and its like of each way to make segments, on customers that none was fitted on, with 95 % intervals.",
    "",
    "candidate:text is_chosen:flag is_baseline:flag figure:text value:number low:number high:number",
    obeys=(),
    headings={"is_chosen": "Serves", "is_baseline": "Baseline"},
)


def show(view: View) -> None:
    """Show the page."""
    sizes = view.show(segments.SIZES)
    header(
        view,
        "Segments",
        "Groups of customers who behave alike, each defined by a rule that can be read.",
        told=f"As of {view.formats.date(view.last_day)}",
    )
    rows = sizes.rows
    if rows and rows[0]["share_of_sales"] is not None:
        first = rows[0]
        headline(
            f"{len([row for row in rows if row['n_customers']])} segments. The one that brings most, “{first['segment_name']}”, "
            f"is {view.formats.share(first['share'])} of the customers and {view.formats.share(first['share_of_sales'])} of net "
            f"sales."
        )
    parts = {"Sizes and rules": _sizes, "Profiles": _profiles, "One segment": _one}
    if view.has("predictions.segment_migrations"):
        parts["Moves"] = _moves
    parts |= {"In space": _space, "How they were found": _found}
    tabs(view, parts, key="part")


def colours_of(view: View, rows: list[dict[str, Any]]) -> dict[str, str]:
    """Return the colour of each segment by its name: the same on every figure."""
    found = {}
    for row in sorted(rows, key=lambda each: each["segment"]):
        number = row["segment"]
        told = view.theme.colours
        found[row["segment_name"]] = view.theme.muted if number == PROSPECTS else told[(number - 1) % len(told)]
        if number == OUTLIERS:
            found[row["segment_name"]] = told[5]
    return found


def _sizes(view: View) -> None:
    sizes = view.show(segments.SIZES)
    rows = [row for row in sizes.rows if row["n_customers"]]
    chart(
        view,
        sizes,
        lambda: groups.shares(
            view.theme,
            view.formats,
            [row["segment_name"] for row in rows],
            {
                "of customers": [row["share"] for row in rows],
                "of net sales": [row["share_of_sales"] for row in rows],
                "of customers, expected next month": [row["expected_share_next_month"] for row in rows],
            },
            notes=[row["rule_words"] for row in rows],
        ),
        key="segment-sizes",
    )
    table(
        view,
        sizes,
        title="Segments in figures",
        columns=[
            name for name in sizes.exhibit.units if name not in {"segment", "profile", "rule_sql", "model_version"}
        ],
        height="content",
    )


def _profiles(view: View) -> None:
    shown = view.show(segments.PROFILES)
    rows = view.show(segments.SIZES).rows
    names = [row["segment_name"] for row in rows]
    known = {row["segment_name"] for row in shown.rows}
    names = [name for name in names if name in known]
    clusters = [row["segment_name"] for row in rows if row["segment"] not in {PROSPECTS, OUTLIERS}]
    picked = st.pills(
        "Segments drawn",
        names,
        selection_mode="multi",
        default=[name for name in names if name in clusters][:3],
        key="profiles",
    )
    told = {(row["segment_name"], row["feature"]): row for row in shown.rows}
    features = [each for each in segments.LIKENESS if any((name, each) in told for name in names)]

    def value(name: str, feature: str) -> float | None:
        return told[name, feature]["standard_deviations"] if (name, feature) in told else None

    def tell(name: str, feature: str) -> str:
        row = told.get((name, feature))
        if row is None:
            return f"{segments.LIKENESS[feature]}: not known"
        middle = view.formats.of(segments.UNITS[feature])(row["median_value"])
        return (
            f"<b>{segments.LIKENESS[feature]}</b>: median {middle}<br>{view.formats.number(row['standard_deviations'])} standard "
            f"deviations from everybody<br>{name}"
        )

    with st.grid(2, min_column_width=TWO, gap="small", key="profiles-grid"):
        chart(
            view,
            shown,
            lambda: groups.radar(
                view.theme,
                [_folded(segments.LIKENESS[each]) for each in features],
                {name: [value(name, each) for each in features] for name in picked},
                {name: [tell(name, each) for each in features] for name in picked},
                colours_of(view, rows),
            ),
            below="Dashed: the mean of all customers who ordered. One ring is one standard deviation, of logarithms.",
            key="radar",
        )
        with st.container(border=True, key="profile-words"):
            for row in rows:
                if row["segment_name"] in picked:
                    st.markdown(f"**{row['segment_name']}**")
                    st.text(row["profile"])
    chart(
        view,
        shown,
        lambda: figures.heat(
            view.theme,
            view.formats,
            [_folded(segments.LIKENESS[each]) for each in features],
            names,
            [[round(value(name, each) or 0, 2) for each in features] for name in names],
            unit="number",
            column_unit="text",
            is_diverging=True,
            shows_values=True,
            longest=34,
        ),
        title="All segments at a glance",
        below="Blue is above the mean of all who ordered, orange below; in standard deviations.",
        key="profile-heat",
    )


def _folded(name: str) -> str:
    """Return a name in two lines."""
    words = name.split()
    half = -(-len(words) // 2)
    return "<br>".join(filter(None, (" ".join(words[:half]), " ".join(words[half:]))))


def _one(view: View) -> None:
    rows = [row for row in view.show(segments.SIZES).rows if row["n_customers"]]
    named = {row["segment_name"]: row for row in rows}
    chosen = st.selectbox("Segment", list(named), key="segment")
    if chosen is None:
        return
    row = named[chosen]
    with st.container(border=True, key="one-segment"):
        st.subheader(chosen, anchor=False)
        st.text(row["profile"])
        st.markdown("**Rule**")
        st.text(row["rule_words"])
        st.caption("The same as a query, to copy")
        st.code(
            f"select customer_id\nfrom features.customer_features\nwhere {row['rule_sql']}\norder by net_sales desc",
            language="sql",
            wrap_lines=True,
        )
    _histograms(view)
    table(
        view,
        view.show(segments.MEMBERS, segment=int(row["segment"])),
        title=f"Customers: {chosen}",
        leads_to="customer_id",
    )


def _histograms(view: View) -> None:
    feature = st.selectbox(
        "Spread of", list(segments.LIKENESS), index=3, format_func=lambda each: segments.LIKENESS[each], key="feature"
    )
    unit = segments.UNITS[feature]
    shown = view.show(segments.SPREAD, feature=feature, is_log=unit in LOGS)
    names = list(dict.fromkeys(row["segment_name"] for row in shown.rows))
    steps = {
        name: [
            (row["from_value"], row["to_value"], row["share"], row["n_customers"])
            for row in shown.rows
            if row["segment_name"] == name
        ]
        for name in names
    }
    chart(
        view,
        shown,
        lambda: groups.spreads(
            view.theme, view.formats, names, steps, colours_of(view, view.show(segments.SIZES).rows), unit=unit
        ),
        title=f"{segments.LIKENESS[feature]}, by segment",
        below="Each row is scaled to its own highest step.",
    )


def _moves(view: View) -> None:
    shown, over_time = view.show(segments.MOVES, as_of=""), view.show(segments.OVER_TIME)
    rows = [row for row in shown.rows if row["n_customers"]]
    colours = colours_of(view, view.show(segments.SIZES).rows) | {"not yet a customer": view.theme.muted}
    moved = [row for row in rows if row["from_segment"] != row["to_segment"] and row["from_segment"] >= 0]
    if moved:
        most = max(moved, key=lambda row: row["n_customers"])
        note_text = (
            f"In the 30 days to {view.formats.date(most['as_of'])} the largest move was of "
            f"{view.formats.count(most['n_customers'])} customers from “{most['from_name']}” to “{most['to_name']}”."
        )
        headline(note_text)

    def figure() -> "Figure":
        return groups.moves(
            view.theme,
            view.formats,
            [row["from_name"] for row in rows],
            [row["to_name"] for row in rows],
            [row["n_customers"] for row in rows],
            [
                f"<b>{view.formats.count(row['n_customers'])} customers</b>, {view.formats.share(row['share'])} of "
                f"{row['from_name']}<br>{row['from_name']} → {row['to_name']}"
                for row in rows
            ],
            colours,
        )

    chart(view, shown, figure, below="Left: 30 days before. Right: now. Who stayed is pale.")
    chart(view, over_time, lambda: _courses(view, over_time, colours))


def _courses(view: View, shown: Shown, colours: dict[str, str]) -> "Figure":
    moments = sorted({row["as_of"] for row in shown.rows})
    told = {(row["segment_name"], row["as_of"]): row["n_customers"] for row in shown.rows}
    names = [name for name in colours if any((name, moment) in told for moment in moments)]
    return figures.lines(
        view.theme,
        view.formats,
        moments,
        [
            Series(name, [told.get((name, moment)) for moment in moments], "count", colour=colours[name])
            for name in names
        ],
    )


def _space(view: View) -> None:
    found = projected(view.show(segments.BEHAVIOUR))
    shown, tell = found.shown, view.formats
    rows = shown.rows

    def figure() -> "Figure":
        return groups.cloud(
            view.theme,
            [(row["x"], row["y"], row["z"]) for row in rows],
            [row["segment_name"] for row in rows],
            [row["customer_id"] for row in rows],
            [
                f"<b>{row['customer_id']}</b><br>{tell.money(row['net_sales'])}, {tell.count(row['n_orders'])} orders, last "
                f"{tell.count(row['days_since_last_order'])} days ago<br>{row['segment_name']}"
                for row in rows
            ],
            colours_of(view, view.show(segments.SIZES).rows),
            [
                f"{place} ({tell.share(part)})"
                for place, part in zip(("first", "second", "third"), found.explained, strict=True)
            ],
        )

    chart(
        view,
        shown,
        figure,
        leads_to="customer" if view.visit.sees_customers else "",
        below=f"The three axes hold {tell.share(sum(found.explained))} of the differences among customers. Drag to turn.",
    )


def _found(view: View) -> None:
    edition = view.visit.edition
    choice = reports.curve(edition, "segments", CHOICE)
    judged = reports.candidates(edition, "segments", JUDGED)
    facts = reports.report_of(edition, "segments").get("facts", {})
    if "k" in facts:
        headline(
            f"{facts['k']} clusters were chosen. Fitted anew on resampled customers, they come out alike: stability "
            f"{facts['stability']:.2f} of 1. Their silhouette on held-out customers is {facts['silhouette_held_out']:.2f}."
        )
    else:
        note("The named groups of recency, frequency and money serve: no clusters were found that beat them.")
    told = choice.rows
    chart(
        view,
        choice,
        lambda: groups.criteria(
            view.theme,
            view.formats,
            choice.column("k"),
            {title: choice.column(name) for name, title in MARKS.items() if name in choice.table.column_names},
            next((row["k"] for row in told if row.get("is_chosen")), None),
            x_title="segments",
        ),
        none="No number of segments was tried: the named groups serve.",
    )
    table(view, judged, height="content")


PAGE = Page(
    "segments",
    "Segments",
    show,
    icon="donut_small",
    section="Insight",
    place=2,
    needs=("predictions.segments",),
    obeys=PLACES,
)
